"""What a message refers to with `@` reaches the model, as much as fits; what no model may see does not."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from codeface_lsp.assist.chat import ChatService, Place
from codeface_lsp.assist.edits import Problemed
from codeface_lsp.endpoints.types import ModelCard
from codeface_lsp.errors import CodeFaceError
from codeface_lsp.settings import Settings
from codeface_lsp.workspace.workspace import Workspace
from tests.scripted import ScriptedEndpoint
from tests.unit.assist.chat.test_service import CODE, question, reply
from tests.unit.assist.conftest import document


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(workspace: Workspace) -> Path:
    """The workspace's root with one commit."""
    root = workspace.roots[0]
    (root / "shapes.py").write_text(CODE)
    (root / ".env").write_text("KEY=old\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "Begin")
    return root


@pytest.fixture
def place(workspace: Workspace) -> Place:
    text = CODE + "\n\ndef other():\n    pass\n"
    problem = Problemed(0, 3, "line 1: [ruff E501] Line too long")
    return Place(document(text, root=workspace.roots[0]), 0, 8, (problem,))


@pytest.fixture
def endpoint() -> ScriptedEndpoint:
    return ScriptedEndpoint("done")


@pytest.fixture
def chat(endpoint: ScriptedEndpoint, workspace: Workspace, settings: Settings) -> ChatService:
    return ChatService(endpoint, workspace, settings)


async def test_a_selection_is_attached_in_whole_lines(
    chat: ChatService, endpoint: ScriptedEndpoint, place: Place
) -> None:
    answer = await reply(chat.send("What is @selection for?", place=place))
    assert "`main.py`, lines 1-1:\n\n```python\ndef area(r):\n```" in question(endpoint)
    assert [(r.path, r.first_line, r.last_line) for r in answer.references] == [("main.py", 1, 1)]


async def test_diagnostics_are_attached_with_source_and_code(
    chat: ChatService, endpoint: ScriptedEndpoint, place: Place
) -> None:
    await reply(chat.send("Why @diagnostics?", place=place))
    assert "Diagnostics of `main.py`:" in question(endpoint)
    assert "line 1: [ruff E501] Line too long" in question(endpoint)
    await reply(chat.send("/fix", place=place))
    assert "- line 1: [ruff E501] Line too long" in question(endpoint)


async def test_a_fix_is_about_the_diagnostics_of_its_code(
    chat: ChatService, endpoint: ScriptedEndpoint, place: Place
) -> None:
    elsewhere = Problemed(len(CODE) + 4, len(CODE) + 8, "line 5: unused")
    both = replace(place, diagnostics=(*place.diagnostics, elsewhere))
    await reply(chat.send("/fix", place=both))
    assert "Line too long" in question(endpoint) and "unused" not in question(endpoint)
    await reply(chat.send("/fix", place=replace(place, diagnostics=(elsewhere,))))
    assert "unused" in question(endpoint), "a single one that was given is meant"


async def test_definitions_of_a_symbol_are_attached(
    indexed: Workspace, endpoint: ScriptedEndpoint, settings: Settings
) -> None:
    (indexed.roots[0] / "shapes.py").write_text(CODE)
    chat = ChatService(endpoint, indexed, settings)
    answer = await reply(chat.send("Explain @symbol:area, please."))
    assert "`area` in `shapes.py`:" in question(endpoint) and "3.14 * r * r" in question(endpoint)
    assert [(r.path, r.first_line, r.last_line) for r in answer.references] == [("shapes.py", 1, 2)]


async def test_the_uncommitted_diff_is_attached_without_secret_files(
    chat: ChatService, endpoint: ScriptedEndpoint, repository: Path
) -> None:
    (repository / "shapes.py").write_text(CODE.replace("3.14", "math.pi"))
    (repository / ".env").write_text("KEY=new\n")
    (repository / "naïve name.py").write_text("x = 1\n")
    git(repository, "add", "naïve name.py")
    await reply(chat.send("Review @diff"))
    asked = question(endpoint)
    assert "+    return math.pi * r * r" in asked and "naïve name.py" in asked
    assert "KEY" not in asked and ".env" not in asked


async def test_a_diff_that_is_not_there_is_one_sentence(
    chat: ChatService, workspace: Workspace, endpoint: ScriptedEndpoint
) -> None:
    with pytest.raises(CodeFaceError, match="no Git repository"):
        await reply(chat.send("@diff"))
    git(workspace.roots[0], "init", "-q")
    with pytest.raises(CodeFaceError, match="no Git repository with a commit"):
        await reply(chat.send("@diff"))
    (workspace.roots[0] / ".env").write_text("KEY=1\n")
    git(workspace.roots[0], "add", "-f", ".")
    git(workspace.roots[0], "commit", "-q", "-m", "Begin")
    with pytest.raises(CodeFaceError, match="no changes uncommitted"):
        await reply(chat.send("@diff"))
    (workspace.roots[0] / ".env").write_text("KEY=2\n")
    with pytest.raises(CodeFaceError, match="no model may see"):
        await reply(chat.send("@diff"))
    assert endpoint.requests == []


async def test_a_link_to_a_secret_file_is_not_followed(chat: ChatService, workspace: Workspace) -> None:
    root = workspace.roots[0]
    (root / ".env").write_text("KEY=1\n")
    (root / "notes.txt").symlink_to(root / ".env")
    with pytest.raises(CodeFaceError, match="not shown to a model"):
        await reply(chat.send("@notes.txt"))


async def test_a_file_that_is_too_long_is_cut_and_says_so(
    chat: ChatService, endpoint: ScriptedEndpoint, workspace: Workspace
) -> None:
    lines = [f"value_{n} = compute({n})" for n in range(20_000)]
    (workspace.roots[0] / "long.py").write_text("\n".join(lines))
    (workspace.roots[0] / "short.py").write_text("SHORT = 1\n")
    answer = await reply(chat.send("Compare @long.py and @short.py"))
    asked = question(endpoint)
    assert "value_0" in asked and "value_19999" not in asked and "SHORT = 1" in asked
    assert "without its last" in asked and len(asked) < 16_000
    (long, short) = answer.references
    assert 1 < long.last_line < 20_000 and short.last_line == 1
    assert f"value_{long.last_line - 1} =" in asked and f"value_{long.last_line} =" not in asked


@pytest.mark.parametrize("command", ["/explain", "/fix", "/doc", "/lesson", "/tests", "/refactor shorter"])
async def test_a_selection_of_20000_lines_is_cut_in_every_command(
    command: str, workspace: Workspace, settings: Settings
) -> None:
    endpoint = ScriptedEndpoint("done", card=ModelCard("scripted", context_tokens=2048, chat=True))
    text = "value = compute(1, 2, 3)\n" * 20_000
    selected = Place(document(text, root=workspace.roots[0]), 0, len(text))
    await reply(ChatService(endpoint, workspace, settings).send(command, place=selected))
    assert len(question(endpoint)) < 6_000
