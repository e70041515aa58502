"""What the engine did, for Prometheus and for a request log; lengths and times, never text."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from codeface_lsp.errors import CodeFaceError
from codeface_lsp.inference.types import Delta, GenerationRequest, Usage

if TYPE_CHECKING:
    from codeface_lsp.models.types import LoadedModel

requests_log = logging.getLogger("codeface_lsp.requests")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SHORT = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_OF_MODEL = ("model", "route")


class Resident(Protocol):
    """What the memory gauges need of a loaded model."""

    name: str
    memory_bytes: int
    device: object


class Metrics:
    """Counters and histograms of one engine, on a registry of its own (tests start several engines)."""

    def __init__(self, models: Callable[[], Iterable[Resident]] = tuple) -> None:
        """`models` tells at each scrape which models are in memory."""
        self.registry = CollectorRegistry()
        made = self.registry
        self.seconds = Histogram(
            "model_generation_seconds", "Time of a generation.", _OF_MODEL, buckets=_SECONDS, registry=made
        )
        self.first_token = Histogram(
            "time_to_first_token_seconds",
            "From the request to its first text.",
            _OF_MODEL,
            buckets=_SECONDS,
            registry=made,
        )
        self.queue = Histogram(
            "queue_wait_seconds", "Wait for the generation thread.", _OF_MODEL, buckets=_SHORT, registry=made
        )
        self.tokens = Counter("generated_tokens_total", "Tokens generated.", _OF_MODEL, registry=made)
        self.prompt = Counter("prompt_tokens_total", "Prompt tokens.", _OF_MODEL, registry=made)
        self.cached = Counter(
            "cached_prompt_tokens_total", "Prompt tokens that the KV cache had.", _OF_MODEL, registry=made
        )
        self.finished = Counter(
            "generations_total", "Generations by how they ended.", (*_OF_MODEL, "finish"), registry=made
        )
        self.cancelled = Counter(
            "cancelled_generations_total", "Generations that their client gave up.", _OF_MODEL, registry=made
        )
        self.errors = Counter("model_errors_total", "Errors by kind.", ("error_type",), registry=made)
        self.lookups = Counter(
            "response_cache_lookups_total", "Response cache lookups.", ("result",), registry=made
        )
        self.running = Gauge("running_generations", "Generations under way.", registry=made)
        made.register(_Memory(models))
        ProcessCollector(registry=made)

    def render(self) -> bytes:
        """The exposition text, for `GET /metrics`."""
        return generate_latest(self.registry)

    def failed(self, error_type: str) -> None:
        """Count an error by its `kind`."""
        self.errors.labels(error_type).inc()

    def looked_up(self, *, hit: bool) -> None:
        """Count a lookup in the response cache."""
        self.lookups.labels("hit" if hit else "miss").inc()

    async def measured(
        self,
        deltas: AsyncGenerator[Delta],
        *,
        model: LoadedModel,
        route: str,
        request: GenerationRequest,
        log_request: bool = False,
    ) -> AsyncGenerator[Delta]:
        """Pass on what a generation yields and count it, however it ends."""
        started = time.perf_counter()
        first: float | None = None
        usage, finish = Usage(), "cancelled"
        self.running.inc()
        try:
            async with aclosing(deltas):
                async for delta in deltas:
                    if first is None and delta.text:
                        first = time.perf_counter() - started
                    if delta.finish_reason is not None:
                        usage, finish = delta.usage or Usage(), delta.finish_reason
                    yield delta
        except Exception as error:
            finish = error.kind if isinstance(error, CodeFaceError) else type(error).__name__
            self.failed(finish)
            raise
        finally:
            self.running.dec()
            seconds = time.perf_counter() - started
            self._count(model.name, route, usage, finish, seconds, first)
            if log_request:
                _log(model, route, request, usage, finish, seconds, first)

    def _count(
        self, model: str, route: str, usage: Usage, finish: str, seconds: float, first: float | None
    ) -> None:
        labels = (model, route)
        self.seconds.labels(*labels).observe(seconds)
        self.queue.labels(*labels).observe(usage.queue_s)
        if first is not None:
            self.first_token.labels(*labels).observe(first)
        self.tokens.labels(*labels).inc(usage.completion_tokens)
        self.prompt.labels(*labels).inc(usage.prompt_tokens)
        self.cached.labels(*labels).inc(usage.cached_tokens)
        self.finished.labels(*labels, finish).inc()
        if finish == "cancelled":
            self.cancelled.labels(*labels).inc()


def _log(
    model: LoadedModel,
    route: str,
    request: GenerationRequest,
    usage: Usage,
    finish: str,
    seconds: float,
    first: float | None,
) -> None:
    record = {
        "route": route,
        "model": model.name,
        "prompt_tokens": len(request.prompt),
        "cached_tokens": usage.cached_tokens,
        "completion_tokens": usage.completion_tokens,
        "max_tokens": request.max_tokens,
        "temperature": request.sampling.temperature,
        "priority": request.priority,
        "finish": finish,
        "seconds": round(seconds, 4),
        "first_token_s": None if first is None else round(first, 4),
        "queue_s": round(usage.queue_s, 4),
    }
    requests_log.info("%s", json.dumps(record))


class _Memory(Collector):
    """Memory of the models, read when scraped."""

    def __init__(self, models: Callable[[], Iterable[Resident]]) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        """One gauge per model in memory."""
        gauge = GaugeMetricFamily(
            "model_memory_bytes", "Bytes of a model's weights on its device.", labels=("model", "device")
        )
        for model in self._models():
            gauge.add_metric((model.name, str(model.device)), model.memory_bytes)
        yield gauge
