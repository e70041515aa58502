"""Ollama's own API, because its `/v1` cannot set the context length and cuts longer prompts without a word.

Its traps: `suffix` is rendered by the model's template and refused where that has none; an empty `prompt` only loads
the model; an empty `suffix` uses the chat template. So prompts of known families are rendered here and sent `raw`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from codeface_lsp.endpoints.completions import CompletionsServer, render, stops
from codeface_lsp.endpoints.http import ServerClient
from codeface_lsp.endpoints.markers import MarkerCutter
from codeface_lsp.endpoints.token_counter import EstimatedCounter
from codeface_lsp.endpoints.types import ChatRequest, Chunk, FinishReason, InfillRequest, ModelCard, Timings
from codeface_lsp.errors import EndpointUnreachable
from codeface_lsp.prompting.fim import special_spellings

_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
_KEEP_ALIVE = "30m"


class OllamaServer(CompletionsServer):
    """`/api/generate` raw for completions, `/api/chat` for chat."""

    def __init__(
        self,
        client: ServerClient,
        *,
        model: str | None = None,
        family: str | None = None,
        context_tokens: int = 4096,
    ) -> None:
        """`context_tokens` is asked of the server: its default is often shorter than the model's."""
        super().__init__(client, model=model, family=family)
        self._context_tokens = context_tokens

    async def models(self) -> list[ModelCard]:
        """Read `/api/tags`; the context is what this endpoint asks for."""
        body = await self.client.get("/api/tags", timeout_s=10)
        return [
            ModelCard(id=str(entry["name"]), context_tokens=self._context_tokens)
            for entry in body.get("models") or []
        ]

    async def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        """Stream `/api/generate`."""
        family = await self.family()
        middle = family.fim.orders[0] != "none"
        parts = request.parts
        by_template = not middle and bool(parts.prefix) and bool(parts.fim_suffix)
        prompt = parts.prefix if by_template else render(family, request)
        body: dict[str, Any] = {
            "model": await self.model(),
            "prompt": prompt or "\n",
            "stream": True,
            "keep_alive": _KEEP_ALIVE,
            "options": self._options(request) | {"stop": stops(request, family)},
        }
        body |= {"suffix": parts.fim_suffix} if by_template else {"raw": True}
        cutter = MarkerCutter(special_spellings(family))
        async with aclosing(self._lines("/api/generate", body, prompt)) as chunks:
            async for chunk in chunks:
                text = cutter.feed(chunk.text, last=chunk.finish_reason is not None)
                if cutter.found:
                    yield Chunk(text=text, model=chunk.model)
                    yield Chunk(finish_reason="stop", timings=chunk.timings, model=chunk.model)
                    return
                if text or chunk.finish_reason is not None:
                    yield replace(chunk, text=text)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk]:
        """Stream `/api/chat`."""
        body: dict[str, Any] = {
            "model": await self.model(),
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "stream": True,
            "keep_alive": _KEEP_ALIVE,
            "options": self._options(request) | {"stop": list(request.stop)},
        }
        sent = "\n".join(m.content for m in request.messages)
        async with aclosing(self._lines("/api/chat", body, sent)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed with `/api/embed`."""
        body = {"model": await self.model(), "input": list(texts)}
        answer = await self.client.post("/api/embed", body)
        return [list(map(float, row)) for row in answer["embeddings"]]

    async def count_tokens(self, text: str) -> int:
        """Ollama does not tokenize for others."""
        return EstimatedCounter().count(text)

    def _options(self, request: InfillRequest | ChatRequest) -> dict[str, Any]:
        options: dict[str, Any] = {
            "num_ctx": self._context_tokens,
            "num_predict": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
        }
        return options | ({"seed": request.seed} if request.seed is not None else {})

    async def _lines(self, path: str, body: Mapping[str, Any], sent: str) -> AsyncGenerator[Chunk]:
        """One JSON object per line; the last has `done` and the figures, in nanoseconds."""
        async with aclosing(self.client.events(path, body)) as events:
            async for event in events:
                model = str(event.get("model") or "")
                text = str(event.get("response") or (event.get("message") or {}).get("content") or "")
                if not event.get("done"):
                    yield Chunk(text=text, model=model)
                    continue
                timings = self._watch.check(sent, _timings(event))
                finish = _FINISH.get(str(event.get("done_reason")), "stop")
                yield Chunk(text=text, finish_reason=finish, timings=timings, model=model)
                return
        raise EndpointUnreachable(
            f"{self.name} ended its answer without saying why; try again.", kind="endpoint_broken"
        )


def _timings(event: Mapping[str, Any]) -> Timings:
    return Timings(
        prompt_tokens=int(event.get("prompt_eval_count") or 0),
        completion_tokens=int(event.get("eval_count") or 0),
        prompt_ms=float(event.get("prompt_eval_duration") or 0) / 1e6,
        predicted_ms=float(event.get("eval_duration") or 0) / 1e6,
        queue_ms=float(event.get("load_duration") or 0) / 1e6,
    )
