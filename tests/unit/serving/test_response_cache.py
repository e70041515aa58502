from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from codeface_lsp.inference.types import Delta, GenerationRequest, Sampling, TokenLogprob, Usage
from codeface_lsp.serving.mock import mock_model
from codeface_lsp.serving.response_cache import (
    CachedAnswer,
    MemoryCache,
    RedisCache,
    ResponseCache,
    is_deterministic,
    key_of,
    open_cache,
    through,
)
from codeface_lsp.settings import CacheSettings

REQUEST = GenerationRequest(prompt=[1, 2, 3], max_tokens=8, stop=("\n",))
ANSWER = CachedAnswer("x = 1", "stop", "\n", 3, 2, ((7, -0.5), (8, -0.25)))


class Engine:
    def __init__(self, finish: str = "stop") -> None:
        self.runs = 0
        self.finish = finish

    async def run(self) -> AsyncGenerator[Delta]:
        self.runs += 1
        yield Delta(text="x =", tokens=(TokenLogprob(7, -0.5),))
        yield Delta(text=" 1", tokens=(TokenLogprob(8, -0.25),))
        usage = Usage(prompt_tokens=3, completion_tokens=2)
        yield Delta(finish_reason=self.finish, stop_string="\n", usage=usage)  # type: ignore[arg-type]


async def ask(cache: ResponseCache, engine: Engine, request: GenerationRequest = REQUEST) -> list[Delta]:
    return [delta async for delta in through(cache, mock_model(), request, engine.run)]


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, prompt=[1, 2, 4]),
        replace(REQUEST, max_tokens=9),
        replace(REQUEST, stop=()),
        replace(REQUEST, stop_ids=frozenset({5})),
        replace(REQUEST, heal=b"x"),
        replace(REQUEST, sampling=Sampling(seed=1)),
        replace(REQUEST, sampling=Sampling(repetition_penalty=1.1)),
    ],
)
def test_the_key_holds_everything_that_shapes_the_answer(other: GenerationRequest) -> None:
    assert key_of(mock_model(), REQUEST) != key_of(mock_model(), other)


def test_the_key_is_a_sha256_and_knows_the_model_but_not_who_asks() -> None:
    key = key_of(mock_model(), REQUEST)
    assert len(bytes.fromhex(key)) == 32
    assert key == key_of(mock_model(), replace(REQUEST, client="another", priority="inline"))
    assert key != key_of(replace(mock_model(), quantization="4bit"), REQUEST)
    assert key != key_of(replace(mock_model(), name="other"), REQUEST)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (REQUEST, True),
        (replace(REQUEST, sampling=Sampling(temperature=0.7, seed=1)), True),
        (replace(REQUEST, sampling=Sampling(temperature=0.7)), False),
        (replace(REQUEST, document="file:///a.py"), False),
        (replace(REQUEST, time_budget_s=1.0), False),
        (replace(REQUEST, top_logprobs=5), False),
    ],
)
def test_only_deterministic_requests_are_kept(request_: GenerationRequest, expected: bool) -> None:
    assert is_deterministic(request_) is expected


async def test_the_second_time_the_engine_is_not_asked() -> None:
    cache, engine = MemoryCache(10, 60), Engine()
    first = await ask(cache, engine)
    second = await ask(cache, engine)
    assert engine.runs == 1
    assert "".join(d.text for d in first) == "".join(d.text for d in second) == "x = 1"
    assert [t for d in first for t in d.tokens] == [t for d in second for t in d.tokens]
    assert second[-1].finish_reason == "stop"
    assert second[-1].usage == Usage(prompt_tokens=3, cached_tokens=3, completion_tokens=2)


@pytest.mark.parametrize("finish", ["cancelled", "time"])
async def test_an_answer_that_was_cut_short_is_not_kept(finish: str) -> None:
    cache, engine = MemoryCache(10, 60), Engine(finish)
    await ask(cache, engine)
    await ask(cache, engine)
    assert engine.runs == 2


async def test_an_answer_that_its_client_gave_up_is_not_kept() -> None:
    cache, engine = MemoryCache(10, 60), Engine()
    answer = through(cache, mock_model(), REQUEST, engine.run)
    await anext(answer)
    await answer.aclose()
    await ask(cache, engine)
    assert engine.runs == 2


async def test_a_sampled_request_is_always_generated() -> None:
    cache, engine = MemoryCache(10, 60), Engine()
    sampled = replace(REQUEST, sampling=Sampling(temperature=0.7))
    await ask(cache, engine, sampled)
    await ask(cache, engine, sampled)
    assert engine.runs == 2


async def test_memory_forgets_after_the_time_to_live_and_when_full() -> None:
    now = [0.0]
    cache = MemoryCache(2, 60, clock=lambda: now[0])
    await cache.put("a", ANSWER)
    now[0] = 59.9
    assert await cache.get("a") == ANSWER
    now[0] = 60.0
    assert await cache.get("a") is None
    await cache.put("a", ANSWER)
    await cache.put("b", ANSWER)
    await cache.get("a")
    await cache.put("c", ANSWER)
    assert [await cache.get(key) is not None for key in "abc"] == [True, False, True]


async def test_zero_entries_switch_it_off() -> None:
    cache = open_cache(CacheSettings(max_entries=0, url="redis://127.0.0.1:1/0"))
    await cache.put("a", ANSWER)
    assert await cache.get("a") is None


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis server on a port of its own."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    folder: Path = tmp_path_factory.mktemp("redis")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, "redis-server did not start"
                time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


async def test_redis_keeps_answers_for_other_engines(redis_url: str) -> None:
    one, other = RedisCache(redis_url, 60), RedisCache(redis_url, 60)
    await one.put("shared", ANSWER)
    assert await other.get("shared") == ANSWER
    assert await other.get("unknown") is None
    await one.aclose()
    await other.aclose()


async def test_redis_lets_answers_go_after_the_time_to_live(redis_url: str) -> None:
    cache = RedisCache(redis_url, 1)
    await cache.put("short", ANSWER)
    deadline = time.monotonic() + 10
    while await cache.get("short") is not None:
        assert time.monotonic() < deadline
    await cache.aclose()


async def test_what_is_not_ours_on_redis_is_no_answer(redis_url: str) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(redis_url) as client:
        await client.set("codeface:answer:1:bad", "not json")
        await client.set("codeface:answer:1:old", '{"text": "x"}')
    cache = RedisCache(redis_url, 60)
    assert await cache.get("bad") is None
    assert await cache.get("old") is None
    await cache.aclose()


async def test_without_redis_there_is_one_warning_and_no_cache(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        cache = open_cache(CacheSettings(url=url))
        engine = Engine()
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert "".join(d.text for d in await ask(cache, engine)) == "x = 1"
    assert engine.runs == 3
    assert [r.getMessage() for r in caplog.records if "Redis does not answer" in r.getMessage()] == [
        "The response cache on Redis does not answer (ConnectionError); going on without."
    ]
    await cache.aclose()


async def test_a_url_that_is_no_redis_url_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    cache = open_cache(CacheSettings(url="http://127.0.0.1"))
    assert "not a Redis URL" in caplog.text
    await cache.put("a", ANSWER)
    assert await cache.get("a") is None
