"""llama-server's `/infill`, which our engine speaks too (with more fields)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from codeface_lsp.endpoints.openai import OpenAiServer
from codeface_lsp.endpoints.types import Chunk, FinishReason, InfillRequest, Timings
from codeface_lsp.errors import EndpointUnreachable

_STOP_TYPES: dict[str, FinishReason] = {"eos": "eos", "limit": "length", "word": "stop", "time": "time"}


class LlamaServer(OpenAiServer):
    """`/infill` for completions, `/v1` for the rest."""

    async def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        """Stream `/infill`; its stream has no `[DONE]`, the last event says `stop: true`."""
        body = await self.infill_body(request)
        async with aclosing(self.client.events("/infill", body)) as events:
            async for event in events:
                if event.get("stop"):
                    self.finished(event)
                    if event.get("content"):
                        yield _piece(event)
                    yield Chunk(
                        finish_reason=_STOP_TYPES.get(str(event.get("stop_type")), "stop"),
                        timings=self.timings(event),
                        model=str(event.get("model") or ""),
                    )
                    return
                yield _piece(event)
        raise EndpointUnreachable(
            f"{self.name} ended its answer without saying why; try again.", kind="endpoint_broken"
        )

    async def infill_body(self, request: InfillRequest) -> dict[str, Any]:
        """Fields that llama-server knows; `prompt` stays empty because its place differs between versions."""
        parts = request.parts
        body: dict[str, Any] = {
            "input_prefix": parts.prefix,
            "input_suffix": parts.fim_suffix,
            "input_extra": [{"filename": extra.filename, "text": extra.text} for extra in parts.extra],
            "prompt": "",
            "n_predict": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
            "stop": list(request.stop[:4]),
            "stream": True,
            "cache_prompt": True,
        }
        if request.temperature > 0 and request.top_k == 0 and request.top_p == 1:
            body["samplers"] = ["temperature"]
        if request.seed is not None:
            body["seed"] = request.seed
        if request.time_budget_ms is not None:
            body["t_max_predict_ms"] = request.time_budget_ms
        return body

    def finished(self, event: Mapping[str, Any]) -> None:
        """Look at the last event; dialects that keep state override it."""

    def timings(self, event: Mapping[str, Any]) -> Timings:
        """llama-server's `tokens_cached` counts the whole slot, so what was reused is evaluated minus computed."""
        figures = event.get("timings") or {}
        evaluated = int(event.get("tokens_evaluated") or 0)
        computed = int(figures.get("prompt_n") or 0)
        return Timings(
            prompt_tokens=evaluated,
            cached_tokens=max(0, evaluated - computed),
            completion_tokens=int(event.get("tokens_predicted") or 0),
            prompt_ms=float(figures.get("prompt_ms") or 0),
            predicted_ms=float(figures.get("predicted_ms") or 0),
            queue_ms=float(figures.get("queue_ms") or 0),
            truncated=bool(event.get("truncated")),
        )


def _piece(event: Mapping[str, Any]) -> Chunk:
    tokens = event.get("tokens")
    return Chunk(
        text=str(event.get("content") or ""),
        tokens=len(tokens) if isinstance(tokens, list) else int(tokens or 0),
        logprob=event.get("logprob"),
        model=str(event.get("model") or ""),
        waiting=bool(event.get("waiting")),
    )
