"""`POST /v1/chat/completions`."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from codeface_lsp.inference.types import Delta, GenerationRequest, TokenLogprob
from codeface_lsp.serving.chat_prompt import ChatRenderer
from codeface_lsp.serving.choices import Answer, merge, total, variants
from codeface_lsp.serving.completions import FINISH, usage_fields
from codeface_lsp.serving.core import Core
from codeface_lsp.serving.failures import ParameterError
from codeface_lsp.serving.fit import Turn, fit_turns, room
from codeface_lsp.serving.generation import generate, sampling
from codeface_lsp.serving.schema import Chat, ChatMessage, parse
from codeface_lsp.serving.streams import Events, stream

if TYPE_CHECKING:
    from codeface_lsp.models.types import LoadedModel, Tokenizer

_ROLES = {"developer": "system", "tool": "user", "function": "user"}


async def chat_completions(request: Request) -> Response:
    """Answer a conversation."""
    body = parse(Chat, await request.body())
    if body.tools:
        raise ParameterError("Tools are not supported; leave `tools` out.", "tools")
    if body.response_format and body.response_format.get("type", "text") != "text":
        raise ParameterError("Only `response_format` of type `text` is supported.", "response_format")
    turns = [Turn(_ROLES.get(m.role, m.role), _text(m)) for m in body.messages]
    events = _events(request.app.state.core, body, turns)
    if body.stream:
        return await stream(events, done=True)
    return await _plain(events)


def _text(message: ChatMessage) -> str:
    if isinstance(message.content, list):
        if any(part.type != "text" for part in message.content):
            raise ParameterError("Messages may hold only text.", "messages")
        return "".join(part.text for part in message.content)
    return message.content or ""


async def _events(core: Core, body: Chat, turns: Sequence[Turn]) -> Events:
    head: dict[str, Any] = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
    }
    async with core.model(body.model, "chat") as (engine, model):
        head["model"] = model.name
        request, cut = await asyncio.to_thread(_request, core, body, turns, model)
        answers = [Answer() for _ in range(body.n)]
        generations = [generate(core, engine, model, r, "chat") for r in variants(request, body.n)]
        async with aclosing(merge(generations)) as deltas:
            async for index, delta in deltas:
                first = answers[index] == Answer()
                answers[index].add(delta)
                yield head | {"choices": [_choice(index, delta, body, model.tokenizer, first=first)]}
        usage = total([answer.usage for answer in answers], body.n)
        wanted = not body.stream or (body.stream_options is not None and body.stream_options.include_usage)
        if wanted:
            yield head | {"choices": [], **usage_fields(usage, cut or usage.truncated)}


def _request(
    core: Core, body: Chat, turns: Sequence[Turn], model: LoadedModel
) -> tuple[GenerationRequest, bool]:
    told = body.max_completion_tokens or body.max_tokens
    wanted = told or min(core.settings.chat.max_new_tokens, model.context_length // 2)
    limit = room(model.context_length, wanted)
    renderer = ChatRenderer(model)
    ids, cut = fit_turns(renderer.ids, model.tokenizer, turns, limit)
    request = GenerationRequest(
        prompt=ids,
        max_tokens=max(1, min(wanted, model.context_length - len(ids))),
        sampling=sampling(body, model),
        stop=tuple(dict.fromkeys([*body.stop, *renderer.stop_strings(turns)])),
        stop_ids=renderer.stop_ids(turns),
        client=body.client,
        top_logprobs=(body.top_logprobs or 0) if body.logprobs else 0,
        draft_from=model.tokenizer.encode(body.draft_from) if body.draft_from else None,
    )
    return request, cut


def _choice(index: int, delta: Delta, body: Chat, tokenizer: Tokenizer, *, first: bool) -> dict[str, Any]:
    piece: dict[str, Any] = {"role": "assistant"} if first else {}
    if delta.text or first:
        piece["content"] = delta.text
    logprobs = {"content": [_logprob(t, tokenizer) for t in delta.tokens]} if body.logprobs else None
    return {
        "index": index,
        "delta": piece,
        "logprobs": logprobs,
        "finish_reason": FINISH[delta.finish_reason] if delta.finish_reason else None,
    }


def _logprob(token: TokenLogprob, tokenizer: Tokenizer) -> dict[str, Any]:
    spell = partial(_spelled, tokenizer)
    return spell(token.token_id, token.logprob) | {
        "top_logprobs": [spell(other, logprob) for other, logprob in token.top]
    }


def _spelled(tokenizer: Tokenizer, token_id: int, logprob: float) -> dict[str, Any]:
    return {
        "token": tokenizer.decode([token_id]),
        "logprob": logprob,
        "bytes": list(tokenizer.token_bytes(token_id)),
    }


async def _plain(events: Events) -> Response:
    """Join the stream's events into one answer."""
    choices: dict[int, dict[str, Any]] = {}
    last: dict[str, Any] = {}
    async with aclosing(events):
        async for event in events:
            last = event
            for piece in event["choices"]:
                choice = choices.setdefault(
                    piece["index"],
                    {
                        "index": piece["index"],
                        "message": {"role": "assistant", "content": ""},
                        "logprobs": None,
                        "finish_reason": None,
                    },
                )
                choice["message"]["content"] += piece["delta"].get("content", "")
                choice["finish_reason"] = piece["finish_reason"] or choice["finish_reason"]
                if piece["logprobs"] is not None:
                    known = (choice["logprobs"] or {"content": []})["content"]
                    choice["logprobs"] = {"content": known + piece["logprobs"]["content"]}
    body = last | {"object": "chat.completion", "choices": [choices[index] for index in sorted(choices)]}
    return JSONResponse(body)
