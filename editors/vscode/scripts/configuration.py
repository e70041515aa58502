"""Write `contributes.configuration` of package.json from the server's own settings; `--check` only compares.

A setting that a workspace may not set gets the scope `machine`, so that VS Code itself refuses it from a workspace.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from codeface_lsp.settings import WORKSPACE_KEYS, Settings

MANIFEST = Path(__file__).parents[1] / "package.json"
OWN = {
    "codeface.server.command": {
        "type": "array",
        "items": {"type": "string"},
        "default": [],
        "scope": "machine",
        "markdownDescription": 'Command that starts the server, e.g. `["/home/me/.local/bin/codeface-lsp"]`.',
    },
    "codeface.server.interpreter": {
        "type": "string",
        "default": "",
        "scope": "machine",
        "markdownDescription": "Python interpreter of an environment that has `codeface-lsp`.",
    },
}


def configuration() -> list[dict[str, Any]]:
    """One group of settings for each section of the server's schema."""
    schema = Settings.model_json_schema()
    groups: list[dict[str, Any]] = [{"title": "Server", "properties": OWN}]
    plain: dict[str, Any] = {}
    for name, field in schema["properties"].items():
        section = schema["$defs"].get(field.get("$ref", "").rpartition("/")[2])
        if section is None:
            plain[f"codeface.{name}"] = _property(name, field, schema)
            continue
        properties = {
            f"codeface.{name}.{key}": _property(f"{name}.{key}", value, schema)
            for key, value in section["properties"].items()
        }
        groups.append({"title": name.capitalize(), "properties": properties})
    return [*groups, {"title": "Endpoints", "properties": plain}]


def _property(key: str, field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    kept = {name: field[name] for name in ("type", "enum", "default", "minimum", "maximum") if name in field}
    if "anyOf" in field:
        kept["type"] = [option["type"] for option in field["anyOf"]]
        if values := [value for option in field["anyOf"] for value in option.get("enum", [])]:
            kept["enum"] = [*values, None]
    if "items" in field:
        reference = field["items"].get("$ref", "").rpartition("/")[2]
        kept["items"] = _item(schema["$defs"][reference]) if reference else field["items"]
    kept.setdefault("default", [] if kept.get("type") == "array" else None)
    kept["scope"] = "window" if key in WORKSPACE_KEYS else "machine"
    kept["markdownDescription"] = field.get("description", "")
    return kept


def _item(section: dict[str, Any]) -> dict[str, Any]:
    names = ("type", "enum", "anyOf", "default", "description", "items")
    properties = {
        key: {
            name: value[name]
            for name in names
            if name in value and not (name == "default" and value[name] is None)
        }
        for key, value in section["properties"].items()
    }
    return {
        "type": "object",
        "required": section.get("required", []),
        "additionalProperties": False,
        "properties": properties,
    }


def rendered() -> str:
    """Text of package.json with the settings as the server has them now."""
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    manifest["contributes"]["configuration"] = configuration()
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(
            0
            if rendered() == MANIFEST.read_text(encoding="utf-8")
            else "package.json is stale: run this script."
        )
    MANIFEST.write_text(rendered(), encoding="utf-8")
