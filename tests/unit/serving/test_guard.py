"""Only holders of the token, from this machine, and no web page."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from codeface_lsp.serving.guard import Guard
from tests.http_servers import serve

TOKEN = "right-token"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@pytest.fixture
async def client() -> AsyncGenerator[httpx2.AsyncClient]:
    app = Guard(Starlette(routes=[Route("/anything", hello, methods=["GET", "POST", "OPTIONS"])]), TOKEN)
    async with serve(app) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        yield client


async def test_the_token_opens_every_route(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/anything", headers=AUTHORIZED)).text == "hello"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": TOKEN}],
)
async def test_without_the_token_nothing_is_answered(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.get("/anything", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"] == {
        "message": "Send the engine's token as `Authorization: Bearer`.",
        "type": "authentication_error",
        "param": None,
        "code": "invalid_api_key",
    }


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""])
async def test_a_foreign_host_is_refused(client: httpx2.AsyncClient, host: str) -> None:
    answer = await client.get("/anything", headers={**AUTHORIZED, "Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:99"])
async def test_loopback_names_are_taken(client: httpx2.AsyncClient, host: str) -> None:
    assert (await client.get("/anything", headers={**AUTHORIZED, "Host": host})).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1", "null"])
async def test_any_origin_is_refused_even_with_the_token(client: httpx2.AsyncClient, origin: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = await client.request(method, "/anything", headers={**AUTHORIZED, "Origin": origin})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_origin")
        assert not [name for name in answer.headers if name.startswith("access-control")]
