"""Real editors, the real server, the bundled model; a scripted model server where a text must be exact."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.editors.scripted import ScriptedServer

ROOT = Path(__file__).parents[2]
EDITORS = ROOT / "editors"
ARTIFACTS = ROOT / "artifacts" / "editors"
TIMEOUT = 90.0
"""Seconds for anything to happen: a machine that does other things at the same time is slow, not wrong."""
Value = TypeVar("Value")

_cache = runpy.run_path(str(EDITORS / "install.py"))["cache"]()


@dataclass
class Editor:
    """An installed editor: its program and the environment that it wants."""

    name: str
    executable: str
    environment: dict[str, str]
    version: str
    more: dict[str, Any] = field(default_factory=dict)


def find_editor(name: str) -> Editor:
    """The editor as `editors/install.py` left it. Missing: a skip that names it, and a failure in CI."""
    try:
        found = json.loads((_cache / "editors.json").read_text())[name]
    except (OSError, KeyError):
        found = None
    if found is None or not Path(found["executable"]).exists():
        message = f"{name} is not installed; run `python editors/install.py`."
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    more = {key: value for key, value in found.items() if key not in ("executable", "environment", "version")}
    return Editor(name, found["executable"], found["environment"], found["version"], more)


def until(
    check: Callable[[], Value],
    what: str | Callable[[], str],
    timeout: float = TIMEOUT,
    again: Callable[[], object] | None = None,
    every: float = 5.0,
) -> Value:
    """Poll `check` until it is truthy and return its value; fail with `what` after `timeout` seconds.

    `again` asks once more, after each `every` seconds without success: for what an editor does only when it is asked
    at the right moment. A key that is pressed at every poll would undo what the one before it began.
    """
    began = asked = time.monotonic()
    while True:
        if value := check():
            return value
        now = time.monotonic()
        if now - began > timeout:
            shown = what() if callable(what) else what
            pytest.fail(f"waited {timeout:.0f} s for {shown}")
        if again is not None and now - asked > every:
            again()
            asked = time.monotonic()
        time.sleep(0.05)


def settled(read: Callable[[], Value], what: str | Callable[[], str], **options: Any) -> Value:
    """A truthy value that was read twice, a quarter of a second apart: an editor may still be drawing the first."""
    last: list[Value] = []

    def same() -> Value | None:
        value = read()
        if value and last and last[-1] == value:
            return value
        last[:] = [value]
        time.sleep(0.25)
        return None

    found = until(same, what, **options)
    assert found is not None
    return found


def saved(file: Path) -> str:
    """What is on disk; nothing while the editor is replacing the file (Helix moves the old one away first)."""
    with suppress(FileNotFoundError):
        return file.read_text(encoding="utf-8")
    return ""


@dataclass
class House:
    """One CODEFACE_HOME: its settings, its engine, and the environment of editors that use it."""

    path: Path
    environment: dict[str, str]

    def engine(self) -> dict[str, Any] | None:
        """What the engine's runtime file says."""
        with suppress(OSError, ValueError):
            return dict(json.loads((self.path / "run" / "engine-1.json").read_text()))
        return None

    def stop_engine(self) -> None:
        """End the engine of this house, if there is one."""
        if running := self.engine():
            with suppress(ProcessLookupError):
                os.kill(running["pid"], signal.SIGTERM)


def house(**settings: str) -> Iterator[House]:
    """A house with its own settings, gone with its engine at the end."""
    folder = Path(tempfile.mkdtemp(prefix="cf-"))  # short: some editors put sockets below it
    environment = {
        "HOME": str(folder / "user"),
        "CODEFACE_HOME": str(folder / "codeface"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        **settings,
    }
    (folder / "user").mkdir()
    built = House(folder / "codeface", environment)
    yield built
    built.stop_engine()
    keep_logs(built.path / "logs", folder.name)
    shutil.rmtree(folder, ignore_errors=True)


def keep_logs(logs: Path, name: str) -> None:
    """Copy a folder of logs to the artefacts; processes that are ending may still take files out of it."""
    with suppress(OSError, shutil.Error):
        shutil.copytree(logs, ARTIFACTS / "logs" / name, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def bundled() -> Iterator[House]:
    """The real server and its engine with the bundled model, which shows whatever it thinks of."""
    yield from house(CODEFACE_COMPLETION__MIN_CONFIDENCE="-100")


@pytest.fixture(scope="session")
def scripted_server() -> Iterator[ScriptedServer]:
    """A model server that answers what the tests tell it."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="session")
def scripted(scripted_server: ScriptedServer) -> Iterator[House]:
    """The real server, which asks `scripted_server` for everything."""
    endpoint = {"name": "scripted", "url": scripted_server.url, "dialect": "openai", "fim": "starcoder"}
    yield from house(CODEFACE_ENDPOINTS=json.dumps([endpoint]))


@pytest.fixture(scope="session")
def vsix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged extension."""
    from tests.editors.code_server import package

    return package(tmp_path_factory.mktemp("vsix"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A workspace whose path has a space and letters beyond ASCII."""
    folder = tmp_path / "Größe und μέτρα"
    folder.mkdir()
    (folder / ".git").mkdir()
    (folder / "shapes.py").write_text(SHAPES)
    return folder


SHAPES = '''\
"""Shapes and their areas."""

import math


class Circle:
    def __init__(self, radius):
        self.radius = radius

    def area(self):
        return math.pi * self.radius ** 2


class Square:
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side * self.side


def total_area(shapes):
    total = 0
    for shape in shapes:
        total += shape.area()
    return total
'''
