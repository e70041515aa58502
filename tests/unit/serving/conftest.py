"""The engine's whole API in the test's event loop, with the scripted model behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest_asyncio

from codeface_lsp.serving.app import create_app
from codeface_lsp.serving.core import Core
from codeface_lsp.settings import EngineSettings, Settings
from tests.http_servers import serve

TOKEN = "the-token"


@dataclass
class Api:
    """A running API and a client that has its token."""

    url: str
    core: Core
    client: httpx2.AsyncClient
    stopped: list[bool]

    async def post(self, path: str, body: Any) -> Any:
        answer = await self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def error(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        answer = await self.client.post(path, json=body)
        return answer.status_code, answer.json()["error"]

    async def events(self, path: str, body: Any) -> list[dict[str, Any]]:
        async with self.client.sse(path, method="POST", json=body | {"stream": True}) as source:
            return [event.json() for event in [e async for e in source] if event.data != "[DONE]"]  # type: ignore[misc]


@asynccontextmanager
async def running(settings: Settings) -> AsyncGenerator[Api]:
    core = Core(settings)
    stopped: list[bool] = []
    app = create_app(core, TOKEN, stop=lambda: stopped.append(True))
    async with (
        serve(app) as url,
        httpx2.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=60
        ) as client,
    ):
        yield Api(url, core, client, stopped)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api() -> AsyncGenerator[Api]:
    """One for all tests of a module, which run in its loop: `pytestmark = pytest.mark.asyncio(loop_scope="module")`."""
    async with running(Settings(engine=EngineSettings(mock=True))) as made:
        yield made
