"""Answers of deterministic requests, kept for a while: in memory, or on Redis where several engines share them."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cachetools import TTLCache

from codeface_lsp.inference.types import Delta, FinishReason, GenerationRequest, TokenLogprob, Usage
from codeface_lsp.settings import CacheSettings

if TYPE_CHECKING:
    from codeface_lsp.models.types import LoadedModel

log = logging.getLogger(__name__)

_KEPT: frozenset[FinishReason] = frozenset({"eos", "stop", "length"})
_PREFIX = "codeface:answer:1:"
_RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A whole answer; `tokens` are ids with their log-probabilities."""

    text: str
    finish_reason: FinishReason
    stop_string: str | None
    prompt_tokens: int
    completion_tokens: int
    tokens: tuple[tuple[int, float], ...] = ()

    def deltas(self) -> tuple[Delta, Delta]:
        """The answer as the engine would have yielded it."""
        usage = Usage(
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
        )
        tokens = tuple(TokenLogprob(token_id, logprob) for token_id, logprob in self.tokens)
        return (
            Delta(text=self.text, tokens=tokens),
            Delta(finish_reason=self.finish_reason, stop_string=self.stop_string, usage=usage),
        )


class ResponseCache(Protocol):
    """Where answers are kept. Neither method raises: a cache that fails is no cache."""

    async def get(self, key: str) -> CachedAnswer | None:
        """The answer, None if there is none or it is too old."""
        ...

    async def put(self, key: str, answer: CachedAnswer) -> None:
        """Keep an answer."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


def key_of(model: LoadedModel, request: GenerationRequest) -> str:
    """SHA-256 of the model (and how it is loaded), the prompt and every parameter that shapes the answer."""
    parts = {
        "model": [model.name, model.source, str(model.dtype), model.quantization],
        "prompt": request.prompt,
        "heal": request.heal.hex(),
        "max_tokens": request.max_tokens,
        "stop": request.stop,
        "stop_ids": sorted(request.stop_ids),
        "sampling": asdict(request.sampling),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def is_deterministic(request: GenerationRequest) -> bool:
    """Whether the same request gives the same answer: greedy or seeded, and nothing but the prompt shapes it."""
    return (
        (request.sampling.temperature == 0 or request.sampling.seed is not None)
        and request.document is None
        and request.time_budget_s is None
        and request.top_logprobs == 0
    )


async def through(
    cache: ResponseCache,
    model: LoadedModel,
    request: GenerationRequest,
    run: Callable[[], AsyncGenerator[Delta]],
    looked_up: Callable[[bool], None] = lambda hit: None,
) -> AsyncGenerator[Delta]:
    """Yield the kept answer, or what `run()` generates, which is kept if it came to its end."""
    if not is_deterministic(request):
        async with aclosing(run()) as deltas:
            async for delta in deltas:
                yield delta
        return
    key = key_of(model, request)
    answer = await cache.get(key)
    looked_up(answer is not None)
    if answer is not None:
        for delta in answer.deltas():
            yield delta
        return
    text: list[str] = []
    tokens: list[tuple[int, float]] = []
    async with aclosing(run()) as deltas:
        async for delta in deltas:
            text.append(delta.text)
            tokens += [(token.token_id, token.logprob) for token in delta.tokens]
            if delta.finish_reason in _KEPT and delta.finish_reason is not None:
                usage = delta.usage or Usage()
                answer = CachedAnswer(
                    "".join(text),
                    delta.finish_reason,
                    delta.stop_string,
                    usage.prompt_tokens,
                    usage.completion_tokens,
                    tuple(tokens),
                )
            yield delta
    if answer is not None:
        await cache.put(key, answer)


def open_cache(settings: CacheSettings) -> ResponseCache:
    """The cache that the settings ask for; without the `redis` package a `redis://` URL means no cache."""
    if settings.url is None or settings.max_entries == 0:
        return MemoryCache(settings.max_entries, settings.ttl_s)
    try:
        return RedisCache(settings.url, settings.ttl_s)
    except ImportError:
        log.warning(
            "cache.url needs the package redis (pip install 'codeface-lsp[redis]'); answers are not cached."
        )
    except ValueError:
        log.warning("cache.url is not a Redis URL (redis://host:port/db); answers are not cached.")
    return MemoryCache(0, settings.ttl_s)


class MemoryCache:
    """The most recently used answers of this process."""

    def __init__(self, max_entries: int, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept: TTLCache[str, CachedAnswer] = TTLCache(max_entries, ttl_s, clock)

    async def get(self, key: str) -> CachedAnswer | None:
        """The answer, None if there is none or it is too old."""
        return self._kept.get(key)

    async def put(self, key: str, answer: CachedAnswer) -> None:
        """Keep an answer, dropping the one that was not used for longest when there are too many."""
        if self._kept.maxsize:
            self._kept[key] = answer

    async def aclose(self) -> None:
        """Forget everything."""
        self._kept.clear()


class RedisCache:
    """Answers on a Redis server. When it is gone: one warning, and no cache for half a minute."""

    def __init__(self, url: str, ttl_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises `ValueError` for something else than a Redis URL; does not connect yet."""
        from redis.asyncio import Redis

        self._client: Any = Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)
        self._ttl_s = ttl_s
        self._clock = clock
        self._asleep_until = 0.0

    async def get(self, key: str) -> CachedAnswer | None:
        """The answer, None if there is none, it is too old, or Redis does not answer."""
        raw = await self._ask(lambda: self._client.get(_PREFIX + key))
        return _parse(raw) if raw is not None else None

    async def put(self, key: str, answer: CachedAnswer) -> None:
        """Keep an answer for the time to live."""
        body = json.dumps(asdict(answer))
        await self._ask(lambda: self._client.set(_PREFIX + key, body, ex=self._ttl_s))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, call: Callable[[], Any]) -> Any:
        from redis.exceptions import RedisError

        if self._clock() < self._asleep_until:
            return None
        try:
            return await call()
        except (RedisError, OSError, TimeoutError) as error:
            self._asleep_until = self._clock() + _RETRY_S
            log.warning(
                "The response cache on Redis does not answer (%s); going on without.", type(error).__name__
            )
            return None


def _parse(raw: bytes | str) -> CachedAnswer | None:
    try:
        data = json.loads(raw)
        tokens = tuple((int(token_id), float(logprob)) for token_id, logprob in data.pop("tokens"))
        return CachedAnswer(**data, tokens=tokens)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
