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

pytestmark = [pytest.mark.editors, pytest.mark.timeout(400)]

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
LANGUAGES = """
[[language]]
name = "python"
language-servers = ["codeface"]

[[language]]
name = "markdown"
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
    (folder / "languages.toml").write_text(server + LANGUAGES)
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
    """Leave insert mode, or a menu: by Escape as `CSI 27 u`, which with a key behind it is not taken for Alt."""
    terminal.type("\x1b[27u")
    terminal.shows("NOR")


def command(terminal: Terminal, text: str) -> None:
    terminal.type(f":{text}")
    terminal.shows(f":{text}")
    terminal.press("Enter")


def test_a_suggestion_is_offered_and_taken_and_the_spinner_stops(
    scripted: House, project: Path, tmp_path: Path
) -> None:
    with helix(scripted, project, tmp_path) as terminal:
        terminal.type("geo")
        terminal.shows("INS")
        terminal.type("value = ")
        terminal.shows("value =")
        # The server may still be starting: ask again, but leave time for an answer.
        terminal.shows("mock()", again=lambda: terminal.press("C-x"))
        until(
            lambda: re.search(r"INS +shapes\.py", terminal.text()),
            lambda: f"the spinner before the file's name to stop:\n{terminal.text()}",
        )
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
        choose(terminal, "simplify", picture="helix-actions")
        terminal.shows("return x + x")


def choose(terminal: Terminal, action: str, picture: str = "") -> None:
    """Take an action of the menu that `space a` opens, once the server offers it."""

    def ask() -> None:
        normal(terminal)
        terminal.type(" a")

    def menu() -> list[str]:
        titles = re.findall(r"  CodeFace: (\w+)", terminal.text())
        return titles if action in titles else []

    ask()
    titles = until(menu, lambda: f"the menu of actions:\n{terminal.text()}", again=ask)
    if picture:
        terminal.picture(picture)
    terminal.press(*["Tab"] * titles.index(action), "Enter")  # the first one is selected


def test_the_chat_document_is_opened_and_its_questions_are_answered(
    scripted: House, scripted_server: ScriptedServer, project: Path, tmp_path: Path
) -> None:
    scripted_server.answers["What is the answer?"] = "It is:\n\n```python\nANSWER = 42\n```\n"
    scripted_server.answers["And what was the question?"] = "Nobody knows."

    def ask() -> None:
        normal(terminal)
        command(terminal, "lsp-workspace-command codeface.chat")

    with helix(scripted, project, tmp_path) as terminal:
        ask()
        terminal.shows("## You", again=ask)
        for question, answer in (
            ("What is the answer?", "ANSWER = 42"),
            ("And what was the question?", "Nobody knows."),
        ):
            terminal.type("geo")
            terminal.shows("INS")
            terminal.type(question)
            terminal.shows(question)
            normal(terminal)
            choose(terminal, "send")
            terminal.shows(answer)
            until(
                lambda: terminal.text().rstrip().rfind("## You") > terminal.text().find(answer),  # noqa: B023
                lambda: f"the heading of the next question:\n{terminal.text()}",
            )
            terminal.picture("helix-chat")
