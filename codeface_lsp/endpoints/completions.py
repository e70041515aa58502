"""Fill in the middle over a plain `/v1/completions`: the prompt is rendered here, in the family's own form.

No common server takes OpenAI's `suffix` (vLLM, TGI and llama-server refuse it, LocalAI drops it), so it is not sent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from codeface_lsp.endpoints.http import ServerClient
from codeface_lsp.endpoints.markers import MarkerCutter
from codeface_lsp.endpoints.openai import OpenAiServer
from codeface_lsp.endpoints.truncation import TruncationWatch
from codeface_lsp.endpoints.types import ChatRequest, Chunk, InfillRequest
from codeface_lsp.errors import EndpointRejected
from codeface_lsp.prompting.families import FAMILIES, Family, from_model_name
from codeface_lsp.prompting.fim import render_text, special_spellings

MAX_STOPS = 4
"""OpenAI's own limit; compatible servers may refuse more."""


class CompletionsServer(OpenAiServer):
    """A server of which nothing is known but that it continues text."""

    def __init__(self, client: ServerClient, *, model: str | None = None, family: str | None = None) -> None:
        """`family` overrides what the model's name tells. Raises `EndpointRejected` for an unknown one."""
        super().__init__(client, model=model)
        if family is not None and family not in FAMILIES:
            raise EndpointRejected(
                f"There is no family `{family}` (the `fim` of {client.name}); known are {', '.join(FAMILIES)}."
            )
        self._family = FAMILIES[family] if family is not None else None
        self._logprobs = True
        self._watch = TruncationWatch(client.name)

    async def family(self) -> Family:
        """The model's family: the setting, or what its name tells; without one the prefix alone is sent."""
        return self._family or from_model_name(await self.model())

    async def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        """Stream the continuation of a rendered prompt."""
        family = await self.family()
        prompt = render(family, request)
        body = await self._body(request, family, prompt)
        if self._logprobs:
            try:
                async with aclosing(self._ask(body | {"logprobs": 1}, family, prompt)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except EndpointRejected as error:
                if error.status not in (400, 422) or "logprob" not in error.message.lower():
                    raise
                self._logprobs = False
        async with aclosing(self._ask(body, family, prompt)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk]:
        """Stream a chat, noticing a conversation that was cut silently."""
        sent = "\n".join(message.content for message in request.messages)
        async with aclosing(super().chat(request)) as chunks:
            async for chunk in chunks:
                if chunk.finish_reason is not None:
                    chunk = replace(chunk, timings=self._watch.check(sent, chunk.timings))
                yield chunk

    async def _ask(self, body: dict[str, Any], family: Family, prompt: str) -> AsyncGenerator[Chunk]:
        cutter = MarkerCutter(special_spellings(family))
        events = self.client.events("/v1/completions", body)
        async with aclosing(self.chunks(events, "text", str(body["model"]))) as chunks:
            async for chunk in chunks:
                text = cutter.feed(chunk.text, last=chunk.finish_reason is not None)
                if cutter.found:
                    if text:
                        yield replace(chunk, text=text, finish_reason=None)
                    yield Chunk(finish_reason="stop", timings=chunk.timings, model=chunk.model)
                    return
                if chunk.finish_reason is not None:
                    if text:
                        yield Chunk(text=text, model=chunk.model)
                    yield replace(chunk, timings=self._watch.check(prompt, chunk.timings))
                elif text or chunk.tokens:
                    yield replace(chunk, text=text)

    async def _body(self, request: InfillRequest, family: Family, prompt: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": await self.model(),
            "prompt": prompt,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
            "stop": stops(request, family),
        }
        if request.seed is not None:
            body["seed"] = request.seed
        return body


def render(family: Family, request: InfillRequest) -> str:
    """The prompt as text, special tokens spelled out."""
    parts = request.parts
    return render_text(
        family,
        prefix=parts.prefix,
        suffix=parts.fim_suffix,
        extra=[(extra.filename, extra.text) for extra in parts.extra],
        filename=parts.path,
    )


def stops(request: InfillRequest, family: Family) -> list[str]:
    """The request's stop strings, then the family's, as many as a server takes."""
    own = (stop.removeprefix("▁") for stop in family.fim.stop)
    return list(dict.fromkeys([*request.stop, *own]))[:MAX_STOPS]
