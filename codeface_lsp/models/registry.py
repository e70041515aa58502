"""The model registry: `config/models.yaml`, over it the user's own `models.yaml` beside the settings file.

Any hub id, folder or `.gguf` file works without an entry; an entry adds a short name, a description, defaults, a
fallback. The user's file may replace an entry whole, or add entries and aliases.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rapidfuzz import fuzz, process

from codeface_lsp import paths
from codeface_lsp.errors import ModelLoadError, SettingsError
from codeface_lsp.models.types import Role
from codeface_lsp.prompting.families import FAMILIES

BUNDLED = "bundled:"
"""Prefix of a `model_name` that lies in the directory of models that come with CodeFace."""
_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


class ModelEntry(BaseModel):
    """One model of the registry, or one made up for a hub id or a path."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    name: str = ""
    model_name: str = Field(description="Hub id, folder or .gguf file.")
    description: str = ""
    roles: tuple[Role, ...] = ("completion", "chat")
    model_type: str | None = Field(None, description="Architecture, for reading; the checkpoint decides.")
    family: str | None = Field(None, description="Prompt family, where it cannot be inferred.")
    size_gb: float | None = Field(None, description="Download in gigabytes.")
    licence: str = ""
    gated: bool = False
    revision: str | None = None
    gguf_file: str | None = None
    device: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = None
    quantization: Literal["8bit", "4bit", "gptq", "awq"] | None = None
    attention: Literal["auto", "sdpa", "flash_attention_2", "eager"] | None = None
    trust_remote_code: bool = False
    max_context_length: int | None = Field(None, ge=16)
    offload_folder: str | None = None
    defaults: dict[str, Any] = Field(default_factory=dict)
    fallback: list[str] = Field(default_factory=list)

    @property
    def local(self) -> Path | None:
        """The folder or file that it names, None for a hub id."""
        if self.model_name.startswith(BUNDLED):
            return paths.shipped("bundled") / self.model_name.removeprefix(BUNDLED)
        path = Path(self.model_name).expanduser()
        return path if path.is_absolute() or path.exists() else None


class Registry:
    """Names, aliases and entries. Immutable once read."""

    def __init__(self, entries: dict[str, ModelEntry], aliases: dict[str, str]) -> None:
        self.entries = entries
        self.aliases = aliases

    def find(self, name: str) -> ModelEntry:
        """The entry for a registry name, alias, hub id, folder or `.gguf` file.

        Raises `ModelLoadError` (`unknown_model`) with the nearest names, or `not_found` for a path.
        """
        wanted = self.aliases.get(name, name)
        if wanted in self.entries:
            return self.entries[wanted]
        path = Path(wanted).expanduser()
        if path.exists():
            return ModelEntry(name=path.name, model_name=str(path.resolve()))
        if path.is_absolute() or wanted.startswith((".", "~")):
            raise ModelLoadError(f"There is no model folder {path}; check the path.", kind="not_found")
        for entry in self.entries.values():
            if entry.model_name == wanted:
                return entry
        if _HUB_ID.match(wanted):
            return ModelEntry(name=wanted, model_name=wanted)
        raise ModelLoadError(
            f"There is no model `{name}`; did you mean {self._nearest(name)}? "
            "A hub id (owner/name) or a folder works too.",
            kind="unknown_model",
        )

    def _nearest(self, name: str) -> str:
        known = [*self.entries, *self.aliases]
        ranked = process.extract(name, known, scorer=fuzz.WRatio, limit=3)
        return ", ".join(f"`{match[0]}`" for match in ranked) or "one of `codeface models list`"


def read(user_file: Path | None = None) -> Registry:
    """Read the shipped registry and the user's. Raises `SettingsError` for an entry that is not valid."""
    user_file = user_file or paths.config_file().with_name("models.yaml")
    entries: dict[str, ModelEntry] = {}
    aliases: dict[str, str] = {}
    for file in (paths.shipped("config") / "models.yaml", user_file):
        data = _parse(file)
        entries.update(
            {name: _entry(file, name, values) for name, values in (data.get("models") or {}).items()}
        )
        aliases.update(data.get("aliases") or {})
    for alias, name in aliases.items():
        if name not in entries and not _HUB_ID.match(name):
            raise SettingsError(
                f"The alias `{alias}` in models.yaml names `{name}`, which has no entry; correct it."
            )
    return Registry(entries, aliases)


def _parse(file: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"The model registry {file} cannot be read; correct it or remove it.") from error
    if data is not None and not isinstance(data, dict):
        raise SettingsError(
            f"The model registry {file} must hold `models:` and `aliases:`, as the shipped one."
        )
    return data or {}


def _entry(file: Path, name: str, values: Any) -> ModelEntry:
    try:
        entry = ModelEntry.model_validate({**values, "name": name})
    except (ValidationError, TypeError) as error:
        first = (
            error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "not a mapping"}
        )
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"The model `{name}` in {file} is not valid: {key}: {first['msg']}.") from error
    if entry.family is not None and entry.family not in FAMILIES:
        raise SettingsError(
            f"The model `{name}` in {file} names the family `{entry.family}`; known are {', '.join(FAMILIES)}."
        )
    return entry
