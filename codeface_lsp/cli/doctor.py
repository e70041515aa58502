"""`codeface doctor`: is everything here that CodeFace needs, and if not, what is the next step?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from codeface_lsp.cli import doctor_checks

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check environment, models, engine, endpoints and editors. Exit status 1 if something does not work."""
    if as_json:
        checks = list(doctor_checks.run_all())
        healthy = all(check.status != "error" for check in checks)
        typer.echo(json.dumps({"ok": healthy, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        healthy = True
        console = Console(highlight=False, soft_wrap=True)
        for check in doctor_checks.run_all():
            mark, colour = _MARKS[check.status]
            console.print(Text.assemble((f"{mark} ", colour), (f"{check.name}: ", "bold"), check.message))
            if check.next_step:
                console.print(Text.assemble("    → ", check.next_step))
            healthy = healthy and check.status != "error"
    if not healthy:
        raise typer.Exit(1)
