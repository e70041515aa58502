from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from codeface_lsp.settings import Settings, load
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace

EXTENSIONS = {"python": "py", "javascript": "js", "go": "go"}


@pytest.fixture
def settings() -> Settings:
    return load({"model": {"chat": "scripted"}, "context": {"index": False}, "stats": {"enabled": False}})


@pytest.fixture
def workspace(tmp_path: Path, settings: Settings) -> Workspace:
    root = tmp_path / "project"
    root.mkdir()
    return Workspace([root], settings)


@pytest.fixture
async def indexed(tmp_path: Path) -> AsyncIterator[Workspace]:
    root = tmp_path / "indexed"
    root.mkdir()
    workspace = Workspace([root], load({"stats": {"enabled": False}}))
    yield workspace
    await workspace.aclose()


def document(
    text: str, language: str = "python", *, root: Path = Path("/project"), version: int = 1
) -> Snapshot:
    path = root / f"main.{EXTENSIONS[language]}"
    return Snapshot(path.as_uri(), str(path), language, version, text)
