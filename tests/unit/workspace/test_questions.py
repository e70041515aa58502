from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from codeface_lsp.settings import Settings
from codeface_lsp.workspace.questions import Embedder
from codeface_lsp.workspace.workspace import Workspace

FILES = {
    "bank.py": "def transfer_money(sender, receiver, amount):\n"
    "    '''Moves an amount between accounts.'''\n    return amount\n",
    "zoo.py": "def feed_animals(keeper):\n    '''Gives hay to the elephants.'''\n    token = 'hf_"
    + "aB3d" * 9
    + "'\n    return keeper\n",
    "README.md": "# Opening hours\n\nThe zoo opens at nine.\n\n# Tickets\n\nBuy them at the gate.\n",
}
MEANINGS = (
    "money amount bank account payment",
    "animal elephant hay zoo pachyderm",
    "hour open nine",
    "ticket gate buy",
)


async def embed(texts: Sequence[str]) -> list[list[float]]:
    """A tiny model of meaning: one number for each topic."""
    return [
        [0.01 + sum(text.lower().count(word) for word in topic.split()) for topic in MEANINGS]
        for text in texts
    ]


async def broken(texts: Sequence[str]) -> list[list[float]]:
    raise ConnectionError("no server")


TOPICS = Embedder("topics", embed)


@pytest.fixture
async def workspace(tmp_path: Path) -> AsyncIterator[Workspace]:
    root = tmp_path / "w"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    made = Workspace([root], Settings())
    await asyncio.wait_for(made.start(), 60)
    yield made
    await made.aclose()


async def test_words_find_the_definition_with_its_lines(workspace: Workspace) -> None:
    (first, *_) = await workspace.ask("How is an amount moved between accounts?")
    assert (first.path, first.name, first.first_line, first.last_line) == ("bank.py", "transfer_money", 1, 3)
    assert first.text.startswith("def transfer_money")


async def test_sections_of_documents_are_found(workspace: Workspace) -> None:
    (first, *_) = await workspace.ask("tickets at the gate")
    assert (first.path, first.name, first.first_line) == ("README.md", "Tickets", 5)


async def test_secrets_are_masked_in_answers(workspace: Workspace) -> None:
    (first, *_) = await workspace.ask("elephants")
    assert "REDACTED_" in first.text and "aB3daB3d" not in first.text


async def test_meaning_finds_what_shares_no_word(workspace: Workspace) -> None:
    assert await workspace.ask("pachyderm") == []
    assert (await workspace.ask("pachyderm", embedder=TOPICS))[0].path == "zoo.py"
    assert await workspace.learn(TOPICS) == 0, "the question made the index learn"
    assert await workspace.learn(Embedder("another", embed)) == 4, "vectors of models are kept apart"


async def test_a_server_that_fails_leaves_the_words(workspace: Workspace) -> None:
    assert (await workspace.ask("elephants", embedder=Embedder("topics", broken)))[0].path == "zoo.py"


async def test_nonsense_and_ignored_files_give_no_answer(workspace: Workspace) -> None:
    assert await workspace.ask("???") == []
    (workspace.roots[0] / ".codefaceignore").write_text("zoo.py\n")
    workspace.files_changed([workspace.roots[0] / ".codefaceignore"])
    assert all(answer.path != "zoo.py" for answer in await workspace.ask("elephants"))


async def test_questions_without_spaces_between_words_are_answered(workspace: Workspace) -> None:
    file = workspace.roots[0] / "greet.py"
    file.write_text("def greet():\n    # 向每位客人问好\n    return 1\n")
    workspace.saved(file)
    async with asyncio.timeout(20):
        while "greet.py" not in [answer.path for answer in await workspace.ask("在哪里问好？")]:  # noqa: ASYNC110 - the index is another process
            await asyncio.sleep(0.05)


async def test_what_is_ignored_or_secret_is_never_embedded(workspace: Workspace) -> None:
    seen: list[str] = []

    async def listening(texts: Sequence[str]) -> list[list[float]]:
        seen.extend(texts)
        return await embed(texts)

    (workspace.roots[0] / ".codefaceignore").write_text("bank.py\n")
    workspace.files_changed([workspace.roots[0] / ".codefaceignore"])
    secret = "hf_" + "aB3d" * 9
    await workspace.ask(f"who uses {secret}?", embedder=Embedder("topics", listening))
    assert any("elephants" in text for text in seen)
    assert not any("transfer_money" in text or secret in text for text in seen)


async def test_a_definition_is_found_by_its_name(workspace: Workspace) -> None:
    (found,) = await workspace.definitions("feed_animals", 3)
    assert (found.path, found.first_line, found.last_line, found.language) == ("zoo.py", 1, 4, "python")
    assert await workspace.definitions("Tickets", 3) == [], "a heading is no code"


async def test_a_question_builds_the_index_that_nobody_started(tmp_path: Path) -> None:
    (tmp_path / "zoo.py").write_text(FILES["zoo.py"])
    lone = Workspace([tmp_path], Settings())
    assert lone.indexes and not lone.indexed
    assert (await lone.ask("elephants"))[0].path == "zoo.py"
    assert lone.indexed
    await lone.aclose()
