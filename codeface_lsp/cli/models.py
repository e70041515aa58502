"""`codeface models`: what there is, and download, load, unload, remove, default, count tokens, validate."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from codeface_lsp import paths, runtime, settings
from codeface_lsp.cli import user_config
from codeface_lsp.errors import CodeFaceError, EndpointError

app = typer.Typer(no_args_is_help=True, help="Models: list, download, load, unload, and which serves what.")

Role = Literal["completion", "chat", "embedding"]
Name = Annotated[str, typer.Argument(help="Registry name, alias, hub id (owner/name), folder or .gguf file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_MARKS = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "error": "[red]✗[/red]"}


@app.command("list")
def list_(
    here: Annotated[bool, typer.Option("--here", help="Only what is on this machine.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the registry: what is available, downloaded and loaded, with sizes."""
    found = [info for info in _describe(None) if not here or info["state"] in ("downloaded", "loaded")]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table("name", "state", "roles", "size", "memory", "default for", "description", box=None)
    for info in found:
        table.add_row(
            info["name"],
            info["state"],
            ", ".join(info["roles"]),
            _size(info),
            _bytes(info["memory_bytes"]),
            ", ".join(info["default_for"]),
            escape(info["description"]),
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@app.command()
def info(
    name: Annotated[
        str | None, typer.Argument(help="Model; without one, all that are on this machine.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell all that is known of one model, or of every model on this machine."""
    found = _describe(name)
    if name is None:
        found = [entry for entry in found if entry["state"] in ("downloaded", "loaded")]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for entry in found:
        typer.echo(entry["name"])
        for key, value in entry.items():
            if key != "name" and value not in (None, "", [], {}):
                text = ", ".join(map(str, value)) if isinstance(value, list) else value
                typer.echo(f"  {key.replace('_', ' ')}: {text}")


@app.command()
def download(name: Name) -> None:
    """Fetch a model from the hub; files that are complete are kept when it breaks off."""
    from codeface_lsp.models import hub, registry

    entry = registry.read().find(name)
    if entry.local is not None:
        typer.echo(f"{entry.name} is on this machine: {entry.local}")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(entry.name, total=None)
        folder = hub.download(
            entry.model_name,
            revision=entry.revision,
            gguf_file=entry.gguf_file,
            report=lambda done, total: progress.update(task, completed=done, total=total),
        )
    typer.echo(f"{entry.name} is downloaded: {folder}")


@app.command()
def load(
    name: Name,
    role: Annotated[Role, typer.Option(help="What it is loaded for.")] = "completion",
    device: Annotated[str | None, typer.Option(help="Move it there: cpu, cuda, cuda:N, mps.")] = None,
) -> None:
    """Load a model into the engine (started if need be)."""
    body = {"model": name, "role": role} | ({"device": device} if device else {})
    with _waiting(f"Loading {name}"):
        loaded = asyncio.run(_ask("load", body))
    typer.echo(f"{loaded['name']} is loaded on {loaded['device']}: {_bytes(loaded['memory_bytes'])}.")


@app.command()
def unload(
    name: Annotated[str | None, typer.Argument(help="Model; without one, all that are not in use.")] = None,
) -> None:
    """Drop a model from the engine's memory."""
    if not runtime.held():
        typer.echo("The engine does not run, so nothing is loaded.")
        return
    left = asyncio.run(_ask("unload", {"model": name}))["loaded"]
    typer.echo(f"Still loaded: {', '.join(left) or 'nothing'}.")


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a downloaded model from the disk."""
    from codeface_lsp.models import hub, registry

    entry = registry.read().find(name)
    if entry.local is not None:
        raise CodeFaceError(f"{entry.name} was not downloaded; delete {entry.local} yourself if you want.")
    if not yes:
        typer.confirm(f"Delete {entry.model_name} from this machine?", abort=True)
    if runtime.held():
        freed = asyncio.run(_ask("remove", {"model": name}))["freed_bytes"]
    else:
        freed = hub.remove(entry.model_name)
    typer.echo(f"{entry.name} is removed: {freed / 1e9:.2f} GB are free again.")


@app.command()
def default(
    name: Name,
    role: Annotated[Role, typer.Option(help="What it serves from now on.")] = "completion",
) -> None:
    """Make a model the one that serves a role, in the settings file and in the running engine."""
    from codeface_lsp.models import registry

    entry = registry.read().find(name)
    if role not in entry.roles:
        raise CodeFaceError(
            f"{entry.name} serves {', '.join(entry.roles)}, not {role}; choose another model."
        )
    chosen = str(entry.local) if entry.local and entry.name not in registry.read().entries else name
    user_config.set_key(paths.config_file(), "model", role, chosen)
    if runtime.held():
        asyncio.run(_ask("default", {"model": chosen, "role": role}))
    typer.echo(f"{entry.name} serves {role} from now on ({paths.config_file()}).")


@app.command("count-tokens")
def count_tokens(
    file: Annotated[Path | None, typer.Argument(help="Text file; without one, standard input.")] = None,
    model: Annotated[str | None, typer.Option(help="Model; without one, the completion model.")] = None,
) -> None:
    """Count the tokens of a text as a model's tokenizer does."""
    from codeface_lsp.models import hub, registry, tokenizer
    from codeface_lsp.models.checkpoint import open_checkpoint

    entry = registry.read().find(model or settings.load().model.completion)
    folder = entry.local or hub.local_folder(entry.model_name, entry.revision)
    if folder is None:
        raise CodeFaceError(
            f"{entry.name} is not here; fetch it with `codeface models download {entry.name}`."
        )
    try:
        text = file.read_text(encoding="utf-8") if file else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise CodeFaceError(f"{file} cannot be read as text; give a UTF-8 file.") from error
    counted = tokenizer.from_folder(open_checkpoint(folder).folder).encode(text)
    typer.echo(str(len(counted)))


@app.command()
def validate(name: Name, as_json: AsJson = False) -> None:
    """Check a model on the disk without loading it. Exit status 1 if it cannot be used."""
    from codeface_lsp.models import registry, validation

    checks = list(validation.validate(registry.read().find(name)))
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for check in checks:
            console.print(f"{_MARKS[check.status]} [bold]{check.name}[/bold]: {escape(check.message)}")
    if any(check.status == "error" for check in checks):
        raise typer.Exit(1)


def _describe(name: str | None) -> list[dict[str, Any]]:
    """As the running engine tells it, which knows what is loaded; else from the registry and the disk."""
    from codeface_lsp.models import catalogue, registry

    if runtime.held():
        try:
            found: list[dict[str, Any]] = asyncio.run(_ask("info", {"model": name}))["models"]
            return found
        except EndpointError:
            typer.echo("The engine does not answer; this is what the disk says.", err=True)
    known = registry.read()
    chosen = settings.load().model
    entries = [known.find(name)] if name is not None else list(known.entries.values())
    described = []
    for entry in entries:
        roles: tuple[Role, ...] = ("completion", "chat", "embedding")
        told = {role: getattr(chosen, role) for role in roles}
        serves = [r for r, n in told.items() if n is not None and entry.name in (n, known.aliases.get(n))]
        described.append(json.loads(json.dumps(catalogue.describe(entry, default_for=serves).json())))
    return described


async def _ask(action: str, body: dict[str, Any]) -> dict[str, Any]:
    from codeface_lsp.endpoints.local import LocalEngine

    engine = LocalEngine(settings.load())
    try:
        return await engine.manage(action, body)
    finally:
        await engine.aclose()


@contextmanager
def _waiting(what: str) -> Iterator[None]:
    with Console(stderr=True).status(f"{what} ..."):
        yield


def _size(info: dict[str, Any]) -> str:
    if info["disk_bytes"]:
        return _bytes(int(info["disk_bytes"]))
    return f"{info['download_gb']:g} GB" if info["download_gb"] else ""


def _bytes(count: int | None) -> str:
    if not count:
        return ""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
