"""`/search` through the real server: from the symbol index, by words and by meaning, citing file and lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scripted_chat import ScriptedModel, scripted_server
from tests.lsp_client import LspClient, ServerError

ROLES = ("completion", "chat", "embedding")
FILES = {
    "bank.py": "RATE = 2\n\n\ndef transfer(sender, receiver):\n    '''Moves an amount between accounts.'''\n"
    "    return sender\n",
    "zoo.py": "def feed(keeper):\n    '''Gives hay to the elephants.'''\n    return keeper\n",
    "pyproject.toml": "[project]\nname = 'zoo'\n",
    ".env": "ELEPHANTS=secret\n",
}
MEANINGS = ("account amount money", "elephant hay pachyderm", "project")


def meaning(text: str) -> list[float]:
    """A vector with a number for each topic."""
    return [0.01 + sum(text.lower().count(word) for word in topic.split()) for topic in MEANINGS]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    return root


async def search(client: LspClient, question: str) -> dict[str, Any]:
    answer = await client.request("codeface/chat", {"message": f"/search {question}"})
    assert isinstance(answer, dict)
    return answer


def cited(answer: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(r["path"], r["firstLine"], r["lastLine"]) for r in answer["references"]]


async def test_words_find_a_definition_and_its_lines(codeface_home: Path, project: Path) -> None:
    model = ScriptedModel(lambda messages: ["It is in [1]."])
    async with scripted_server(codeface_home, model, project, index=True) as client:
        answer = await search(client, "How is an amount moved between accounts?")
        assert cited(answer)[0] == ("bank.py", 4, 6)
        prompt = model.asked[-1][-1]["content"]
        assert "[1] `bank.py:4-6`" in prompt and "secret" not in prompt
        with pytest.raises(ServerError, match="Nothing in this workspace matches"):
            await search(client, "pachyderm")
        assert model.embedded == [], "without the role nothing is embedded"


async def test_meaning_finds_what_shares_no_word(codeface_home: Path, project: Path) -> None:
    model = ScriptedModel(lambda messages: ["It is in [1]."], embeds=meaning)
    async with scripted_server(codeface_home, model, project, index=True, roles=ROLES) as client:
        assert cited(await search(client, "pachyderm"))[0] == ("zoo.py", 1, 3)
        learnt = len(model.embedded)
        assert cited(await search(client, "pachyderm"))[0] == ("zoo.py", 1, 3)
        assert model.embedded[learnt:] == ["pachyderm"], "what is embedded once stays in the index"


async def test_a_server_without_embeddings_leaves_the_words(codeface_home: Path, project: Path) -> None:
    model = ScriptedModel(lambda messages: ["It is in [1]."])
    async with scripted_server(codeface_home, model, project, index=True, roles=ROLES) as client:
        assert cited(await search(client, "Who feeds the elephants?"))[0] == ("zoo.py", 1, 3)
        assert model.embedded
