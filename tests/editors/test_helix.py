"""Helix in a terminal: completion, code actions, and the chat document through workspace commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.editors.conftest import EDITORS, House, find_editor, saved, until
from tests.editors.scripted import ScriptedServer
from tests.editors.terminal import Terminal

pytestmark = [pytest.mark.editors, pytest.mark.timeout(240)]

CONFIG = """
theme = "onedark"
[editor]
completion-timeout = 5
idle-timeout = 50
[editor.lsp]
display-messages = true
[editor.word-completion]
enable = false
[editor.statusline]
left = ["mode", "spinner", "file-name", "file-modification-indicator"]
"""
PYTHON = """
[[language]]
name = "python"
language-servers = ["codeface"]
"""


@contextmanager
def helix(house: House, project: Path, tmp_path: Path, file: str = "shapes.py") -> Iterator[Terminal]:
    program = find_editor("helix")
    folder = tmp_path / "config" / "helix"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(CONFIG)
    ours = (EDITORS / "helix" / "languages.toml").read_text()
    server = ours.partition("[[language]]")[0]  # the servers of other languages are not installed here
    (folder / "languages.toml").write_text(server + PYTHON)
    environment = {
        **house.environment,
        **program.environment,
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "COLORTERM": "truecolor",
    }
    with Terminal([program.executable, file], cwd=project, environment=environment) as terminal:
        terminal.shows("NOR")
        yield terminal


def normal(terminal: Terminal) -> None:
    """Leave insert mode; Helix needs a moment to tell Escape from the beginning of a longer key."""
    terminal.press("Escape")
    terminal.shows("NOR")


def command(terminal: Terminal, text: str) -> None:
    terminal.type(f":{text}")
    terminal.shows(f":{text}")
    terminal.press("Enter")


def test_a_suggestion_is_offered_and_taken(scripted: House, project: Path, tmp_path: Path) -> None:
    with helix(scripted, project, tmp_path) as terminal:
        terminal.type("geo")
        terminal.shows("INS")
        terminal.type("value = ")

        def offered() -> bool:
            if "mock()" in terminal.text():
                return True
            terminal.press("C-x")  # ask for completion; the server may still be starting
            return False

        until(offered, lambda: f"a completion:\n{terminal.text()}", pause=0.7)
        terminal.picture("helix-completion")
        terminal.press("Tab", "Enter")
        terminal.shows("value = mock()")
        normal(terminal)
        command(terminal, "w")
        until(lambda: "value = mock()" in saved(project / "shapes.py"), "the file to be saved")


def test_an_action_is_applied_through_the_menu(
    scripted: House, scripted_server: ScriptedServer, project: Path, tmp_path: Path
) -> None:
    (project / "wrong.py").write_text("def double(x):\n    return (x) + (x)\n")
    scripted_server.answers["return (x) + (x)"] = "```python\ndef double(x):\n    return x + x\n```\n"
    with helix(scripted, project, tmp_path, "wrong.py") as terminal:
        terminal.type("j")

        def listed() -> bool:
            if "CodeFace: simplify" in terminal.text():
                return True
            terminal.press("Escape")
            terminal.type(" a")
            return False

        until(listed, lambda: f"the actions:\n{terminal.text()}", pause=1.0)
        terminal.picture("helix-actions")
        titles = re.findall(r"CodeFace: (\w+)", terminal.text())
        terminal.press(*["Tab"] * titles.index("simplify"), "Enter")
        terminal.shows("return x + x")


def test_the_chat_document_is_opened_by_a_workspace_command(
    scripted: House, scripted_server: ScriptedServer, project: Path, tmp_path: Path
) -> None:
    scripted_server.answers["What is the answer?"] = "It is:\n\n```python\nANSWER = 42\n```\n"
    with helix(scripted, project, tmp_path) as terminal:

        def opened() -> bool:
            if "CodeFace" in terminal.text():
                return True
            command(terminal, "lsp-workspace-command codeface.chat")
            return False

        until(opened, lambda: f"the chat document:\n{terminal.text()}", pause=2.0)
        terminal.picture("helix-chat")
