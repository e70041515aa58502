"""Neovim with the plug-in of this repository: ghost text, actions and chat, as a user would see them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.editors.conftest import EDITORS, Editor, House, find_editor, settled, until
from tests.editors.scripted import ScriptedServer
from tests.editors.terminal import Terminal

pytestmark = [pytest.mark.editors, pytest.mark.timeout(400)]

INIT = """
vim.opt.runtimepath:prepend({plugin!r})
vim.cmd('filetype indent off')
vim.o.autoindent = false
vim.opt.swapfile = false
vim.o.background = 'dark'
vim.cmd.colorscheme('habamax')
require('codeface').setup({{ {options} }})
"""


NEW_CODE = "\ndef total_perimeter(shapes):\n    total = 0\n    for shape in shapes:\n        total += sha"


class Neovim:
    """A running Neovim: its screen, and what its server socket tells."""

    def __init__(self, terminal: Terminal, program: Editor, address: Path) -> None:
        self.terminal = terminal
        self._program = program
        self._address = address

    def lua(self, code: str) -> Any:
        """Run Lua inside of it; returns what the code returns. An answer that is not JSON fails the test."""
        script = self._address.with_suffix(".lua")
        script.write_text(code)
        expression = f"json_encode(luaeval('dofile(_A)', '{script}'))"
        answer = subprocess.run(
            [self._program.executable, "--headless", "--server", self._address, "--remote-expr", expression],
            env={**os.environ, **self._program.environment},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert answer.stdout, f"Neovim did not answer: {answer.stderr}\n{self.terminal.text()}"
        return json.loads(answer.stdout)

    def command(self, text: str) -> None:
        """Run an Ex command."""
        self.lua(f"vim.cmd({json.dumps(text)})")

    @property
    def line(self) -> str:
        """The current line."""
        return str(self.lua("return vim.api.nvim_get_current_line()"))

    def ghost(self) -> str:
        """The ghost text on the screen, "" if there is none."""
        return str(
            self.lua(
                """
                local found = {}
                for _, name in ipairs({ 'nvim.lsp.inline_completion', 'codeface.ghost' }) do
                  local namespace = vim.api.nvim_get_namespaces()[name]
                  local marks = namespace
                    and vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true }) or {}
                  for _, mark in ipairs(marks) do
                    found[#found + 1] = mark[4].virt_text and mark[4].virt_text[1][1] or ''
                    for _, line in ipairs(mark[4].virt_lines or {}) do
                      found[#found + 1] = line[1][1]
                    end
                  end
                end
                return table.concat(found, '\\n')
                """
            )
        )

    def wait_for_ghost(self) -> str:
        """Ghost text that stays; a key is typed again now and then, since Neovim asks only when one types."""

        def retype() -> None:
            last = self.line[-1]
            self.terminal.press("BSpace")
            self.terminal.type(last)

        return settled(self.ghost, lambda: f"ghost text; the screen:\n{self.terminal.text()}", again=retype)

    def type_line(self, line: str) -> None:
        """Type below the last line, and wait until all of it has arrived."""
        self.command("normal! G")
        self.terminal.type(f"o{line}")
        until(lambda: self.line == line.rpartition("\n")[2], lambda: f"{line!r}, not {self.line!r}")

    def text(self) -> str:
        return "\n".join(self.lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)"))

    def started(self) -> None:
        until(
            lambda: self.lua(
                "return require('codeface').client(0) ~= nil and require('codeface').client(0).initialized"
            ),
            lambda: f"the server; the screen:\n{self.terminal.text()}",
        )


def listens(path: Path) -> bool:
    """Whether somebody answers at a socket; its file is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@contextmanager
def neovim(
    house: House, project: Path, file: str = "shapes.py", options: str = "", editor: str = "nvim"
) -> Iterator[Neovim]:
    program = find_editor(editor)
    # A folder of its own: one that is still ending removes its socket, and must not find another's there.
    folder = Path(tempfile.mkdtemp(prefix="n", dir=house.path.parent))
    address = folder / "s"
    init = folder / "init.lua"
    init.write_text(INIT.format(plugin=str(EDITORS / "neovim"), options=options))
    command = [program.executable, "--clean", "-u", str(init), "--listen", str(address), file]
    environment = {**house.environment, **program.environment, "XDG_STATE_HOME": str(folder)}
    with Terminal(command, cwd=project, environment=environment) as terminal:
        until(lambda: listens(address), lambda: f"Neovim's socket; the screen:\n{terminal.text()}")
        running = Neovim(terminal, program, address)
        # It answers on its socket before it has read its configuration.
        until(lambda: running.lua("return vim.v.vim_did_enter") == 1, "Neovim to have started")
        yield running


def test_ghost_text_of_the_bundled_model_is_seen_and_accepted(bundled: House, project: Path) -> None:
    with neovim(bundled, project) as editor:
        editor.started()
        editor.type_line(NEW_CODE)
        ghost = editor.wait_for_ghost()
        editor.terminal.picture("neovim-ghost-text")
        before = editor.text()
        editor.terminal.press("Tab")
        until(lambda: len(editor.text()) > len(before), "the accepted text")
        assert (
            editor.text().replace(" ", "").replace("\n", "").find(ghost.replace(" ", "").replace("\n", ""))
            >= 0
        )


@pytest.mark.parametrize(
    ("program", "options"),
    [("nvim", ""), ("nvim", "native = false"), ("nvim-0.11", ""), ("nvim-older", "")],
    ids=["native", "drawn by the plug-in", "Neovim 0.11", "Neovim 0.10"],
)
def test_words_lines_and_the_whole_are_accepted(
    scripted: House, project: Path, program: str, options: str
) -> None:
    with neovim(scripted, project, options=options, editor=program) as editor:
        editor.started()
        editor.type_line("value = ")
        assert editor.wait_for_ghost() == "mock()  # mock"
        editor.terminal.press("M-w")
        until(
            lambda: editor.line == "value = mock",
            lambda: f"a word, not {editor.line!r}",
        )
        until(lambda: editor.ghost().startswith("()"), lambda: f"the rest, not {editor.ghost()!r}")
        editor.terminal.press("Tab")
        until(
            lambda: editor.line.startswith("value = mock()"),
            lambda: f"the whole, not {editor.line!r}",
        )


def test_a_fix_is_applied(scripted: House, scripted_server: ScriptedServer, project: Path) -> None:
    (project / "wrong.py").write_text("def double(x):\n    return x +\n")
    scripted_server.answers["return x +"] = "```python\ndef double(x):\n    return x + x\n```\n"
    with neovim(scripted, project, "wrong.py") as editor:
        editor.started()
        editor.command("normal! 2G")
        editor.lua(
            """
            vim.diagnostic.set(vim.api.nvim_create_namespace('test'), 0, {
              { lnum = 1, col = 0, end_col = 14, message = 'invalid syntax', severity = 1 },
            })
            """
        )
        before = editor.text()
        editor.command("CodeFace fix")
        until(
            lambda: "return x + x" in editor.text(), lambda: f"the fix; the screen:\n{editor.terminal.text()}"
        )
        editor.terminal.type("u")  # one step takes all of it back
        until(lambda: editor.text() == before, lambda: f"the text before the fix, not:\n{editor.text()}")


@pytest.mark.parametrize("program", ["nvim", "nvim-0.11", "nvim-older"])
def test_chat_streams_stops_and_hands_its_code_over(
    scripted: House, scripted_server: ScriptedServer, project: Path, program: str
) -> None:
    scripted_server.answers["What is the answer?"] = "It is:\n\n```python\nANSWER = 42\n```\n"
    with neovim(scripted, project, editor=program) as editor:
        editor.started()
        editor.command("CodeFace chat What is the answer?")
        until(lambda: editor.text().count("## You") == 2, lambda: f"an answer, not:\n{editor.text()}")
        assert "ANSWER = 42" in editor.text()
        editor.terminal.picture("neovim-chat" if program == "nvim" else f"{program}-chat")
        editor.lua("vim.fn.search('ANSWER', 'bw')")
        editor.terminal.type("gi")
        until(lambda: "ANSWER = 42" in _code(editor), "the code block in the file")

        scripted_server.cut_off.clear()
        editor.command("CodeFace chat endless, please")
        until(lambda: editor.text().count("word") > 5, lambda: f"the stream to begin:\n{editor.text()}")
        editor.command("CodeFace chat-stop")
        until(lambda: "_Stopped._" in editor.text(), "the answer to stop")
        assert scripted_server.cut_off.wait(30)


def test_status_and_health(scripted: House, project: Path) -> None:
    with neovim(scripted, project) as editor:
        editor.started()
        until(
            lambda: editor.lua("return require('codeface.status').current.state") == "ready",
            lambda: f"ready, not {editor.lua('return require([[codeface.status]]).current')}",
        )
        assert editor.lua("return require('codeface.status').line()") == "CodeFace"
        editor.command("checkhealth codeface")
        until(lambda: "the server runs" in editor.text(), lambda: f"the report, not:\n{editor.text()}")
        assert "`codeface doctor` did not answer" not in editor.text()


def _code(editor: Neovim) -> str:
    return "\n".join(editor.lua("return vim.api.nvim_buf_get_lines(vim.fn.bufnr('shapes.py'), 0, -1, false)"))
