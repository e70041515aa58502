"""Vim with ALE in a terminal: a suggestion through its omnifunc, as far as ALE takes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.editors.conftest import EDITORS, House, find_editor, saved, until
from tests.editors.terminal import Terminal

pytestmark = [pytest.mark.editors, pytest.mark.timeout(400)]

VIMRC = """
set nocompatible noswapfile completeopt=menu,menuone,noinsert
set runtimepath^={ale},{plugins}
let g:ale_linters = {{'python': ['codeface']}}
filetype plugin on
"""


def test_a_suggestion_is_offered_by_the_omnifunc_and_taken(
    scripted: House, project: Path, tmp_path: Path
) -> None:
    vim = find_editor("vim")
    plugins = tmp_path / "vim"
    (plugins / "plugin").mkdir(parents=True)
    shutil.copy(EDITORS / "vim" / "codeface.vim", plugins / "plugin")
    vimrc = tmp_path / "vimrc"
    vimrc.write_text(VIMRC.format(ale=vim.more["ale"], plugins=plugins))
    environment = {**scripted.environment, **vim.environment}
    command = [vim.executable, "-u", str(vimrc), "shapes.py"]
    with Terminal(command, cwd=project, environment=environment) as terminal:
        terminal.shows("Shapes and their areas")
        terminal.type("Govalue = mo")
        terminal.shows("value = mo")

        def ask() -> None:
            terminal.press("C-e")  # leaves a menu without a choice
            terminal.press("C-x", "C-o")

        ask()
        terminal.shows("CodeFace", again=ask)
        terminal.press("C-y", "Escape")
        terminal.type(":w\r")
        until(
            lambda: "value = mock\n" in saved(project / "shapes.py"), lambda: f"the text:\n{terminal.text()}"
        )
