"""Who is asked: by role, in turn, and the next when one fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from starlette.responses import JSONResponse

from codeface_lsp.endpoints.router import Router, open_endpoint
from codeface_lsp.endpoints.types import ChatRequest, Chunk, Message
from codeface_lsp.errors import EndpointRejected, EndpointUnreachable
from codeface_lsp.settings import EndpointSettings, Settings
from tests.http_servers import FakeServer, events, serve

CHAT = ChatRequest([Message("user", "hi")])


def answering(name: str) -> FakeServer:
    answer = {"choices": [{"delta": {"content": name}, "finish_reason": "stop"}]}
    return FakeServer(
        {"/v1/chat/completions": lambda body: events(answer), "/v1/models": {"data": [{"id": name}]}}
    )


class Servers:
    """Several servers behind one router."""

    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.fakes: dict[str, FakeServer] = {}
        self.endpoints: list[EndpointSettings] = []

    async def add(self, name: str, fake: FakeServer | None, **settings: Any) -> None:
        url = "http://127.0.0.1:9"
        if fake is not None:
            self.fakes[name] = fake
            url = await self.stack.enter_async_context(serve(fake.app))
        settings = {"model": "m", "dialect": "openai", **settings}
        self.endpoints.append(EndpointSettings(name=name, url=url, **settings))

    def router(self) -> Router:
        router = open_endpoint(Settings(endpoints=self.endpoints))
        self.stack.push_async_callback(router.aclose)
        return router


@pytest.fixture
async def servers() -> AsyncGenerator[Servers]:
    made = Servers()
    async with made.stack:
        yield made


async def text(chunks: AsyncGenerator[Chunk]) -> str:
    return "".join([chunk.text async for chunk in chunks])


async def test_servers_of_one_role_take_turns(servers: Servers) -> None:
    for name in ("a", "b", "c"):
        await servers.add(name, answering(name))
    router = servers.router()
    assert "".join([await text(router.chat(CHAT)) for _ in range(6)]) == "abcabc"


async def test_a_role_goes_only_to_its_servers(servers: Servers) -> None:
    await servers.add("inline", answering("inline"), roles=["completion"])
    await servers.add("talk", answering("talk"), roles=["chat"])
    router = servers.router()
    assert [await text(router.chat(CHAT)) for _ in range(2)] == ["talk", "talk"]
    with pytest.raises(EndpointRejected, match="No endpoint serves embedding; add `embedding`"):
        await router.embed(["x"])


@pytest.mark.parametrize("status", [None, 503, 500, 429, 401])
async def test_the_next_is_asked_when_one_fails(servers: Servers, status: int | None) -> None:
    broken = None if status is None else FakeServer({"/v1/chat/completions": JSONResponse({}, status)})
    await servers.add("broken", broken)
    await servers.add("works", answering("works"))
    assert await text(servers.router().chat(CHAT)) == "works"


async def test_a_bad_request_is_not_repeated_elsewhere(servers: Servers) -> None:
    refuse = JSONResponse({"error": {"message": "max_tokens is too large"}}, 400)
    await servers.add("first", FakeServer({"/v1/chat/completions": refuse}))
    await servers.add("second", answering("second"))
    with pytest.raises(EndpointRejected, match="max_tokens is too large"):
        await text(servers.router().chat(CHAT))
    assert not servers.fakes["second"].requests


async def test_an_answer_that_broke_off_is_not_begun_again_elsewhere(servers: Servers) -> None:
    half = {"choices": [{"delta": {"content": "half"}}]}
    await servers.add("breaks", FakeServer({"/v1/chat/completions": lambda body: events(half, done=False)}))
    await servers.add("second", answering("second"))
    with pytest.raises(EndpointUnreachable):
        await text(servers.router().chat(CHAT))
    assert not servers.fakes["second"].requests


async def test_when_all_fail_the_last_error_is_told(servers: Servers) -> None:
    await servers.add("a", None)
    await servers.add("b", None)
    with pytest.raises(EndpointUnreachable, match=r"Nothing answers .* \(b\)"):
        await text(servers.router().chat(CHAT))


async def test_models_are_listed_from_all_that_answer(servers: Servers) -> None:
    await servers.add("a", answering("a"))
    await servers.add("gone", None)
    await servers.add("b", answering("b"))
    assert {card.id for card in await servers.router().models()} == {"a", "b"}


async def test_attaching_tells_whether_the_servers_answer_and_follows_new_settings(servers: Servers) -> None:
    await servers.add("gone", None)
    router = servers.router()
    attached = router.attach()
    event = await anext(attached)
    assert event.state == "error"
    assert "(gone)" in event.message
    await servers.add("works", answering("works"))
    router.use(Settings(endpoints=servers.endpoints[1:]))
    event = await anext(attached)
    assert (event.state, event.model) == ("ready", "works")
    assert await text(router.chat(CHAT)) == "works"
    await attached.aclose()


async def test_the_engine_s_own_commands_are_refused_for_other_servers(servers: Servers) -> None:
    await servers.add("a", answering("a"))
    with pytest.raises(EndpointRejected, match="managed on their servers"):
        await servers.router().manage("load", {"model": "x"})


@pytest.mark.parametrize(
    ("roles", "engine", "local"),
    [
        (["chat"], {"mock": True}, {"completion"}),
        (["completion"], {"mock": True}, {"chat"}),
        (["embedding"], {"mock": True}, {"completion", "chat"}),
        (["completion", "chat"], {"mock": True}, set()),
    ],
)
def test_what_no_endpoint_serves_stays_with_the_local_engine(
    roles: list[str], engine: dict[str, bool], local: set[str]
) -> None:
    endpoint = {"name": "far", "url": "http://127.0.0.1:9", "roles": roles}
    router = open_endpoint(Settings.model_validate({"endpoints": [endpoint], "engine": engine}))
    assert {role for role, servers in router._servers.items() if servers == [router.engine]} == local


def test_without_torch_there_is_no_local_engine_to_stay_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codeface_lsp.endpoints.router.find_spec", lambda name: None)
    endpoint = {"name": "far", "url": "http://127.0.0.1:9", "roles": ["chat"]}
    assert open_endpoint(Settings.model_validate({"endpoints": [endpoint]})).engine is None
