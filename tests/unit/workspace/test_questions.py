from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from codeface_lsp.settings import Settings
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


@pytest.fixture
async def workspace(tmp_path: Path) -> AsyncIterator[Workspace]:
    root = tmp_path / "w"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    made = Workspace([root], Settings.model_validate({"model": {"embedding": "topics"}}))
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
    assert await workspace.learn(embed) == 4
    assert await workspace.learn(embed) == 0
    assert (await workspace.ask("pachyderm", embed=embed))[0].path == "zoo.py"


async def test_a_server_that_fails_leaves_the_words(workspace: Workspace) -> None:
    assert (await workspace.ask("elephants", embed=broken))[0].path == "zoo.py"


async def test_nonsense_and_ignored_files_give_no_answer(workspace: Workspace) -> None:
    assert await workspace.ask("???") == []
    (workspace.roots[0] / ".codefaceignore").write_text("zoo.py\n")
    workspace.files_changed([workspace.roots[0] / ".codefaceignore"])
    assert all(answer.path != "zoo.py" for answer in await workspace.ask("elephants"))
