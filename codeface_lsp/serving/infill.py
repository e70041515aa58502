"""`POST /infill`: llama-server's fill-in-the-middle route, with our fields (docs/PROTOCOL.md)."""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from codeface_lsp.inference.types import Delta, FinishReason, GenerationRequest, Usage
from codeface_lsp.models.aside import aside
from codeface_lsp.prompting.fim import render_ids, stop_ids
from codeface_lsp.serving.choices import Answer
from codeface_lsp.serving.core import Core
from codeface_lsp.serving.documents import Documents
from codeface_lsp.serving.fit import Hole, fit_hole, room
from codeface_lsp.serving.generation import generate, sampling
from codeface_lsp.serving.schema import Infill, parse
from codeface_lsp.serving.streams import Events, stream

if TYPE_CHECKING:
    from codeface_lsp.models.types import LoadedModel

_STOP_TYPES: dict[FinishReason, str] = {
    "eos": "eos",
    "length": "limit",
    "stop": "word",
    "time": "time",
    "cancelled": "cancelled",
}
_THREAD_CHARS = 20_000
"""Longer prompts are tokenized in a thread, so that the event loop goes on."""


async def infill(request: Request) -> Response:
    """Complete at a cursor, streamed or plain."""
    body = parse(Infill, await request.body())
    events = _events(request.app.state.core, request.app.state.documents, body)
    if body.stream:
        return await stream(events)
    content: list[str] = []
    tokens: list[int] = []
    last: dict[str, Any] = {}
    async with aclosing(events):
        async for event in events:
            content.append(event["content"])
            tokens += event["tokens"]
            last = event
    answer = last | {"content": "".join(content), "tokens": tokens}
    return JSONResponse(_picked(answer, body.response_fields) if body.response_fields else answer)


def _picked(answer: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    """llama-server's `response_fields`: `timings/prompt_n` picks a nested field and is its key; others are left out."""
    picked: dict[str, Any] = {}
    for field in fields:
        value: Any = answer
        for part in field.split("/"):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            picked[field] = value
    return picked


async def _events(core: Core, documents: Documents, body: Infill) -> Events:
    told = body.document
    text = documents.update(body.client, told) if told is not None else None
    waits = not core.holds(body.model, "completion")
    if waits:
        yield _waiting(waiting=True)
    async with core.model(body.model, "completion") as (engine, model):
        fresh = not engine.is_ready(model)
        if fresh:
            await aside(engine.prepare, model)
        if waits:
            yield _waiting(waiting=False)
        key = documents.key(body.client, told.id) if told is not None else None
        if told is not None and key is not None and text is not None:
            engine.set_document(model, key, text)
            if fresh and (neighbours := documents.neighbours(body.client, told.id)):
                await asyncio.to_thread(engine.set_neighbours, model, key, neighbours)
        ids, heal, cut, max_tokens = await _prompt(core, model, body)
        asked = GenerationRequest(
            prompt=ids,
            max_tokens=max_tokens,
            sampling=sampling(body, model, greedy=True, repetition_penalty=body.repeat_penalty),
            stop=tuple(body.stop),
            stop_ids=stop_ids(model.family, model.tokenizer),
            heal=heal,
            priority=body.priority,
            client=body.client,
            document=key,
            search_line=key is not None,
            time_budget_s=body.t_max_predict_ms / 1000 if body.t_max_predict_ms and max_tokens else None,
        )
        answer = Answer()
        async with aclosing(generate(core, engine, model, asked, "infill")) as deltas:
            async for delta in deltas:
                answer.add(delta)
                if delta.text or delta.tokens:
                    yield _piece(delta)
        yield _last(answer, model, cut) | _document_fields(body, known=text is not None)


async def _prompt(core: Core, model: LoadedModel, body: Infill) -> tuple[list[int], bytes, bool, int]:
    """Token ids, bytes to heal, whether something was cut, and how many tokens may be generated."""
    wanted = core.settings.completion.max_tokens if body.n_predict < 0 else body.n_predict
    render = partial(_render, model, body)
    hole = Hole(
        prefix=body.input_prefix + body.prompt,
        suffix=body.input_suffix,
        extra=tuple((extra.filename, extra.text) for extra in body.input_extra),
    )
    limit = room(model.context_length, wanted)
    size = len(hole.prefix) + len(hole.suffix) + sum(len(text) for _, text in hole.extra)
    fit = partial(fit_hole, render, model.tokenizer, hole, limit)
    ids, cut = await asyncio.to_thread(fit) if size > _THREAD_CHARS else fit()
    ids, heal = _heal(model, ids) if body.heal and not core.settings.engine.mock else (ids, b"")
    return ids, heal, cut, max(0, min(wanted, model.context_length - len(ids)))


def _heal(model: LoadedModel, ids: list[int]) -> tuple[list[int], bytes]:
    from codeface_lsp.inference import healing  # imports torch, which the API must not wait for

    return healing.heal(model.tokenizer, ids)


def _render(model: LoadedModel, body: Infill, hole: Hole) -> list[int]:
    return render_ids(
        model.family,
        model.tokenizer,
        prefix=hole.prefix,
        suffix=hole.suffix,
        extra=hole.extra,
        filename=body.filename,
        order=body.order,
    )


def _waiting(*, waiting: bool) -> dict[str, Any]:
    """What a client hears before and after it waited for the model, so that it does not count that time."""
    return {"index": 0, "content": "", "tokens": [], "stop": False, "waiting": waiting}


def _piece(delta: Delta) -> dict[str, Any]:
    event: dict[str, Any] = {
        "index": 0,
        "content": delta.text,
        "tokens": [token.token_id for token in delta.tokens],
        "stop": False,
    }
    if delta.tokens:
        event["logprob"] = math.fsum(token.logprob for token in delta.tokens)
    return event


def _last(answer: Answer, model: LoadedModel, cut: bool) -> dict[str, Any]:
    usage = answer.usage
    return {
        "index": 0,
        "content": "",
        "tokens": [],
        "stop": True,
        "stop_type": _STOP_TYPES[answer.finish_reason],
        "stopping_word": answer.stop_string or "",
        "model": model.name,
        "tokens_predicted": usage.completion_tokens,
        "tokens_evaluated": usage.prompt_tokens,
        "tokens_cached": usage.cached_tokens,
        "truncated": cut or usage.truncated,
        "timings": timings(usage),
    }


def _document_fields(body: Infill, *, known: bool) -> dict[str, Any]:
    if body.document is None:
        return {}
    return {"document": body.document.id, "document_known": known}


def timings(usage: Usage) -> dict[str, float]:
    """llama-server's `timings`, in milliseconds, with `cache_n`, `queue_ms` and what drafting gave."""
    computed = usage.prompt_tokens - usage.cached_tokens
    prefill_ms, decode_ms = usage.prefill_s * 1000, usage.decode_s * 1000
    return {
        "cache_n": usage.cached_tokens,
        "prompt_n": computed,
        "prompt_ms": round(prefill_ms, 3),
        "prompt_per_token_ms": round(prefill_ms / max(1, computed), 3),
        "prompt_per_second": round(computed / usage.prefill_s, 2) if usage.prefill_s else 0.0,
        "predicted_n": usage.completion_tokens,
        "predicted_ms": round(decode_ms, 3),
        "predicted_per_token_ms": round(decode_ms / max(1, usage.completion_tokens), 3),
        "predicted_per_second": round(usage.completion_tokens / usage.decode_s, 2) if usage.decode_s else 0.0,
        "queue_ms": round(usage.queue_s * 1000, 3),
        "draft_n": usage.drafted_tokens,
        "draft_n_accepted": usage.accepted_tokens,
    }
