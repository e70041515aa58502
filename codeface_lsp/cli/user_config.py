"""Changes one key of the user's settings file and leaves every other byte of it, comments too, as it was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from codeface_lsp import settings
from codeface_lsp.errors import SettingsError


def set_key(file: Path, section: str, key: str, value: str) -> None:
    """Set `section.key` to a string; raises `SettingsError` if the file is not written in the usual block form."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    before = _parse(file, text)
    written = _with(text, section, key, yaml.safe_dump(value, default_style=_style(value)).splitlines()[0])
    wanted = {**before, section: {**(before.get(section) or {}), key: value}}
    doubled = len(re.findall(rf"^{section}:", written, re.MULTILINE)) > 1
    if doubled or _parse(file, written) != wanted:
        raise SettingsError(f"{file} is not in block form; set `{section}: {key}: {value}` there yourself.")
    settings.Settings.model_validate(wanted)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(written, encoding="utf-8")
    fresh.replace(file)


def _style(value: str) -> str | None:
    """Quote what YAML would read as something else than a string."""
    return None if isinstance(yaml.safe_load(value), str) else '"'


def _with(text: str, section: str, key: str, value: str) -> str:
    lines = text.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if re.match(rf"{section}:\s*(#.*)?$", line)), None)
    if start is None:
        gap = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{gap}{section}:\n  {key}: {value}\n"
    end = start + 1
    while end < len(lines) and re.match(r"\s|#|$", lines[end]):
        found = re.match(rf"(\s+){key}:", lines[end])
        if found:
            lines[end] = f"{found[1]}{key}: {value}\n"
            return "".join(lines)
        end += 1
    indent = next((m[1] for line in lines[start + 1 : end] if (m := re.match(r"(\s+)\w", line))), "  ")
    lines.insert(start + 1, f"{indent}{key}: {value}\n")
    return "".join(lines)


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"The settings file {file} cannot be read; correct it or remove it.") from error
    return data if isinstance(data, dict) else {}
