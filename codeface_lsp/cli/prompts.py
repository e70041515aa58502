"""`codeface prompts list|show|edit`: the templates in force, and where to override them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from codeface_lsp import paths
from codeface_lsp.errors import PromptError
from codeface_lsp.prompting import templates

prompts = typer.Typer(no_args_is_help=True, help="Show prompt templates, and override them.")


@prompts.command("list")
def list_() -> None:
    """List the prompts, their variables, and which are your own."""
    table = Table("prompt", "variables", "from", box=None)
    for task, names in templates.TASKS.items():
        table.add_row(
            task, ", ".join(sorted(names)), "you" if templates.find(task).overridden else "CodeFace"
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@prompts.command()
def show(
    task: Annotated[str, typer.Argument(help="Name of a prompt, for example `explain`.")] = "system",
) -> None:
    """Print a prompt as it is in force."""
    found = templates.find(task)
    Console(stderr=True, highlight=False).print(f"[dim]{found.path}[/dim]")
    sys.stdout.write(found.text)


@prompts.command()
def override(task: Annotated[str, typer.Argument(help="Name of a prompt.")]) -> None:
    """Copy a shipped prompt to your own directory, to be changed there."""
    found = templates.find(task)
    if found.overridden:
        raise PromptError(f"You have a prompt of your own already: {found.path}.")
    target = paths.prompts_dir() / f"{task}.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(found.text, encoding="utf-8")
    print(target)
