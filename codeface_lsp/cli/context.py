"""`codeface context`: what a model would be shown at a place, part by part, and the prompt itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from codeface_lsp import settings as settings_module
from codeface_lsp.context.languages import id_of_path
from codeface_lsp.context.parts import Budget, Parts, TokenCounter
from codeface_lsp.endpoints.token_counter import open_counter
from codeface_lsp.errors import DocumentError
from codeface_lsp.prompting.families import from_model_name
from codeface_lsp.prompting.fim import render_text
from codeface_lsp.settings import Settings
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace

_INDEX_WAIT_S = 120.0


def context(
    file: Annotated[Path, typer.Argument(help="File to look at.", exists=True, dir_okay=False)],
    line: Annotated[int, typer.Option(help="Line of the cursor, from 1.", min=1)],
    column: Annotated[int, typer.Option(help="Column of the cursor, from 1, in characters.", min=1)] = 1,
    root: Annotated[
        Path | None, typer.Option(help="Workspace; the nearest folder above with .git or pyproject.toml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a completion's prompt would be made of, where each part comes from, and why."""
    settings = settings_module.load()
    parts = asyncio.run(_build(settings, file.absolute(), line, column, root))
    model = _model(settings)
    family = from_model_name(model)
    prompt = render_text(
        family,
        prefix=parts.prefix,
        suffix=parts.fim_suffix,
        extra=[(chunk.filename, chunk.text) for chunk in parts.extra],
        filename=parts.path,
    )
    counter = open_counter(settings)
    if as_json:
        typer.echo(json.dumps(_as_json(parts, prompt, model, counter), ensure_ascii=False, indent=2))
    else:
        _print(parts, prompt, model, counter)


def workspace_of(file: Path) -> Path:
    """The folder that an editor would open for a file: the nearest one with a repository or a project file."""
    for folder in file.parents:
        if (folder / ".git").exists() or (folder / "pyproject.toml").is_file():
            return folder
    return file.parent


def read_snapshot(file: Path) -> Snapshot:
    """A file as a document. Raises `DocumentError` if it cannot be read or is not text."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DocumentError(f"{file} cannot be read: {error.strerror}.") from error
    if b"\0" in data[:8192]:
        raise DocumentError(f"{file} is not text.")
    return Snapshot(file.as_uri(), str(file), id_of_path(file), 0, data.decode("utf-8", "replace"))


async def _build(settings: Settings, file: Path, line: int, column: int, root: Path | None) -> Parts:
    snapshot = read_snapshot(file)
    if line > len(snapshot.lines):
        raise DocumentError(f"{file} has {len(snapshot.lines)} lines; line {line} is not one of them.")
    workspace = Workspace([(root or workspace_of(file)).absolute()], settings)
    reason = workspace.excluded(str(file))
    if reason is not None:
        raise DocumentError(f"CodeFace does not show this file to a model: {reason}.", kind="excluded")
    try:
        await asyncio.wait_for(workspace.start(), _INDEX_WAIT_S)
        workspace.opened(snapshot)
        offset = snapshot.lines.offset(line - 1, column - 1, "utf-32")
        return workspace.build(snapshot, offset, _budget(settings), open_counter(settings))
    finally:
        await workspace.aclose()


def _budget(settings: Settings) -> Budget:
    total = settings.context.budget_tokens
    return Budget(
        total, int(total * settings.context.extra_share), int(total * settings.context.suffix_share)
    )


def _model(settings: Settings) -> str:
    named = next((e.model or e.name for e in settings.endpoints if "completion" in e.roles), None)
    return named or settings.model.completion


def _pieces(parts: Parts, counter: TokenCounter) -> list[dict[str, Any]]:
    pieces: list[dict[str, Any]] = [
        {
            "part": "extra",
            "source": c.source.value,
            "file": c.filename,
            "tokens": c.tokens,
            "why": c.reason,
            "text": c.text,
        }
        for c in parts.extra
    ]
    for name, text, why in (
        (
            "suffix",
            parts.fim_suffix,
            "below the cursor's line" if not parts.line_suffix_matters else "behind the cursor",
        ),
        (
            "prefix",
            parts.prefix,
            f"inside {'.'.join(parts.site.enclosing)}" if parts.site.enclosing else "before the cursor",
        ),
    ):
        pieces.append(
            {
                "part": name,
                "source": "document",
                "file": parts.path,
                "tokens": counter.count(text),
                "why": why,
                "text": text,
            }
        )
    return pieces


def _as_json(parts: Parts, prompt: str, model: str, counter: TokenCounter) -> dict[str, Any]:
    site = {name: getattr(parts.site, name) for name in parts.site.__slots__}
    return {
        "model": model,
        "language": parts.language,
        "site": site,
        "tokens": parts.tokens,
        "parts": _pieces(parts, counter),
        "notices": list(parts.notices),
        "prompt": prompt,
    }


def _print(parts: Parts, prompt: str, model: str, counter: TokenCounter) -> None:
    console = Console()
    table = Table(title=f"{parts.path}: {parts.tokens} tokens for {model}", title_justify="left")
    for heading in ("part", "source", "file", "tokens", "why"):
        table.add_column(heading, justify="right" if heading == "tokens" else "left", overflow="fold")
    for piece in _pieces(parts, counter):
        table.add_row(*(escape(str(piece[key])) for key in ("part", "source", "file", "tokens", "why")))
    console.print(table)
    kind = [
        name
        for name in ("in_comment", "in_string", "in_arguments", "multiline", "mid_word", "secret")
        if getattr(parts.site, name)
    ]
    console.print(f"[dim]site:[/dim] {', '.join(kind) or 'plain code, one line'}")
    for notice in parts.notices:
        console.print(f"[yellow]{escape(notice)}[/yellow]")
    console.rule("prompt")
    console.print(prompt, markup=False, highlight=False, soft_wrap=True)
