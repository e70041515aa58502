"""The layers that settings are merged from, later ones winning.

The defaults < the user's `config.yaml` < `CODEFACE_*` variables (sections joined by two underscores:
`CODEFACE_ENGINE__DEVICE=cpu`) < `initializationOptions` < what a workspace may set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from rapidfuzz import process

from codeface_lsp import paths
from codeface_lsp.errors import SettingsError
from codeface_lsp.settings.schema import ALL_KEYS, WORKSPACE_KEYS, Settings

SECTION = "codeface"
"""Name of the section in editors' settings."""
ENV_PREFIX = "CODEFACE_"
_RESERVED_ENV = {"CODEFACE_HOME", "CODEFACE_EDITORS_CACHE"}


def load(
    initialization_options: Mapping[str, Any] | None = None,
    *,
    workspace: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Merge all layers into `Settings`.

    `workspace` is what `workspace/configuration` answered; its keys that are not harmless are ignored here
    (`refused_keys` names them). Raises `SettingsError` for an unknown key or a value of the wrong type.
    """
    merged: dict[str, Any] = {}
    _merge(merged, _read_file(file or paths.config_file()))
    _merge(merged, _read_environment(os.environ if environ is None else environ))
    _merge(merged, initialization_options or {})
    _merge(merged, _harmless(workspace or {}))
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def section(options: object) -> Mapping[str, Any]:
    """The settings in `initializationOptions`, which may be the section itself or hold it."""
    if not isinstance(options, Mapping):
        return {}
    inner = options.get(SECTION)
    return inner if isinstance(inner, Mapping) else options


def refused_keys(workspace: Mapping[str, Any]) -> list[str]:
    """Dotted names of the keys in a workspace's settings that a workspace may not set."""
    return [key for key, _ in _leaves(workspace) if key not in WORKSPACE_KEYS and key in ALL_KEYS]


def _read_file(file: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(
            f"The settings file {file} cannot be read ({error}); correct it or remove it."
        ) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SettingsError(
            f"The settings file {file} must hold `section:` entries, as config/default.yaml shows."
        )
    return data


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Turn `CODEFACE_A__B=value` into `{"a": {"b": value}}`; values are parsed as YAML scalars or lists."""
    tree: dict[str, Any] = {}
    for name, raw in environ.items():
        if not name.startswith(ENV_PREFIX) or name in _RESERVED_ENV:
            continue
        *sections, leaf = name.removeprefix(ENV_PREFIX).lower().split("__")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[leaf] = yaml.safe_load(raw)
    return tree


def _merge(base: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        elif isinstance(value, Mapping):
            base[key] = {}
            _merge(base[key], value)
        else:
            base[key] = value


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _harmless(workspace: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in _leaves(workspace):
        if key in WORKSPACE_KEYS and value is not None:
            node = tree
            *sections, leaf = key.split(".")
            for section in sections:
                node = node.setdefault(section, {})
            node[leaf] = value
    return tree


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"The setting `{key}` is not valid: {first['msg']}."
    candidates = [*ALL_KEYS, *Settings.model_fields]
    nearest = process.extractOne(key, candidates)
    hint = f"did you mean `{nearest[0]}`?" if nearest else "see config/default.yaml."
    return f"Unknown setting `{key}`: {hint}"
