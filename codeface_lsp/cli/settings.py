"""`codeface settings`: what is in force, what there is, and as a JSON schema for editors."""

from __future__ import annotations

import json
import textwrap
from typing import Annotated, Any

import typer
import yaml
from pydantic import BaseModel

from codeface_lsp import paths
from codeface_lsp.settings import Settings, load


def settings(
    defaults: Annotated[bool, typer.Option(help="Print every setting with its default and meaning.")] = False,
    schema: Annotated[bool, typer.Option(help="Print the JSON schema.")] = False,
    path: Annotated[bool, typer.Option(help="Print where the user's settings file belongs.")] = False,
) -> None:
    """Show the settings in force."""
    if path:
        typer.echo(paths.config_file())
    elif schema:
        typer.echo(json.dumps(Settings.model_json_schema(), indent=2))
    elif defaults:
        typer.echo(documented_defaults(), nl=False)
    else:
        typer.echo(yaml.safe_dump(load().model_dump(mode="json"), sort_keys=False), nl=False)


def documented_defaults() -> str:
    """The text of `config/default.yaml`: each setting, its default, and what it means."""
    lines = [
        "# Every setting of CodeFace with its default. Copy what you change to your own file, whose place",
        "# `codeface settings --path` tells.",
        "# Keys marked (workspace) may also come from a workspace; all others only from you.",
    ]
    for name, field in Settings.model_fields.items():
        lines.append("")
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            lines.append(f"# {type(default).__doc__ or name}".splitlines()[0])
            lines.append(f"{name}:")
            lines += [
                line for key in type(default).model_fields for line in _entry(key, type(default), default)
            ]
        else:
            lines += [f"# {field.description}", f"{name}: {_scalar(default)}"]
    return "\n".join(lines) + "\n"


def _entry(key: str, section: type[BaseModel], values: BaseModel) -> list[str]:
    field = section.model_fields[key]
    extra = field.json_schema_extra
    mark = " (workspace)" if isinstance(extra, dict) and extra.get("workspace") else ""
    comment = textwrap.wrap(
        f"{field.description}{mark}", 110, initial_indent="  # ", subsequent_indent="  # "
    )
    return [*comment, f"  {key}: {_scalar(getattr(values, key))}"]


def _scalar(value: Any) -> str:
    return json.dumps(value)
