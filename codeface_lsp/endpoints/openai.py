"""OpenAI's `/v1`: what every compatible server (vLLM, LocalAI, llama-server, Ollama, ours) speaks for chat."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from codeface_lsp.endpoints.http import ServerClient
from codeface_lsp.endpoints.token_counter import EstimatedCounter
from codeface_lsp.endpoints.types import (
    ChatRequest,
    Chunk,
    FinishReason,
    InfillRequest,
    ModelCard,
    Timings,
)
from codeface_lsp.errors import EndpointRejected, EndpointUnreachable

_FINISH: dict[str, FinishReason] = {"stop": "stop", "length": "length", "eos": "eos", "time": "time"}


class OpenAiServer(ABC):
    """A server with OpenAI's chat, embeddings and models; dialects add what fills in the middle."""

    def __init__(self, client: ServerClient, *, model: str | None = None) -> None:
        """`model` is the name sent in requests; None takes the first that the server lists."""
        self.client = client
        self.name = client.name
        self._model = model

    async def model(self) -> str:
        """Name of the model that requests are sent to."""
        if self._model is None:
            cards = await self.models()
            if not cards:
                raise EndpointRejected(
                    f"{self.name} serves no model; load one or set the endpoint's `model`."
                )
            self._model = cards[0].id
        return self._model

    async def models(self) -> list[ModelCard]:
        """Read `/v1/models`; vLLM tells `max_model_len`, llama-server `meta.n_ctx_train`, ours all of a card."""
        body = await self.client.get("/v1/models", timeout_s=10)
        entries = body.get("data") if isinstance(body, dict) else None
        return [_card(entry) for entry in entries or [] if isinstance(entry, dict) and entry.get("id")]

    @abstractmethod
    def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        """Complete at the cursor, in this server's way."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk]:
        """Stream `/v1/chat/completions`."""
        body = await self.chat_body(request)
        events = self.client.events("/v1/chat/completions", body)
        async with aclosing(self.chunks(events, "delta", str(body["model"]))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def chat_body(self, request: ChatRequest) -> dict[str, Any]:
        """Body of a chat request; only fields that every compatible server takes."""
        body: dict[str, Any] = {
            "model": await self.model(),
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.stop:
            body["stop"] = list(request.stop[:4])
        if request.seed is not None:
            body["seed"] = request.seed
        return body

    async def chunks(
        self, events: AsyncGenerator[dict[str, Any]], field: str, model: str
    ) -> AsyncGenerator[Chunk]:
        """Turn OpenAI's stream events into chunks; the usage may come after the finish reason."""
        finish: FinishReason | None = None
        timings = Timings()
        async with aclosing(events):
            async for event in events:
                timings = _timings(event, timings)
                model = str(event.get("model") or model)
                for choice in event.get("choices") or []:
                    text = _text(choice, field)
                    if choice.get("finish_reason"):
                        finish = _FINISH.get(choice["finish_reason"], "stop")
                    if text:
                        tokens, logprob = _logprobs(choice)
                        yield Chunk(text=text, tokens=tokens, logprob=logprob, model=model)
        if finish is None:
            raise EndpointUnreachable(
                f"{self.name} ended its answer without saying why; try again.", kind="endpoint_broken"
            )
        yield Chunk(finish_reason=finish, timings=timings, model=model)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed with `/v1/embeddings`."""
        body = await self.client.post("/v1/embeddings", {"model": await self.model(), "input": list(texts)})
        rows = sorted(body["data"], key=lambda row: row["index"])
        return [row["embedding"] for row in rows]

    async def count_tokens(self, text: str) -> int:
        """Ask `/tokenize` (llama-server, ours) or vLLM's; estimate where a server has neither."""
        try:
            body = await self.client.post(
                "/tokenize", {"content": text, "prompt": text, "model": await self.model()}
            )
        except EndpointRejected:
            return EstimatedCounter().count(text)
        tokens = body.get("tokens")
        return len(tokens) if isinstance(tokens, list) else int(str(body["count"]))

    async def aclose(self) -> None:
        """Close all connections."""
        await self.client.aclose()


def _card(entry: Mapping[str, Any]) -> ModelCard:
    meta = entry.get("meta") or {}
    ours = entry.get("codeface") or {}
    context = ours.get("context_tokens") or entry.get("max_model_len") or meta.get("n_ctx_train")
    return ModelCard(
        id=str(entry["id"]),
        context_tokens=int(context) if context else None,
        fim=ours.get("fim"),
        chat=ours.get("chat"),
        mock=bool(ours.get("mock")),
        min_confidence=ours.get("min_confidence"),
    )


def _text(choice: Mapping[str, Any], field: str) -> str:
    if field == "delta":
        return str((choice.get("delta") or {}).get("content") or "")
    return str(choice.get(field) or "")


def _logprobs(choice: Mapping[str, Any]) -> tuple[int, float | None]:
    """Tokens and summed log-probability of a choice's piece: completions' and chat's shape."""
    told = choice.get("logprobs") or {}
    values = told.get("token_logprobs") or [entry.get("logprob") for entry in told.get("content") or []]
    known = [value for value in values if value is not None]
    return (len(known), sum(known)) if known else (0, None)


def _timings(event: Mapping[str, Any], before: Timings) -> Timings:
    usage = event.get("usage") or {}
    if not usage:
        return before
    details = usage.get("prompt_tokens_details") or {}
    timings = event.get("timings") or {}
    return Timings(
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        cached_tokens=int(details.get("cached_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        prompt_ms=float(timings.get("prompt_ms") or 0),
        predicted_ms=float(timings.get("predicted_ms") or 0),
        queue_ms=float(timings.get("queue_ms") or 0),
        truncated=bool(event.get("truncated")),
    )
