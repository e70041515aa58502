"""`codeface bench`: how fast the engine is here, against what one would use without it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from codeface_lsp.errors import EngineError

Row = dict[str, Any]
"""`{"name", "ours", "peer", "peer_name", "ratio", "unit"}`; ours and peer in `unit`, ratio is ours / peer."""


def bench(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the rows as JSON instead of a table.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the rows to a JSON file.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="The bundled model only, fewer repetitions.")] = False,
) -> None:
    """Measure on this machine, offline: one more key, decoding, start and HTTP hop, each against a peer."""
    console = Console(stderr=True)
    rows: list[Row] = []
    for row in _rows(quick):
        rows.append(row)
        console.print(f"[dim]{row['name']}: {row['ours']:g} {row['unit']}[/dim]", highlight=False)
    if output is not None:
        output.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        Console().print(_table(rows))


def _rows(quick: bool) -> Iterator[Row]:
    """Everything, one after the other, each peer interleaved with ours."""
    try:
        from codeface_lsp.inference.bench import rows as engine_rows
        from codeface_lsp.serving.bench import measure_hop, measure_start
    except ModuleNotFoundError as error:
        raise EngineError(
            f"The benchmark needs the engine, which lacks {error.name}: run `pip install 'codeface-lsp[local]'`.",
            kind="local_missing",
        ) from error
    yield asyncio.run(measure_hop(rounds=100 if quick else 300))
    yield asyncio.run(measure_start(rounds=1 if quick else 3))
    yield from engine_rows(quick=quick)


def _table(rows: list[Row]) -> Table:
    table = Table(title="CodeFace's engine on this machine")
    for name in ("what", "ours", "peer", "", "ours / peer"):
        table.add_column(name, justify="left" if name in ("what", "") else "right")
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['ours']:g} {row['unit']}",
            f"{row['peer']:g} {row['unit']}",
            row["peer_name"],
            f"{row['ratio']:.2f}",
        )
    return table
