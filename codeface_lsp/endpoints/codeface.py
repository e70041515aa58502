"""Our engine's dialect: llama-server's `/infill` with healing, documents and priorities, and model management."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from codeface_lsp.endpoints.documents import SentDocuments
from codeface_lsp.endpoints.http import ServerClient
from codeface_lsp.endpoints.llama_server import LlamaServer
from codeface_lsp.endpoints.types import ChatRequest, DocumentText, EngineEvent, InfillRequest, Timings
from codeface_lsp.errors import EndpointError

_log = logging.getLogger(__name__)

_SILENCE_S = 60.0
"""The engine sends a comment every 10 s on streams that have nothing to say."""

_STATES = frozenset({"starting", "loading", "ready", "error"})


class CodefaceServer(LlamaServer):
    """A running engine at one address. `chat_model` and `embedding_model` name what those roles use.

    One that is `local` also gets the files next to the one that is open.
    """

    def __init__(
        self,
        client: ServerClient,
        *,
        model: str | None = None,
        chat_model: str | None = None,
        embedding_model: str | None = None,
        local: bool = False,
    ) -> None:
        """`client` belongs to this object from here on. A model that is None is the engine's default."""
        super().__init__(client, model=model)
        self.client_id = uuid.uuid4().hex[:12]
        self._chat_model = chat_model
        self._embedding_model = embedding_model
        self._documents = SentDocuments()
        self._local = local
        self._telling: set[asyncio.Task[None]] = set()
        self._one_told = asyncio.Lock()

    def use(self, model: str | None, chat_model: str | None, embedding_model: str | None) -> None:
        """Ask for other models from the next request on."""
        self._model, self._chat_model, self._embedding_model = model, chat_model, embedding_model

    async def infill_body(self, request: InfillRequest) -> dict[str, Any]:
        """Add our fields to llama-server's."""
        body = await super().infill_body(request)
        body |= {
            "filename": request.parts.path,
            "heal": request.heal,
            "priority": request.priority,
            "client": self.client_id,
        }
        if self._model is not None:
            body["model"] = self._model
        if request.document is not None:
            body["document"] = self._documents.field(request.document)
            if self._local and self._documents.has_news(request.document):
                telling = asyncio.create_task(self._tell_neighbours(request.document))
                self._telling.add(telling)
                telling.add_done_callback(self._telling.discard)
        return body

    async def _tell_neighbours(self, document: DocumentText) -> None:
        """Beside the request, not before it: a key waits for nothing that only later ones profit from."""
        assert document.neighbours is not None
        files = [{"filename": name, "text": text} for name, text in document.neighbours.texts.items()]
        body = {"id": document.id, "version": document.version, "neighbours": files}
        if self._model is not None:
            body["model"] = self._model
        try:
            async with self._one_told:  # in their order: the last ones count
                await self.client.post("/codeface/document", body | {"client": self.client_id})
        except EndpointError as error:
            self._documents.not_taken(document)
            _log.info("the engine did not take the files next to a document: %s", error.kind)

    async def told(self) -> None:
        """Wait until what goes to the engine beside the keys is there."""
        await asyncio.gather(*self._telling)

    async def aclose(self) -> None:
        """Close all connections."""
        for telling in self._telling:
            telling.cancel()
        await super().aclose()

    def finished(self, event: Mapping[str, Any]) -> None:
        """A document that the engine lost (it restarted, or dropped it for others) is sent whole next time."""
        if event.get("document_known") is False and event.get("document"):
            self._documents.forget(str(event["document"]))

    def timings(self, event: Mapping[str, Any]) -> Timings:
        """Our `tokens_cached` is what the prefix cache gave, as llama-server's README has it."""
        told = super().timings(event)
        return Timings(
            prompt_tokens=told.prompt_tokens,
            cached_tokens=int(event.get("tokens_cached") or 0),
            completion_tokens=told.completion_tokens,
            prompt_ms=told.prompt_ms,
            predicted_ms=told.predicted_ms,
            queue_ms=told.queue_ms,
            truncated=told.truncated,
        )

    async def chat_body(self, request: ChatRequest) -> dict[str, Any]:
        """Add our fields to OpenAI's."""
        body: dict[str, Any] = {
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
            "stop": list(request.stop),
            "stream": True,
            "stream_options": {"include_usage": True},
            "model": self._chat_model,
            "client": self.client_id,
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if request.draft_from is not None:
            body["draft_from"] = request.draft_from
        return body

    async def embed(self, texts: Any) -> list[list[float]]:
        """Embed with the embedding role's model."""
        body: dict[str, Any] = {"input": list(texts)}
        if self._embedding_model is not None:
            body["model"] = self._embedding_model
        answer = await self.client.post("/v1/embeddings", body, timeout_s=600)
        return [row["embedding"] for row in sorted(answer["data"], key=lambda row: row["index"])]

    async def count_tokens(self, text: str) -> int:
        """Count with the chat model's tokenizer."""
        body = {"content": text, "model": self._chat_model, "role": "chat"}
        return len((await self.client.post("/tokenize", body))["tokens"])

    async def health(self, *, timeout_s: float = 2.0) -> dict[str, Any]:
        """State, version and process id of the engine."""
        body = await self.client.get("/health", timeout_s=timeout_s)
        return body if isinstance(body, dict) else {}

    async def attach(self) -> AsyncGenerator[EngineEvent]:
        """Hold the engine alive and hear what it does; ends when the engine does."""
        path = "/codeface/attach"
        async with aclosing(self.client.events(path, method="GET", timeout_s=_SILENCE_S)) as events:
            async for event in events:
                if event.get("state") in _STATES:
                    yield EngineEvent(
                        state=event["state"],
                        message=str(event.get("message") or ""),
                        progress=event.get("progress"),
                        model=str(event.get("model") or ""),
                    )

    async def manage(self, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST `/codeface/models/ACTION`: load, unload, default, info; may take as long as a load does."""
        answer = await self.client.post(f"/codeface/models/{action}", body, timeout_s=3600)
        return answer if isinstance(answer, dict) else {}

    async def download(self, model: str) -> AsyncGenerator[dict[str, Any]]:
        """Download a model; yields progress events, the last one has `done: true`."""
        body = {"model": model}
        async with aclosing(
            self.client.events("/codeface/models/download", body, timeout_s=_SILENCE_S)
        ) as events:
            async for event in events:
                yield event
