"""A model server of the user's: its dialect is found out at the first use, unless the settings name it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from codeface_lsp.endpoints.codeface import CodefaceServer
from codeface_lsp.endpoints.completions import CompletionsServer
from codeface_lsp.endpoints.http import ServerClient
from codeface_lsp.endpoints.llama_server import LlamaServer
from codeface_lsp.endpoints.ollama import OllamaServer
from codeface_lsp.endpoints.openai import OpenAiServer
from codeface_lsp.endpoints.types import ChatRequest, Chunk, InfillRequest, ModelCard
from codeface_lsp.errors import EndpointRejected, SettingsError
from codeface_lsp.settings import EndpointSettings

_PROBE_TIMEOUT_S = 5.0
_NOT_IMPLEMENTED = 501
"""llama-server's answer to `/infill` for a model without fill-in-the-middle tokens."""


class RemoteServer:
    """Delegates to the dialect that the server speaks."""

    def __init__(self, settings: EndpointSettings) -> None:
        """Opens nothing yet. Raises `SettingsError` if the key's variable is not set."""
        self.name = settings.name
        self._settings = settings
        self._client = ServerClient(
            settings.name, settings.url, api_key=api_key(settings), timeout_s=settings.timeout_s
        )
        self._asking = asyncio.Lock()
        self._dialect: OpenAiServer | None = None

    async def dialect(self) -> OpenAiServer:
        """The dialect, asked for once. Raises `EndpointUnreachable` if nothing answers."""
        async with self._asking:
            if self._dialect is None:
                name: str = self._settings.dialect
                self._dialect = self._make(await detect(self._client) if name == "auto" else name)
        return self._dialect

    def _make(self, dialect: str) -> OpenAiServer:
        settings, client = self._settings, self._client
        if dialect == "codeface":
            return CodefaceServer(
                client, model=settings.model, chat_model=settings.model, embedding_model=settings.model
            )
        if dialect == "llama-server":
            return LlamaServer(client, model=settings.model)
        if dialect == "ollama":
            return OllamaServer(
                client,
                model=settings.model,
                family=settings.fim,
                context_tokens=settings.context_tokens,
            )
        return CompletionsServer(client, model=settings.model, family=settings.fim)

    async def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        """Stream a completion; a llama-server whose model has no FIM tokens is asked for a continuation."""
        dialect = await self.dialect()
        try:
            async with aclosing(dialect.infill(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        except EndpointRejected as error:
            if error.status != _NOT_IMPLEMENTED or not isinstance(dialect, LlamaServer):
                raise
        self._dialect = CompletionsServer(self._client, model=self._settings.model, family=self._settings.fim)
        async with aclosing(self._dialect.infill(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk]:
        """Stream an answer."""
        dialect = await self.dialect()
        async with aclosing(dialect.chat(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts."""
        return await (await self.dialect()).embed(texts)

    async def models(self) -> list[ModelCard]:
        """List what it serves."""
        return await (await self.dialect()).models()

    async def count_tokens(self, text: str) -> int:
        """Count tokens."""
        return await (await self.dialect()).count_tokens(text)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()


async def detect(client: ServerClient) -> str:
    """Ask a server what it is. Raises `EndpointUnreachable` if nothing answers there."""
    probes: tuple[tuple[str, str, Callable[[dict[str, Any]], bool]], ...] = (
        ("codeface", "/health", lambda body: "protocol" in body and "windows" in body),
        ("llama-server", "/props", lambda body: "default_generation_settings" in body),
        ("ollama", "/api/version", lambda body: isinstance(body.get("version"), str)),
    )
    for dialect, path, speaks in probes:
        try:
            body = await client.get(path, timeout_s=_PROBE_TIMEOUT_S)
        except EndpointRejected as error:
            if error.status in (401, 403):
                raise
            continue
        if isinstance(body, dict) and speaks(body):
            return dialect
    return "openai"


def api_key(settings: EndpointSettings) -> str | None:
    """The key itself, or what its environment variable holds."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    if settings.api_key_env is None:
        return None
    key = os.environ.get(settings.api_key_env)
    if not key:
        raise SettingsError(
            f"The environment variable {settings.api_key_env} (the `api_key_env` of {settings.name}) is not set."
        )
    return key
