"""Prints the rows of a benchmark as a table and, with `--json FILE`, writes them as JSON."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark of the engine has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", choices=("bundled", "random", "both"), default="both")
    return parser


def models(choice: str) -> list[tuple[str, str]]:
    """Labels and sources of the models to measure."""
    both = [
        ("codeface-tiny", str(Path(__file__).parent.parent / "bundled" / "codeface-tiny")),
        ("110M", "random"),
    ]
    return {"bundled": both[:1], "random": both[1:], "both": both}[choice]


def report(rows: Iterable[Row], file: Path | None) -> None:
    """Print rows as they come, the machine's load last: figures of a busy machine are ratios at best."""
    done = []
    for row in rows:
        done.append(row)
        print(
            f"{row['name']:<58} {row['ours']:>10g} {row['peer']:>10g} {row['unit']:<9} "
            f"x{row['ratio']:<8g} {row['peer_name']}",
            flush=True,
        )
    print(f"load average: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if file is not None:
        file.write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
