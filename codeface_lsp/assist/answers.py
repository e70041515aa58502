"""Streams a model's answer to a conversation: cleaned of stray markers, closed as soon as nobody listens.

The one door for conversations: secrets are masked in all that is sent, and put back in what comes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from codeface_lsp.assist.ability import ChatModel
from codeface_lsp.endpoints.types import ChatRequest, Chunk, Endpoint, FinishReason, Message, Timings
from codeface_lsp.prompting import templates
from codeface_lsp.prompting.cleaning import AnswerCleaner
from codeface_lsp.settings import Settings
from codeface_lsp.workspace import redaction

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    text: str
    finish_reason: FinishReason = "stop"
    timings: Timings = field(default_factory=Timings)
    model: str = ""


def system_prompt(human: str, language: str) -> Message:
    """CodeFace's system prompt: to answer in the language `human` (empty: the question's) about code in `language`."""
    return Message("system", templates.render("system", answer_language=human, language=language))


def request(messages: Sequence[Message], settings: Settings, model: ChatModel) -> ChatRequest:
    """A request with the sampling of the settings; the answer leaves at least half of the context to the prompt."""
    chat = settings.chat
    return ChatRequest(
        messages,
        max_tokens=max(1, min(chat.max_new_tokens, model.context_tokens // 2)),
        temperature=chat.temperature,
        top_p=chat.top_p,
        top_k=chat.top_k,
    )


@asynccontextmanager
async def closing(items: AsyncIterator[Item]) -> AsyncIterator[AsyncIterator[Item]]:
    """Close an iterator at the end of the block, which for an endpoint's stream stops the generation."""
    try:
        yield items
    finally:
        aclose = getattr(items, "aclose", None)
        if aclose is not None:
            await aclose()


async def stream(endpoint: Endpoint, request: ChatRequest) -> AsyncGenerator[Chunk]:
    """Stream the answer; the last chunk has the `finish_reason`. Closing this closes the endpoint's stream."""
    cleaner, restorer = AnswerCleaner(), redaction.Restorer()
    async with closing(endpoint.chat(_masked(request))) as chunks:
        async for chunk in chunks:
            text = cleaner.feed(chunk.text)
            if chunk.finish_reason is not None or cleaner.ended:
                text = restorer.feed(text + cleaner.finish()) + restorer.finish()
                yield replace(chunk, text=text, finish_reason=chunk.finish_reason or "stop")
                return
            if text := restorer.feed(text):
                yield replace(chunk, text=text)


async def collect(chunks: AsyncIterator[Chunk]) -> Answer:
    """The whole answer of a stream, which is closed at the end."""
    pieces: list[str] = []
    last = Chunk()
    async with closing(chunks):
        async for chunk in chunks:
            pieces.append(chunk.text)
            last = chunk
    return Answer("".join(pieces).strip(), last.finish_reason or "stop", last.timings, last.model)


def _masked(request: ChatRequest) -> ChatRequest:
    """Also earlier answers, a question and a retry may hold secrets: they came from the user's files."""
    messages = [replace(message, content=redaction.redact(message.content)) for message in request.messages]
    draft = request.draft_from
    return replace(
        request, messages=messages, draft_from=redaction.redact(draft) if draft is not None else None
    )
