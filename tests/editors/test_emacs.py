"""Emacs in batch mode, with eglot and with lsp-mode, and codeface.el of this repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.editors.conftest import EDITORS, House, find_editor, saved, settled, until
from tests.editors.scripted import ScriptedServer
from tests.editors.terminal import Terminal

pytestmark = [pytest.mark.editors, pytest.mark.timeout(500)]

HERE = Path(__file__).parent / "emacs"


def emacs(house: House, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = find_editor("emacs")
    paths = [str(EDITORS / "emacs"), str(HERE), *program.more["load_path"]]
    return subprocess.run(
        [program.executable, "--batch", "-Q", *(part for path in paths for part in ("-L", path)), *arguments],
        env={**os.environ, **house.environment, **program.environment, "PROJECT_UNDER_TEST": str(project)},
        capture_output=True,
        text=True,
        timeout=450,
        cwd=project,
    )


@pytest.mark.parametrize("client", ["eglot", "lsp-mode"])
def test_the_client_does_everything(
    scripted: House, scripted_server: ScriptedServer, project: Path, client: str
) -> None:
    (project / "wrong.py").write_text("def double(x):\n    return (x) + (x)\n")
    scripted_server.answers["return (x) + (x)"] = "```python\ndef double(x):\n    return x + x\n```\n"
    scripted_server.answers["What is the answer?"] = "It is:\n\n```python\nANSWER = 42\n```\n"
    tests = str(HERE / f"{client}-test.el")
    scripted_server.requests.clear()
    result = emacs(scripted, project, "-l", tests, "-f", "ert-run-tests-batch-and-exit")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 unexpected" in result.stderr + result.stdout
    if client == "lsp-mode":
        chats = [str(request["messages"]) for request in scripted_server.requests if "messages" in request]
        assert any("What is the answer?" in chat and "for shape in shapes" in chat for chat in chats)


def test_the_package_compiles_without_warnings(scripted: House, project: Path, tmp_path: Path) -> None:
    shutil.copy(EDITORS / "emacs" / "codeface.el", tmp_path)
    setting = "(setq byte-compile-error-on-warn t)"
    files = [str(tmp_path / "codeface.el")]
    result = emacs(
        scripted, project, "-L", str(tmp_path), "--eval", setting, "-f", "batch-byte-compile", *files
    )
    assert result.returncode == 0, result.stderr


def test_ghost_text_of_the_bundled_model_in_a_terminal(bundled: House, project: Path) -> None:
    program = find_editor("emacs")
    init = bundled.path.parent / "init.el"
    init.write_text(
        f"""
        (add-to-list 'load-path "{EDITORS / "emacs"}")
        (setq native-comp-jit-compilation nil inhibit-startup-screen t make-backup-files nil create-lockfiles nil)
        (load-theme 'modus-vivendi t)
        (menu-bar-mode -1)
        (require 'codeface)
        (electric-indent-mode -1)
        (add-hook 'python-mode-hook #'codeface-mode)
        """
    )
    environment = {**bundled.environment, **program.environment}
    with Terminal(
        [program.executable, "-q", "-l", str(init), "shapes.py"], cwd=project, environment=environment
    ) as terminal:
        terminal.shows("CodeFace")
        terminal.shows("[eglot:")
        terminal.press("M->")
        terminal.type(
            "\r\rdef total_perimeter(shapes):\r    total = 0\r    for shape in shapes:\r        total += sha"
        )

        def retype() -> None:  # Emacs asks when one types
            terminal.press("BSpace")
            terminal.type("a")

        settled(
            lambda: re.findall(r"total \+= sha\S.*", terminal.text().partition("total_perimeter")[2]),
            lambda: f"ghost text:\n{terminal.text()}",
            again=retype,
        )
        terminal.picture("emacs-ghost-text")
        terminal.press("Tab")
        terminal.press("C-x", "C-s")
        until(
            lambda: re.search(
                r"total \+= sha\w", saved(project / "shapes.py").rpartition("total_perimeter")[2]
            ),
            lambda: f"the accepted text in the file:\n{terminal.text()}",
        )
