"""Conversations with the model: streamed answers, history under a budget, references, code blocks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from codeface_lsp.assist import ability, answers, facts, search, target
from codeface_lsp.assist.chat import history, prompts, slash
from codeface_lsp.assist.chat.conversation import Conversation, ConversationStore, Reference, Turn
from codeface_lsp.assist.chat.place import Place
from codeface_lsp.assist.chat.prompts import Prompt
from codeface_lsp.endpoints.token_counter import open_counter
from codeface_lsp.endpoints.types import Chunk, Endpoint, Timings
from codeface_lsp.errors import CodeFaceError
from codeface_lsp.prompting import code_blocks
from codeface_lsp.prompting.code_blocks import CodeBlock
from codeface_lsp.prompting.languages import answer_language, code_of
from codeface_lsp.settings import Settings
from codeface_lsp.workspace.workspace import Workspace

_AROUND_TOKENS = 700
"""What a prompt holds beside the code that it is about: the system prompt, definitions, instructions."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer."""

    conversation_id: str
    text: str
    code_blocks: tuple[CodeBlock, ...]
    references: tuple[Reference, ...]
    finish_reason: str
    usage: Timings = field(default_factory=Timings)
    model: str = ""


Event = Chunk | Reply
"""Pieces of the answer, and at the end the reply."""


class ChatService:
    """The use case behind `codeface/chat`, the chat document and `codeface chat`."""

    def __init__(
        self,
        endpoint: Endpoint,
        workspace: Workspace,
        settings: Settings,
        notices: ability.Notices | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._workspace = workspace
        self._settings = settings
        self._notices = notices or ability.Notices()
        self.store = ConversationStore(workspace.roots)
        self.places: dict[str, Place] = {}
        """What each chat document is about, by the chat document's URI."""
        self.streaming: set[str] = set()
        """Chat documents that an answer streams into."""

    def use(self, settings: Settings) -> None:
        """Put new settings in force."""
        self._settings = settings

    async def send(
        self, message: str, *, conversation_id: str | None = None, place: Place | None = None
    ) -> AsyncGenerator[Event]:
        """Answer a message in a conversation (a new one without an id), and keep both.

        Yields chunks, then the `Reply`. Closing the generator stops the model and keeps what there is of the answer.
        Raises `CodeFaceError` for an unknown conversation, command or reference, and `EndpointError`.
        """
        conversation = self.store.get(conversation_id) if conversation_id else self.store.new()
        async with aclosing(self.answer(message, conversation, place, keep=True)) as events:
            async for event in events:
                yield event

    async def regenerate(self, conversation_id: str, *, place: Place | None = None) -> AsyncGenerator[Event]:
        """Answer the last question again; the old answer is dropped."""
        conversation = self.store.get(conversation_id)
        asked = [index for index, turn in enumerate(conversation.turns) if turn.role == "user"]
        if not asked:
            raise CodeFaceError("There is no question in this conversation yet.", kind="no_question")
        async with aclosing(self._resend(conversation, asked[-1], None, place)) as events:
            async for event in events:
                yield event

    async def edit(
        self, conversation_id: str, index: int, message: str, *, place: Place | None = None
    ) -> AsyncGenerator[Event]:
        """Put `message` in the place of the question at turn `index`, drop what followed it, and answer."""
        conversation = self.store.get(conversation_id)
        if not 0 <= index < len(conversation.turns) or conversation.turns[index].role != "user":
            raise CodeFaceError(f"Turn {index} of this conversation is not a question.", kind="no_question")
        async with aclosing(self._resend(conversation, index, message, place)) as events:
            async for event in events:
                yield event

    async def _resend(
        self, conversation: Conversation, index: int, message: str | None, place: Place | None
    ) -> AsyncGenerator[Event]:
        old = conversation.turns[index]
        conversation.turns = conversation.turns[:index]
        text = old.content if message is None else message
        known = (
            Prompt(old.prompt, old.references) if message is None and old.prompt and place is None else None
        )
        async with aclosing(self.answer(text, conversation, place, keep=True, known=known)) as events:
            async for event in events:
                yield event

    async def answer(
        self,
        message: str,
        conversation: Conversation,
        place: Place | None,
        *,
        keep: bool,
        known: Prompt | None = None,
    ) -> AsyncGenerator[Event]:
        """Answer `message` after the turns of `conversation`; `keep` writes both turns to disk.

        `known` is the message's prompt where it has been made before.
        """
        if not message.strip():
            raise CodeFaceError("The message is empty; type a question.", kind="empty_message")
        command = slash.parse(message)
        if command is not None and command.name in ("model", "clear"):
            async for event in self._about(command.name, conversation, keep):
                yield event
            return
        model = await ability.chat_model(self._endpoint, self._settings)
        counter = open_counter(self._settings, "chat")
        room = target.Room(max(256, model.context_tokens // 2 - _AROUND_TOKENS), counter)
        if known is None and command is not None:
            embeds = search.embedder(self._endpoint, self._settings)
            known = await prompts.slash(command, self._workspace, place, room, embeds)
        prompt = known or await prompts.plain(message, self._workspace, place, room)
        question = Turn("user", message, prompt.text, prompt.references)
        if not model.can_chat:
            text = self._instead(model, message, prompt, place)
            yield Chunk(text)
            yield self._finish(conversation, question, text, Chunk(finish_reason="stop"), keep)
            return
        budget = min(self._settings.chat.max_history_tokens, model.context_tokens // 2)
        human = answer_language(self._settings.chat.language, message)
        system = answers.system_prompt(human, place.snapshot.language if place is not None else "")
        turns = [*conversation.turns, question]
        request = answers.request(history.messages(system, turns, budget, counter), self._settings, model)
        pieces: list[str] = []
        last = Chunk(finish_reason="cancelled")
        try:
            async with aclosing(answers.stream(self._endpoint, request)) as chunks:
                async for chunk in chunks:
                    pieces.append(chunk.text)
                    if chunk.finish_reason is not None:
                        last = chunk
                    if chunk.text:
                        yield Chunk(chunk.text, tokens=chunk.tokens, model=chunk.model)
        finally:
            if pieces or last.finish_reason != "cancelled":
                reply = self._finish(conversation, question, "".join(pieces), last, keep)
        yield reply

    def _finish(
        self, conversation: Conversation, question: Turn, text: str, last: Chunk, keep: bool
    ) -> Reply:
        text = text.strip()
        conversation.turns += [question, Turn("assistant", text, references=question.references)]
        if keep:
            self.store.save(conversation)
        return Reply(
            conversation.id,
            text,
            tuple(code_blocks.extract(text)),
            question.references,
            last.finish_reason or "stop",
            last.timings,
            last.model,
        )

    def _instead(self, model: ability.ChatModel, message: str, prompt: Prompt, place: Place | None) -> str:
        """For a model that cannot chat: that it cannot, once, and what is known for certain."""
        human = code_of(self._settings.chat.language, message)
        if prompt.passages:
            found = "\n".join(f"- `{p.path}:{p.first_line}-{p.last_line}`" for p in prompt.passages)
            return self._notices.passages(model, human, found)
        known = ""
        if place is not None and (tree := self._workspace.tree(place.snapshot)) is not None:
            about = facts.of_range(tree, place.start, place.end)
            known = facts.markdown(about, place.snapshot.language, human)
        return self._notices.facts(model, human, known)

    async def _about(self, name: str, conversation: Conversation, keep: bool) -> AsyncGenerator[Event]:
        """`/clear` and `/model`: no model is asked, and neither becomes a part of the conversation."""
        if name == "clear":
            conversation.turns = []
            text = "What was said here is forgotten."
        else:
            cards = await self._endpoint.models()
            own = await ability.chat_model(self._endpoint, self._settings)
            text = "\n".join(_described(card.id, card.id == own.name, card.chat) for card in cards)
            setting = "`model` of the endpoint" if self._settings.endpoints else "`model.chat`"
            text += f"\n\nThe setting {setting} names the one that answers."
        if keep:
            self.store.save(conversation)
        yield Chunk(text)
        yield Reply(conversation.id, text, (), (), "stop")


def _described(name: str, current: bool, chat: bool | None) -> str:
    marks = [*(["answers here"] if current else []), *(["cannot chat"] if chat is False else [])]
    return f"- `{name}`" + (f" ({', '.join(marks)})" if marks else "")


def blocks_as_json(blocks: Sequence[CodeBlock]) -> list[dict[str, str]]:
    """Code blocks as `codeface/chat` answers them."""
    return [{"language": block.language, "code": block.code} for block in blocks]
