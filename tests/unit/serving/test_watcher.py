"""Work ends when its client is gone, whether it would have been streamed or not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from codeface_lsp.serving.streams import stream
from codeface_lsp.serving.watcher import Watcher
from tests.http_servers import eventually, serve


class Work:
    """A handler's work, as the tests see it."""

    def __init__(self) -> None:
        self.started = 0
        self.ended = 0
        self.cancelled = 0
        self.bytes_received = 0
        self.sent = 0

    async def forever(self) -> None:
        self.started += 1
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.ended += 1

    async def plain(self, request: Request) -> Response:
        await self.forever()
        return PlainTextResponse("never")

    async def streamed(self, request: Request) -> Response:
        async def body() -> AsyncGenerator[str]:
            yield "first"
            await self.forever()

        return StreamingResponse(body())

    async def flood(self, request: Request) -> Response:
        async def body() -> AsyncGenerator[dict[str, Any]]:
            try:
                while True:
                    self.sent += 65536
                    yield {"content": "x" * 65536}
            finally:
                self.ended += 1

        return await stream(body())

    async def echo(self, request: Request) -> Response:
        body = await request.body()
        self.bytes_received += len(body)
        return PlainTextResponse(str(len(body)))


@asynccontextmanager
async def watched(work: Work, **options: float) -> AsyncGenerator[str]:
    routes = [
        Route(f"/{name}", getattr(work, name), methods=["GET", "POST"])
        for name in ("plain", "streamed", "flood", "echo")
    ]
    async with serve(Watcher(Starlette(routes=routes), **options)) as url:  # type: ignore[arg-type]
        yield url


def connect(url: str, path: str, *headers: str, method: str = "GET", body: str = "") -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", *headers, "", ""]
    connection.sendall(("\r\n".join(lines) + body).encode())
    return connection


@pytest.mark.parametrize("path", ["/plain", "/streamed"])
async def test_a_client_that_goes_away_ends_its_work(path: str) -> None:
    work = Work()
    async with watched(work) as url:
        connection = connect(url, path)
        await eventually(lambda: work.started == 1)
        assert work.cancelled == 0
        connection.close()
        await eventually(lambda: work.cancelled == 1, within_s=5)


async def test_a_request_that_is_answered_is_not_disturbed_and_the_connection_is_used_again() -> None:
    work = Work()
    async with watched(work) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        for size in (0, 10, 100_000):
            assert (await client.post("/echo", content=b"x" * size)).text == str(size)


async def test_a_body_of_100_mb_is_refused_without_reading_it() -> None:
    work = Work()
    async with watched(work, max_body=1 << 20) as url, httpx2.AsyncClient(trust_env=False) as client:

        async def chunks() -> AsyncGenerator[bytes]:
            for _ in range(100):
                yield b"x" * (1 << 20)

        headers = {"Content-Length": str(100 << 20)}
        answer = await client.post(f"{url}/echo", content=chunks(), headers=headers, timeout=60)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "body_too_large"
        assert work.bytes_received == 0
        assert (await client.post(f"{url}/echo", content=b"abc")).text == "3"


async def test_a_body_of_unknown_length_is_refused_as_soon_as_it_is_too_large() -> None:
    async with watched(Work(), max_body=1000) as url, httpx2.AsyncClient(trust_env=False) as client:

        async def chunks() -> AsyncGenerator[bytes]:
            for _ in range(10):
                yield b"x" * 500

        assert (await client.post(f"{url}/echo", content=chunks())).status_code == 413


async def test_all_bodies_together_are_bounded_too() -> None:
    work = Work()
    async with watched(work, max_bodies=1000) as url, httpx2.AsyncClient(trust_env=False) as client:
        holding = connect(url, "/plain", "Content-Length: 900", method="POST", body="x" * 900)
        await eventually(lambda: work.started == 1)
        answer = await client.post(f"{url}/echo", content=b"x" * 200)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
        holding.close()
        await eventually(lambda: work.ended == 1)
        assert (await client.post(f"{url}/echo", content=b"x" * 200)).text == "200"


async def test_a_client_that_never_reads_is_given_up() -> None:
    work = Work()
    async with watched(work, send_timeout_s=0.3) as url:
        connection = connect(url, "/flood")
        try:
            await eventually(lambda: work.ended == 1)
            assert (
                work.sent < 64 << 20
            )  # what the sockets' buffers took, not what the handler could have made
        finally:
            connection.close()


async def test_a_client_that_leaves_in_the_middle_of_its_body_starts_no_work() -> None:
    work = Work()
    async with watched(work) as url:
        connection = connect(url, "/plain", "Content-Length: 100")
        connection.sendall(b"only this")
        connection.close()
        async with httpx2.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{url}/echo")).text == "0"
        assert work.started == 0
