"""The assistant in the terminal: whole processes in pipes, in a Git repository, and in a pseudo-terminal."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.scripted_chat import ScriptedModel
from tests.http_servers import eventually, serve
from tests.unit.assist.chat.test_references import git

CODE = "def area(r):\n    return 3.14 * (r * r\n\n\ndef main():\n    print(area(2))\n"
FIXED = CODE.replace("(r * r", "(r * r)")
RIGHT = "```python\ndef area(r):\n    return 3.14 * (r * r)\n```"
TESTS = "```python\nfrom a import area\n\n\ndef test_area():\n    assert area(0) == 0\n```"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\x01\x02\r]")


class Shell:
    """Runs commands in one directory, against one scripted model."""

    def __init__(self, folder: Path, url: str) -> None:
        endpoint = {"name": "scripted", "url": url, "dialect": "openai", "model": "m", "context_tokens": 8192}
        self.folder = folder
        self.environ = os.environ | {"CODEFACE_ENDPOINTS": json.dumps([endpoint]), "TERM": "xterm"}

    async def run(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "codeface_lsp", *arguments),
            cwd=self.folder,
            env=self.environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    @asynccontextmanager
    async def terminal(self, *arguments: str) -> AsyncIterator[Terminal]:
        """The command on a terminal of its own."""
        master, slave = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "codeface_lsp", *arguments),
            cwd=self.folder,
            env=self.environ | {"COLUMNS": "80", "LINES": "24"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        screen = Terminal(master, process)
        try:
            yield screen
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            asyncio.get_running_loop().remove_reader(master)
            os.close(master)


class Terminal:
    """What a person sees and types."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.raw = ""
        self._master = master
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        with suppress(OSError):  # Linux says EIO when the program has ended
            if data := os.read(self._master, 65536):
                self.raw += data.decode(errors="replace")
                return
        asyncio.get_running_loop().remove_reader(self._master)

    @property
    def text(self) -> str:
        """All that was ever shown, without colours."""
        return ESCAPES.sub("", self.raw)

    def type(self, line: str) -> None:
        os.write(self._master, line.encode() + b"\n")

    async def until(self, condition: Callable[[], bool]) -> None:
        try:
            await eventually(condition, 60)
        except TimeoutError as error:
            raise AssertionError(f"the terminal shows:\n{self.text}") from error

    async def prompts(self, count: int) -> None:
        """Wait until the prompt has come that often."""
        await self.until(lambda: self.text.count("you> ") >= count)


@asynccontextmanager
async def shell(folder: Path, model: ScriptedModel) -> AsyncIterator[Shell]:
    async with serve(model.app()) as url:
        yield Shell(folder, url)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.py").write_text(CODE)
    return folder


async def test_answers_in_a_pipe_are_plain_text(project: Path) -> None:
    model = ScriptedModel(lambda messages: ["**It** ", "computes."])
    async with shell(project, model) as here:
        assert await here.run("explain", "a.py", "why?", "-l", "1-2") == (0, "**It** computes.\n", "")
        assert model.asked[-1][1]["content"].startswith("why?")
        assert (await here.run("lesson", "a.py", "geometry", "-l", "1"))[1] == "**It** computes.\n"
        assert "with the focus on geometry" in model.asked[-1][1]["content"]
        assert (await here.run("search", "where is the area computed?"))[1] == "**It** computes.\n"
        assert "`a.py:1-" in model.asked[-1][1]["content"]
        assert (await here.run("chat", "Review this", stdin="a diff\n"))[1] == "**It** computes.\n"
        assert model.asked[-1][1]["content"] == "Review this\n\na diff"
        assert (await here.run("explain", "-", stdin="x = 1\n"))[0] == 0
        assert "x = 1" in model.asked[-1][1]["content"]


async def test_conversations_are_listed_continued_and_printed(project: Path) -> None:
    model = ScriptedModel(lambda messages: [f"answer {len(messages)}"])
    async with shell(project, model) as here:
        assert (await here.run("chat", "--continue", "last"))[0] == 1
        await here.run("chat", "one")
        _, out, _ = await here.run("chat", "--continue", "last", "two")
        assert out == "answer 4\n"
        _, listed, _ = await here.run("chat", "--list")
        assert re.fullmatch(r"[0-9a-f]{12}  one\n", listed)
        _, shown, _ = await here.run("chat", "--show", listed[:12])
        assert shown == (
            "## You\n\none\n\n## CodeFace\n\nanswer 2\n\n## You\n\ntwo\n\n## CodeFace\n\nanswer 4\n"
        )
        status, _, error = await here.run("chat", "--show", "0123456789ab")
        assert status == 1 and "no such conversation" in error and error.count("\n") == 1


async def test_edits_are_a_diff_unless_they_are_written(project: Path) -> None:
    async with shell(project, ScriptedModel(lambda messages: [RIGHT])) as here:
        status, out, _ = await here.run("fix", "a.py", "'(' was never closed", "-l", "2")
        assert status == 0 and (project / "a.py").read_text() == CODE
        assert out == (
            "--- a/a.py\n+++ b/a.py\n@@ -1,5 +1,5 @@\n def area(r):\n-    return 3.14 * (r * r\n"
            "+    return 3.14 * (r * r)\n \n \n def main():\n"
        )
        assert await here.run("fix", "-", "-l", "2", stdin=CODE) == (0, FIXED, "")
        status, out, error = await here.run("fix", "a.py", "-l", "2", "--write")
        assert (status, out, error) == (0, "", "changed a.py\n")
        assert (project / "a.py").read_text() == FIXED


@pytest.mark.parametrize(
    ("command", "answer", "expected"),
    [
        (("docstring",), '"""Area."""\n    return 3.14 * (r * r)', '"""Area."""\n    return 3.14 * (r * r)'),
        (("refactor", "more digits"), "return 3.1416 * (r * r)", "return 3.1416 * (r * r)"),
    ],
)
async def test_every_edit_can_be_written(
    command: tuple[str, ...], answer: str, expected: str, project: Path
) -> None:
    (project / "a.py").write_text(FIXED)
    model = ScriptedModel(lambda messages: [f"```python\ndef area(r):\n    {answer}\n```"])
    async with shell(project, model) as here:
        assert (await here.run(command[0], "a.py", *command[1:], "-l", "1", "-w"))[0] == 0
    assert (project / "a.py").read_text() == FIXED.replace("return 3.14 * (r * r)", expected)


async def test_tests_are_written_to_the_projects_test_file(project: Path) -> None:
    (project / "a.py").write_text(FIXED)
    (project / "tests").mkdir()
    async with shell(project, ScriptedModel(lambda messages: [TESTS])) as here:
        _, out, _ = await here.run("tests", "a.py", "-l", "1")
        assert "+def test_area():" in out and list((project / "tests").iterdir()) == []
        status, _, error = await here.run("tests", "a.py", "-l", "1", "--write")
    assert status == 0 and "test_a.py" in error
    assert (project / "tests" / "test_a.py").read_text().startswith("from a import area\n")


async def test_a_refused_edit_writes_nothing_and_says_why(project: Path) -> None:
    async with shell(project, ScriptedModel(lambda messages: ["You should close the bracket."])) as here:
        status, out, error = await here.run("fix", "a.py", "-l", "2", "--write")
    assert (status, out) == (1, "") and (project / "a.py").read_text() == CODE
    assert "was not applied" in error and "holds no code block" in error


async def test_a_commit_message_comes_from_what_is_staged(project: Path) -> None:
    """Also from a folder below the repository's, and without files that no model may see."""
    model = ScriptedModel(lambda messages: ["Close the bracket.\n\nIt did not parse."])
    below = project / "below"
    below.mkdir()
    async with shell(below, model) as here:
        assert "no Git repository" in (await here.run("commit"))[2]
        git(project, "init", "-q")
        git(project, "config", "user.name", "T")
        git(project, "config", "user.email", "t@example.org")
        status, out, error = await here.run("commit")
        assert (status, out) == (1, "") and "git add" in error
        git(project, "add", "a.py")
        git(project, "commit", "-q", "-m", "Begin at the beginning")
        (project / "a.py").write_text(FIXED)
        (project / ".env").write_text("KEY=1\n")
        git(project, "add", "-f", ".")
        (project / "a.py").write_text(FIXED + "# not staged\n")
        assert await here.run("commit") == (0, "Close the bracket\n\nIt did not parse.\n", "")
        asked = model.asked[-1][1]["content"]
        assert "+    return 3.14 * (r * r)" in asked and "Begin at the beginning" in asked
        assert "not staged" not in asked and "KEY" not in asked

        here.environ["GIT_EDITOR"] = "true"
        assert (await here.run("commit", "--commit"))[0] == 0
    log = (project / ".git" / "logs" / "HEAD").read_text()
    assert log.rstrip().endswith("Close the bracket")


async def test_a_conversation_in_a_terminal(project: Path) -> None:
    model = ScriptedModel(
        lambda messages: ["Here:\n\n", "```python\nx = 1\n```\n\n", f"**{len(messages)}** said."]
    )
    async with shell(project, model) as here, here.terminal("chat", "-f", "a.py") as screen:
        await screen.prompts(1)
        screen.type("what is this?")
        await screen.prompts(2)
        assert "x = 1" in screen.text and "2 said." in screen.text
        assert "```" not in screen.text and "**" not in screen.text, "Markdown is rendered"
        screen.type("and then?")
        await screen.prompts(3)
        assert [m["content"] for m in model.asked[-1] if m["role"] == "user"] == [
            "what is this?",
            "and then?",
        ]
        screen.type("/explian")
        await screen.prompts(4)
        assert "did you mean `/explain`" in screen.text
        screen.type("/clear")
        await screen.prompts(5)
        screen.type("/explain")
        await screen.prompts(6)
        assert [m["role"] for m in model.asked[-1]] == ["system", "user"]
        assert "Explain this code from `a.py`" in model.asked[-1][1]["content"]
        screen.type("/quit")
        assert await asyncio.wait_for(screen.process.wait(), 30) == 0


async def test_a_long_answer_on_a_terminal_is_shown_once(project: Path) -> None:
    """Redrawing an answer that is longer than the screen would repeat what has scrolled away."""
    model = ScriptedModel(
        lambda messages: [f"- point{n} is one of many\n" + "\n" * (n % 3 == 0) for n in range(90)]
    )
    async with shell(project, model) as here, here.terminal("chat", "list them") as screen:
        assert await asyncio.wait_for(screen.process.wait(), 60) == 0
        await screen.until(lambda: "point89" in screen.text)
    shown = [line.split()[1] for line in lines_shown(screen.raw, 24) if "point" in line]
    assert shown == [f"point{n}" for n in range(90)]


def lines_shown(raw: str, height: int) -> list[str]:
    """What a terminal of that height holds in the end, scrolled lines too: what has scrolled away stays as it is."""
    lines, row, bottom = [""], 0, 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\n)", raw.replace("\r", "")):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
            bottom = max(bottom, row)
        elif move := re.fullmatch(r"\x1b\[(\d*)A", part):
            row = max(row - int(move[1] or 1), bottom - height + 1, 0)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith("\x1b"):
            lines[row] += part
    return lines


async def test_ctrl_c_stops_the_answer_and_then_leaves(project: Path) -> None:
    model = ScriptedModel(lambda messages: ["one\n\n", "two ", "three"], held=True)
    async with shell(project, model) as here, here.terminal("chat") as screen:
        await screen.prompts(1)
        screen.type("count")
        model.let(1)
        await screen.until(lambda: "one" in screen.text)
        screen.process.send_signal(signal.SIGINT)
        await screen.prompts(2)
        assert "stopped" in screen.text
        await eventually(lambda: model.ended_early == 1)
        screen.type("go on")
        await eventually(lambda: len(model.asked) == 2)
        model.let(3)
        await screen.prompts(3)
        assert [m["content"] for m in model.asked[-1][1:]] == ["count", "one", "go on"], (
            "what there was is kept"
        )
        screen.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(screen.process.wait(), 30) == 0
