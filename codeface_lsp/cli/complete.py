"""`codeface complete`: the suggestion that an editor would show at a place of a file."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from codeface_lsp.assist import services
from codeface_lsp.assist.inline import Suggestion
from codeface_lsp.context import languages
from codeface_lsp.errors import DocumentError
from codeface_lsp.settings import Settings, load
from codeface_lsp.text.snapshot import Snapshot


def complete(
    file: Annotated[Path, typer.Argument(help="The file; `-` reads standard input.")],
    line: Annotated[int, typer.Option("--line", "-l", min=1, help="Line of the cursor, from 1.")],
    column: Annotated[
        int | None,
        typer.Option("--column", "-c", min=1, help="Column in characters, from 1; default: the line's end."),
    ] = None,
    alternatives: Annotated[
        bool, typer.Option(help="Several suggestions, as when asked for explicitly.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Complete at a cursor, with the same context, rules and model as in an editor."""
    snapshot = read(file)
    offset = snapshot.lines.offset(line - 1, 10**9 if column is None else column - 1, "utf-32")
    settings = load(
        {"stats": {"enabled": False}, "completion": {"prefetch": False, "time_budget_ms": 60_000}}
    )
    started = time.perf_counter()
    suggestions = asyncio.run(_complete(settings, file, snapshot, offset, invoked=alternatives))
    elapsed = time.perf_counter() - started
    if as_json:
        print(json.dumps({"suggestions": [asdict(s) for s in suggestions], "seconds": round(elapsed, 3)}))
    else:
        _show(snapshot, offset, suggestions, elapsed)


def read(file: Path) -> Snapshot:
    """The file as a document. Raises `DocumentError` if it can't be read as text."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_bytes().decode("utf-8")
    except OSError as error:
        raise DocumentError(f"{file} cannot be read ({error.strerror}); check its name.") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{file} is not UTF-8 text; CodeFace works on text only.") from error
    path = file.resolve()
    return Snapshot(path.as_uri(), str(path), languages.id_of_path(path), 1, text)


async def _complete(
    settings: Settings, file: Path, snapshot: Snapshot, offset: int, *, invoked: bool
) -> list[Suggestion]:
    parts = services.build(settings, [Path.cwd()])
    try:
        parts.document_opened(snapshot)
        return await parts.completer.complete(snapshot, offset, invoked=invoked) or []
    finally:
        await parts.aclose()


def _show(snapshot: Snapshot, offset: int, suggestions: list[Suggestion], elapsed: float) -> None:
    console = Console(highlight=False, markup=False)
    start = snapshot.text.rfind("\n", 0, offset) + 1
    for suggestion in suggestions:
        console.print(snapshot.text[start : suggestion.start], end="")
        console.print(suggestion.text, style="green", end="")
        console.print(snapshot.text[suggestion.end : snapshot.lines.line_end(snapshot.lines.line_at(offset))])
    err = Console(stderr=True, highlight=False)
    if suggestions:
        confidence = suggestions[0].logprob
        mean = "" if confidence is None else f", mean log-probability {confidence:.2f}"
        err.print(f"[dim]{suggestions[0].model} in {elapsed:.2f} s{mean}[/dim]")
    else:
        err.print(f"[dim]nothing to suggest here ({elapsed:.2f} s)[/dim]")
