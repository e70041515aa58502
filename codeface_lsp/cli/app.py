"""`codeface`: all commands. Each is imported when it is called, so that none pays for another's libraries."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.main import get_command

from codeface_lsp.errors import CodeFaceError

_COMMANDS = {
    "lsp": "lsp_command:lsp",
    "demo": "demo:demo",
    "doctor": "doctor:doctor",
    "engine": "engine:app",
    "models": "models:app",
    "complete": "complete:complete",
    "batch": "batch:batch",
    "context": "context:context",
    "explain": "assist:explain",
    "fix": "assist:fix",
    "docstring": "assist:docstring",
    "tests": "assist:tests",
    "refactor": "assist:refactor",
    "search": "assist:search",
    "lesson": "assist:lesson",
    "commit": "assist:commit",
    "chat": "chat:chat",
    "prompts": "prompts:prompts",
    "bench": "bench:bench",
    "eval": "eval:eval_",
    "stats": "stats:stats",
    "settings": "settings:settings",
}
"""Name of each command, in the order of `--help`: where it is. A `typer.Typer` is a group, a function a command."""


class Commands(TyperGroup):
    """Looks a command's module up when it is wanted. (typer carries a click of its own, hence the loose types.)"""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import one command; None if there is none of this name."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(f"codeface_lsp.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command(cmd_name)(found)
            found = single
        command = get_command(found)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="codeface",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"codeface {version('codeface-lsp')}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """A code assistant for any editor, from models that run on your own machine."""


def main() -> None:
    """Console script `codeface`: run a command; a CodeFaceError becomes one line on stderr and exit status 1."""
    try:
        app()
    except CodeFaceError as error:
        Console(stderr=True).print(f"[red]codeface:[/red] {error.message}", highlight=False, soft_wrap=True)
        sys.exit(1)
