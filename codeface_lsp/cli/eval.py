"""`codeface eval`: how good completions are on a repository, and how much the context helps."""

from __future__ import annotations

import asyncio
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from codeface_lsp import settings as settings_module
from codeface_lsp.evaluation import scores
from codeface_lsp.evaluation.holes import KINDS, HoleKind
from codeface_lsp.evaluation.run import Evaluation, evaluate


class Kind(StrEnum):
    """Kinds of holes."""

    LINE = "line"
    REST = "rest"
    BLOCK = "block"
    CROSS_FILE = "cross-file"
    ALL = "all"


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


def eval_(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Repository to punch holes into.", exists=True, file_okay=False),
    ],
    holes: Annotated[int, typer.Option(help="Holes of each kind.", min=1)] = 100,
    kind: Annotated[Kind, typer.Option(help="Which holes.")] = Kind.ALL,
    context: Annotated[Switch, typer.Option(help="Whether completions get extra context.")] = Switch.ON,
    seed: Annotated[int, typer.Option(help="The same seed gives the same holes.")] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there.")
    ] = None,
) -> None:
    """Punch holes into a repository, let the model fill them, and score what it writes."""
    settings = settings_module.load()
    if context is Switch.OFF:
        off = settings.context.model_copy(update={"enabled": False})
        settings = settings.model_copy(update={"context": off})
    kinds: tuple[HoleKind, ...] = tuple(each for each in KINDS if kind in (Kind.ALL, each))
    console = Console(stderr=True)
    with console.status("indexing and loading the model") as status:

        def told(name: str, number: int, total: int) -> None:
            status.update(f"{name}: {number}/{total}")

        result = asyncio.run(evaluate(settings, directory.absolute(), holes, kinds, seed, told))
    if json_file is not None:
        json_file.write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")
    _print(result)


def _print(result: Evaluation) -> None:
    table = Table(title=f"{result.model}, context {result.context}", title_justify="left")
    for heading in (
        "holes",
        "n",
        "exact match",
        "edit similarity",
        "identifier F1",
        "parses",
        "ms p50 / p95",
    ):
        table.add_column(heading, justify="left" if heading == "holes" else "right")
    for kind, each in result.kinds.items():
        latency = each.summary()["latency_ms"]
        table.add_row(
            kind,
            str(len(each.exact)),
            *(_with_interval(values) for values in (each.exact, each.similarity, each.f1, each.parses)),
            f"{latency['p50']:.0f} / {latency['p95']:.0f}",
        )
    console = Console()
    console.print(table)
    recall = Table(title="definitions of other files that were in the prompt", title_justify="left")
    for heading in ("use", "n", "recall", "extra tokens"):
        recall.add_column(heading, justify="left" if heading == "use" else "right")
    for name, found in result.recall.items():
        recall.add_row(name, str(found.n), f"{found.share:.1%}", f"{found.tokens / max(found.n, 1):.0f}")
    console.print(recall)


def _with_interval(values: list[float]) -> str:
    low, high = scores.interval(values)
    return f"{scores.mean(values):.1%} [{low:.0%}-{high:.0%}]" if values else "-"
