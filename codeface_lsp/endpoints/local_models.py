"""What the files of a model tell that lies on this machine: no engine has to run for that."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from codeface_lsp import paths
from codeface_lsp.prompting.chat import template_in

_BUNDLED = "bundled:"


def tokenizer_file(model: str) -> Path | None:
    """Return `tokenizer.json` of a model that lies on this machine."""
    files = (folder / "tokenizer.json" for folder in _folders(model))
    return next((file for file in files if file.is_file()), None)


def chat_trained(model: str) -> bool | None:
    """Whether a model was trained to chat: its `codeface.json` says so, or it brings a chat template.

    None if the model does not lie on this machine.
    """
    for folder in _folders(model):
        if (folder / "tokenizer_config.json").is_file():
            told = _json(folder / "codeface.json").get("chat_trained")
            return template_in(folder) is not None if told is None else bool(told)
    return None


def _folders(model: str) -> list[Path]:
    """Where a model may lie: its own folder, what comes with CodeFace, the hub's cache."""
    source = _registered_source(model)
    return [Path(source).expanduser(), paths.shipped("bundled") / source, *_snapshots(source)]


def _registered_source(model: str) -> str:
    """Folder or hub id of a registry name; what is not in the registry is one itself."""
    for file in (paths.config_file().with_name("models.yaml"), paths.shipped("config") / "models.yaml"):
        entry = _registry(file, file.stat().st_mtime_ns).get(model) if file.is_file() else None
        if isinstance(entry, dict) and entry.get("model_name"):
            return str(entry["model_name"]).removeprefix(_BUNDLED)
    return model


@lru_cache(maxsize=4)
def _registry(file: Path, changed_ns: int) -> dict[str, Any]:
    """The models of a registry, as they were at its time of change; none if it cannot be read."""
    try:
        registry = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    models = registry.get("models") if isinstance(registry, dict) else None
    return models if isinstance(models, dict) else {}


def _snapshots(hub_id: str) -> list[Path]:
    """Snapshots of a hub id in the hub's cache, newest first."""
    if hub_id.count("/") != 1:
        return []
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    folder = cache / ("models--" + hub_id.replace("/", "--")) / "snapshots"
    if not folder.is_dir():
        return []
    return sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
