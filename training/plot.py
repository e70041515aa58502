"""Draws the loss of training runs against the tokens seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from training.state import LOG


def read(run: Path) -> list[dict[str, float]]:
    """The records of a run's log."""
    return [json.loads(line) for line in (run / LOG).read_text(encoding="utf-8").splitlines()]


def plot(runs: Sequence[Path], out: Path) -> Path:
    """Write the picture: training loss on all tokens, validation loss on plain text of the tuning packages."""
    figure, axes = plt.subplots(figsize=(7, 4))
    for run in runs:
        records = read(run)
        for key, style in (("loss", "-"), ("validation_nats_per_token", "o--")):
            points = [(r["tokens"] / 1e6, r[key]) for r in records if key in r]
            axes.plot(
                *zip(*points, strict=True), style, markersize=3, label=f"{run.name}: {key.replace('_', ' ')}"
            )
    axes.set(xlabel="million tokens seen", ylabel="nats per token", ylim=(None, 6))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    plt.close(figure)
    return out
