"""What every test gets: a home of its own, so that nothing of the user's is read or written."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def codeface_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `CODEFACE_HOME`, and none of the caller's `CODEFACE_*` settings."""
    import os

    for name in list(os.environ):
        if name.startswith("CODEFACE_"):
            monkeypatch.delenv(name)
    home = tmp_path / "codeface-home"
    monkeypatch.setenv("CODEFACE_HOME", str(home))
    return home
