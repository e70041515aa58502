"""Conversations: history under a budget, slash commands, references, models that cannot chat."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from codeface_lsp.assist.chat import ChatService, Conversation, Event, Place, Reply, Turn, history
from codeface_lsp.endpoints.token_counter import EstimatedCounter
from codeface_lsp.endpoints.types import ChatRequest, Message, ModelCard
from codeface_lsp.errors import CodeFaceError, DocumentError
from codeface_lsp.settings import Settings
from codeface_lsp.workspace.workspace import Workspace
from tests.scripted import ScriptedEndpoint
from tests.unit.assist.conftest import document

CODE = "def area(r):\n    return 3.14 * r * r\n"


async def reply(events: AsyncIterator[Event]) -> Reply:
    found = [event async for event in events if isinstance(event, Reply)]
    assert len(found) == 1
    return found[0]


def question(endpoint: ScriptedEndpoint) -> str:
    request = endpoint.requests[-1]
    assert isinstance(request, ChatRequest)
    return request.messages[-1].content


@pytest.fixture
def place(workspace: Workspace) -> Place:
    return Place(document(CODE, root=workspace.roots[0]), 0, 0)


def test_the_oldest_turns_go_first_and_the_system_prompt_never() -> None:
    turns = [Turn("user" if n % 2 == 0 else "assistant", f"turn {n} " + "word " * 50) for n in range(9)]
    kept = history.messages(Message("system", "system prompt"), turns, 400, EstimatedCounter())
    assert kept[0].content == "system prompt"
    assert kept[1].role == "user" and kept[-1].content == turns[-1].content
    assert 2 < len(kept) < len(turns) + 1
    alone = history.messages(Message("system", "s"), turns, 1, EstimatedCounter())
    assert [m.content for m in alone] == ["s", turns[-1].content]


@pytest.mark.parametrize(
    ("message", "part"),
    [
        ("/explain", "what it is for, how it works"),
        ("/fix", "Correct this code"),
        ("/tests", "Write tests with pytest"),
        ("/doc", "documentation comment"),
        ("/refactor use math.pi", "as asked: use math.pi"),
        ("/lesson geometry", "Exercises"),
    ],
)
async def test_slash_commands_use_their_prompts(
    message: str, part: str, place: Place, workspace: Workspace, settings: Settings
) -> None:
    endpoint = ScriptedEndpoint("done")
    answer = await reply(ChatService(endpoint, workspace, settings).send(message, place=place))
    assert part in question(endpoint) and "3.14 * r * r" in question(endpoint)
    assert [(r.path, r.first_line, r.last_line) for r in answer.references] == [("main.py", 1, 2)]


async def test_search_cites_files_and_lines(indexed: Workspace, settings: Settings) -> None:
    workspace = indexed
    (workspace.roots[0] / "shapes.py").write_text("\n\n" + CODE)
    (workspace.roots[0] / "other.py").write_text("x = 1\n")
    (workspace.roots[0] / ".env").write_text("AREA=secret\n")
    endpoint = ScriptedEndpoint("In [1].")
    answer = await reply(
        ChatService(endpoint, workspace, settings).send("/search where is the area computed?")
    )
    assert [r.path for r in answer.references] == ["shapes.py"]
    assert "[1] `shapes.py:3-4`" in question(endpoint) and "secret" not in question(endpoint)


async def test_search_without_an_index_says_what_to_set(workspace: Workspace, settings: Settings) -> None:
    with pytest.raises(DocumentError, match=r"set `context\.index`"):
        await reply(ChatService(ScriptedEndpoint("x"), workspace, settings).send("/search where is it?"))


async def test_references_attach_what_they_name(indexed: Workspace, settings: Settings) -> None:
    workspace, place = indexed, Place(document(CODE, root=indexed.roots[0]), 0, 0)
    (workspace.roots[0] / "notes.txt").write_text("remember the milk")
    (workspace.roots[0] / "shapes.py").write_text(CODE)
    endpoint = ScriptedEndpoint("done")
    message = "Look at @notes.txt, @symbol:area and @selection please"
    await reply(ChatService(endpoint, workspace, settings).send(message, place=place))
    assert "remember the milk" in question(endpoint) and "`area` in `shapes.py`" in question(endpoint)
    assert "`main.py`, lines 1-2" in question(endpoint)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("@file:none.py", "There is no file"),
        ("@file:../../etc/passwd", "There is no file"),
        ("@symbol:nowhere", "needs the symbol index"),
        ("@selection", "needs an open document"),
        ("/fix", "needs an open document"),
        ("/search", "Put a question"),
        ("   ", "is empty"),
        ("/serach x", "did you mean `/search`"),
    ],
)
async def test_what_cannot_be_answered_is_one_sentence(
    message: str, sentence: str, workspace: Workspace, settings: Settings
) -> None:
    endpoint = ScriptedEndpoint("never")
    with pytest.raises(CodeFaceError, match=sentence):
        await reply(ChatService(endpoint, workspace, settings).send(message))
    assert endpoint.requests == []


async def test_ignored_files_are_not_attached(workspace: Workspace, settings: Settings) -> None:
    (workspace.roots[0] / ".env").write_text("KEY=1")
    with pytest.raises(DocumentError):
        await reply(ChatService(ScriptedEndpoint("x"), workspace, settings).send("@file:.env"))


async def test_a_cancelled_answer_is_kept_as_far_as_it_got(workspace: Workspace, settings: Settings) -> None:
    endpoint = ScriptedEndpoint(["one ", "two ", "three"])
    chat = ChatService(endpoint, workspace, settings)
    events = chat.send("count")
    await anext(events)
    await events.aclose()
    assert endpoint.cancelled == 1
    (conversation,) = chat.store.list()
    assert [t.content for t in conversation.turns] == ["count", "one"]


async def test_a_conversation_survives_the_server(workspace: Workspace, settings: Settings) -> None:
    first = await reply(ChatService(ScriptedEndpoint("a"), workspace, settings).send("one"))
    endpoint = ScriptedEndpoint("b")
    later = ChatService(endpoint, workspace, settings)
    await reply(later.send("two", conversation_id=first.conversation_id))
    request = endpoint.requests[0]
    assert isinstance(request, ChatRequest)
    assert [m.content for m in request.messages[1:]] == ["one", "a", "two"]


async def test_clear_forgets_the_turns_and_the_conversation_goes_on(
    workspace: Workspace, settings: Settings
) -> None:
    endpoint = ScriptedEndpoint("a")
    chat = ChatService(endpoint, workspace, settings)
    first = await reply(chat.send("a secret plan"))
    cleared = await reply(chat.send("/clear", conversation_id=first.conversation_id))
    assert chat.store.list() == [] and len(endpoint.requests) == 1
    assert "secret plan" not in "".join(file.read_text() for file in chat.store.folder.iterdir())
    await reply(chat.send("and now", conversation_id=cleared.conversation_id))
    assert [m.content for m in _messages(endpoint)[1:]] == ["and now"]


async def test_model_says_which_models_there_are_and_which_one_answers(
    workspace: Workspace, settings: Settings
) -> None:
    card = ModelCard("scripted", context_tokens=2048, chat=False)
    endpoint = ScriptedEndpoint("a", card=card)
    chat = ChatService(endpoint, workspace, settings)
    told = await reply(chat.send("/model"))
    assert "- `scripted` (answers here, cannot chat)" in told.text
    assert endpoint.requests == [] and chat.store.list() == []
    assert (await reply(chat.send("/model", conversation_id=told.conversation_id))).text == told.text


async def test_secrets_are_masked_in_all_that_is_sent_and_put_back_while_the_answer_streams(
    workspace: Workspace, settings: Settings
) -> None:
    """Also those in a question, and in earlier answers, which hold the secrets themselves."""
    secret = "ghp_" + "a1B2c3D4e5F6" * 3

    def repeat(request: object) -> list[str]:
        assert isinstance(request, ChatRequest)
        return list(request.messages[-1].content)  # a character at a time

    endpoint = ScriptedEndpoint(repeat)
    chat = ChatService(endpoint, workspace, settings)
    shown = ""
    async for event in chat.send(f'TOKEN = "{secret}"'):
        if isinstance(event, Reply):
            first = event
        else:
            assert "REDACTED" not in event.text
            shown += event.text
    assert shown == first.text == f'TOKEN = "{secret}"'
    await reply(chat.send("and again?", conversation_id=first.conversation_id))
    sent = [m.content for m in _messages(endpoint)]
    assert len(sent) == 4 and not any(secret in content for content in sent)
    assert sent[1] == sent[2] and "REDACTED_" in sent[1]


def _messages(endpoint: ScriptedEndpoint) -> list[Message]:
    request = endpoint.requests[-1]
    assert isinstance(request, ChatRequest)
    return list(request.messages)


async def test_a_damaged_conversation_is_left_alone(workspace: Workspace, settings: Settings) -> None:
    chat = ChatService(ScriptedEndpoint("a"), workspace, settings)
    kept = await reply(chat.send("one"))
    (chat.store.folder / "0123456789ab.json").write_text("{")
    assert [c.id for c in chat.store.list()] == [kept.conversation_id]
    with pytest.raises(CodeFaceError):
        chat.store.get("../../etc/passwd")


async def test_a_model_that_cannot_chat_says_so_once_and_lists_what_it_found(
    indexed: Workspace, settings: Settings
) -> None:
    workspace, place = indexed, Place(document(CODE, root=indexed.roots[0]), 0, 0)
    (workspace.roots[0] / "shapes.py").write_text(CODE)
    endpoint = ScriptedEndpoint("junk", card=ModelCard("scripted", context_tokens=2048, chat=False))
    chat = ChatService(endpoint, workspace, settings)
    first = await reply(chat.answer("/search area", Conversation(""), None, keep=False))
    assert "models download" in first.text and "`shapes.py:1-2`" in first.text
    again = await reply(chat.answer("what is this?", Conversation(""), place, keep=False))
    assert "models download" not in again.text and "def area(r):" in again.text
    assert endpoint.requests == []
