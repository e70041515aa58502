"""`POST /v1/completions`, with `suffix` as fill in the middle."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from codeface_lsp.inference.types import FinishReason, GenerationRequest, TokenLogprob, Usage
from codeface_lsp.prompting.fim import render_ids, stop_ids
from codeface_lsp.serving.choices import Answer, merge, total, variants
from codeface_lsp.serving.core import Core
from codeface_lsp.serving.failures import ParameterError
from codeface_lsp.serving.fit import CHARS_PER_TOKEN, Hole, fit_hole, room
from codeface_lsp.serving.generation import generate, generate_all, sampling
from codeface_lsp.serving.infill import timings
from codeface_lsp.serving.schema import MAX_BATCH, MAX_CHOICES, Completion, parse
from codeface_lsp.serving.streams import Events, stream

if TYPE_CHECKING:
    from codeface_lsp.models.types import LoadedModel, Tokenizer

FINISH: dict[FinishReason, str] = {
    "eos": "stop",
    "stop": "stop",
    "length": "length",
    "time": "length",
    "cancelled": "stop",
}
"""OpenAI knows two."""


async def completions(request: Request) -> Response:
    """Continue a text, or fill what stands between `prompt` and `suffix`."""
    body = parse(Completion, await request.body())
    prompts = _prompts(body)
    most = MAX_CHOICES if body.stream or body.n > 1 else MAX_BATCH
    if len(prompts) * body.n > most:
        raise ParameterError(f"At most {most} choices (prompts times `n`) in one request.", "n")
    if body.best_of is not None and body.best_of != body.n:
        raise ParameterError("`best_of` other than `n` is not supported.", "best_of")
    events = _events(request.app.state.core, body, prompts)
    if body.stream:
        return await stream(events, done=True)
    return await _plain(events, body)


def _prompts(body: Completion) -> list[str | list[int]]:
    """All prompts of the request; OpenAI allows a text, tokens, or a list of either."""
    prompt = body.prompt
    if isinstance(prompt, str):
        return [prompt]
    if prompt and isinstance(prompt[0], int):
        return [[int(token) for token in prompt if isinstance(token, int)]]
    if not prompt:
        raise ParameterError("`prompt` is empty.", "prompt")
    return [item for item in prompt if isinstance(item, str | list)]


async def _events(core: Core, body: Completion, prompts: list[str | list[int]]) -> Events:
    """OpenAI's stream events; the last one carries usage, timings and whether the prompt was cut."""
    head: dict[str, Any] = {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
    }
    async with core.model(body.model, "completion") as (engine, model):
        head["model"] = model.name
        asked: list[GenerationRequest] = []
        cut = False
        for prompt in prompts:
            request, shortened = await asyncio.to_thread(_request, body, prompt, model)
            cut |= shortened
            asked += variants(request, body.n)
        answers = [Answer() for _ in asked]
        offsets = [0] * len(asked)
        if body.echo:
            for index, prompt in enumerate(p for p in prompts for _ in range(body.n)):
                text = prompt if isinstance(prompt, str) else model.tokenizer.decode(prompt)
                yield head | {"choices": [_choice(index, text)]}
        if len(asked) > 1 and not body.stream:
            generations = generate_all(core, engine, model, asked, "completions")
        else:
            generations = [generate(core, engine, model, request, "completions") for request in asked]
        async with aclosing(merge(generations)) as deltas:
            async for index, delta in deltas:
                answers[index].add(delta)
                choice = _choice(index, delta.text, delta.finish_reason)
                if body.logprobs is not None and delta.tokens:
                    choice["logprobs"] = _logprobs(delta.tokens, model.tokenizer, offsets[index])
                    offsets[index] += len(delta.text)
                if delta.text or delta.tokens or delta.finish_reason:
                    yield head | {"choices": [choice]}
        usage = total([answer.usage for answer in answers], body.n)
        wanted = not body.stream or (body.stream_options is not None and body.stream_options.include_usage)
        if wanted:
            yield head | {"choices": [], **usage_fields(usage, cut or usage.truncated)}


def _request(body: Completion, prompt: str | list[int], model: LoadedModel) -> tuple[GenerationRequest, bool]:
    tokenizer = model.tokenizer
    max_tokens = 16 if body.max_tokens is None else body.max_tokens
    limit = room(model.context_length, max_tokens)
    if body.suffix and isinstance(prompt, str):
        hole = Hole(prompt, body.suffix)
        ids, cut = fit_hole(lambda h: _render(model, h), tokenizer, hole, limit)
        stops = stop_ids(model.family, tokenizer)
    else:
        ids, cut = _continuation(prompt, model, limit)
        stops = tokenizer.eos_ids
    return (
        GenerationRequest(
            prompt=ids,
            max_tokens=max(0, min(max_tokens, model.context_length - len(ids))),
            sampling=sampling(body, model),
            stop=tuple(body.stop),
            stop_ids=stops,
            priority="inline" if body.suffix else "chat",
            client=body.client,
            top_logprobs=body.logprobs or 0,
        ),
        cut,
    )


def _render(model: LoadedModel, hole: Hole) -> list[int]:
    return render_ids(model.family, model.tokenizer, prefix=hole.prefix, suffix=hole.suffix)


def _continuation(prompt: str | list[int], model: LoadedModel, limit: int) -> tuple[list[int], bool]:
    """Tokens of a text to go on with; of one that is too long, the end."""
    tokenizer = model.tokenizer
    bos = [tokenizer.bos_id] if model.family.needs_bos and tokenizer.bos_id is not None else []
    if isinstance(prompt, str):
        short = prompt[-limit * CHARS_PER_TOKEN :]
        ids, cut = bos + tokenizer.encode(short), len(short) < len(prompt)
    else:
        if any(token >= tokenizer.vocab_size for token in prompt):
            raise ParameterError(f"Tokens must be below {tokenizer.vocab_size}.", "prompt")
        ids, cut = list(prompt), False
    if not ids:
        ids = [tokenizer.bos_id] if tokenizer.bos_id is not None else sorted(tokenizer.eos_ids)[:1]
    if len(ids) > limit:
        ids, cut = bos + ids[len(ids) - limit + len(bos) :], True
    return ids, cut


def _choice(index: int, text: str, finish: FinishReason | None = None) -> dict[str, Any]:
    return {
        "index": index,
        "text": text,
        "logprobs": None,
        "finish_reason": FINISH[finish] if finish else None,
    }


def _logprobs(tokens: tuple[TokenLogprob, ...], tokenizer: Tokenizer, offset: int) -> dict[str, Any]:
    spelled = [tokenizer.decode([token.token_id]) for token in tokens]
    offsets = []
    for text in spelled:
        offsets.append(offset)
        offset += len(text)
    return {
        "tokens": spelled,
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [
            {tokenizer.decode([other]): logprob for other, logprob in token.top} for token in tokens
        ],
        "text_offset": offsets,
    }


def usage_fields(usage: Usage, truncated: bool) -> dict[str, Any]:
    """OpenAI's `usage`, and ours: llama-server's `timings`, and whether the prompt was cut."""
    return {
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        },
        "timings": timings(usage),
        "truncated": truncated,
    }


async def _plain(events: Events, body: Completion) -> Response:
    """Join the stream's events into one answer."""
    choices: dict[int, dict[str, Any]] = {}
    last: dict[str, Any] = {}
    async with aclosing(events):
        async for event in events:
            last = event
            for piece in event["choices"]:
                choice = choices.setdefault(piece["index"], _choice(piece["index"], ""))
                choice["text"] += piece["text"]
                choice["finish_reason"] = piece["finish_reason"] or choice["finish_reason"]
                if piece["logprobs"] is not None:
                    joined = choice["logprobs"] or {key: [] for key in piece["logprobs"]}
                    choice["logprobs"] = {key: joined[key] + piece["logprobs"][key] for key in joined}
    return JSONResponse(last | {"choices": [choices[index] for index in sorted(choices)]})
