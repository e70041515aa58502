"""The front door of generation: one thread owns the device, everybody else talks to it through queues."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar, cast

import psutil

from codeface_lsp.errors import EngineError, InvalidRequest
from codeface_lsp.inference import batch, threads
from codeface_lsp.inference.control import Control
from codeface_lsp.inference.delivery import Delivery
from codeface_lsp.inference.embedding import embed
from codeface_lsp.inference.generation import Generation
from codeface_lsp.inference.prefix_cache import CacheStats, PrefixCache
from codeface_lsp.inference.scheduler import Job, Scheduler
from codeface_lsp.inference.state import ModelState
from codeface_lsp.inference.types import Delta, GenerationRequest, Priority
from codeface_lsp.models import memory
from codeface_lsp.models.aside import aside
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings

log = logging.getLogger(__name__)

GIB = 1024**3
REST_S = 5.0
"""How long the generation thread has nothing to do before it tidies up."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Figures of the engine."""

    running: int
    waiting: int
    threads: int
    cache: CacheStats


class Engine:
    """Generates with any loaded model. The generation thread starts with the first request."""

    def __init__(self, settings: EngineSettings, clock: Callable[[], float] = time.perf_counter) -> None:
        self._settings = settings
        self._clock = clock
        self._scheduler = Scheduler(settings.max_queue, clock)
        self._cache = PrefixCache(_cache_limit(settings))
        self._states: dict[int, ModelState] = {}
        self._preparing = threading.Lock()
        self._thread: threading.Thread | None = None

    async def generate(self, model: LoadedModel, request: GenerationRequest) -> AsyncGenerator[Delta]:
        """Stream a sequence; the last delta has a `finish_reason`. Closing the iterator cancels.

        Raises `QueueFull`, `InvalidRequest` or `OutOfMemory`.
        """
        if not request.prompt:
            raise InvalidRequest("The prompt has no tokens; send some text.")
        state = await self._state(model)
        delivery = Delivery(asyncio.get_running_loop(), self._clock)
        job = Job(
            iter(()),
            request.priority,
            request.client,
            request.document,
            on_error=delivery.send,
            on_pause=delivery.flush,
        )
        job.steps = self._sequence(state, request, job, delivery.send)
        self._submit(job)
        try:
            while True:
                item = await delivery.queue.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
                if item.finish_reason is not None:
                    return
        finally:
            self._scheduler.cancel(job)

    def _sequence(
        self, state: ModelState, request: GenerationRequest, job: Job, emit: Callable[[Delta], None]
    ) -> Iterator[None]:
        """A generator, so that everything that belongs to the sequence is made on the generation thread."""
        control = Control(
            cancelled=lambda: job.cancelled,
            preempted=lambda: self._scheduler.more_urgent(job),
            clock=self._clock,
            submitted=lambda: job.submitted,
        )
        kind = Generation
        if state.model.encoder_decoder:
            from codeface_lsp.inference.encoder_decoder import EncoderDecoderGeneration

            kind = EncoderDecoderGeneration
        yield from kind(state, request, self._cache, control, emit).steps()

    async def embed(self, model: LoadedModel, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """Vectors of unit length of the texts, and the tokens read. Raises `InvalidRequest`, `QueueFull`."""
        return await self._work(embed(model, texts), "chat")

    async def generate_batch(
        self, model: LoadedModel, requests: Sequence[GenerationRequest]
    ) -> list[list[Delta]]:
        """All deltas of many requests, generated in padded batches after everything that is more urgent.

        For throughput: nothing is streamed, kept for reuse, drafted or mixed in. Raises as `generate` does.
        """
        if not all(request.prompt for request in requests):
            raise InvalidRequest("A prompt has no tokens; send some text.")
        if model.encoder_decoder:
            return [[delta async for delta in self.generate(model, request)] for request in requests]
        await self._state(model)
        whole = await aside(batch.whole, model)
        return await self._work(batch.generate(whole, requests), "batch")

    async def _work(self, work: Generator[None, None, T], priority: Priority) -> T:
        """Run a generator on the generation thread, between the steps of sequences, and return its result."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def settle(value: T | None, error: BaseException | None) -> None:
            if result.done():
                return
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(cast("T", value))

        def tell(value: T | None, error: BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop is gone, and with it whoever was waiting
                loop.call_soon_threadsafe(settle, value, error)

        def steps() -> Iterator[None]:
            while not job.cancelled:
                try:
                    next(work)
                except StopIteration as done:
                    tell(done.value, None)
                    return
                yield

        job = Job(steps(), priority, on_error=lambda error: tell(None, error))
        self._submit(job)
        try:
            return await result
        finally:
            self._scheduler.cancel(job)

    async def _state(self, model: LoadedModel) -> ModelState:
        known = self._states.get(id(model.model))
        return known if known is not None else await aside(self.prepare, model)

    def prepare(self, model: LoadedModel) -> ModelState:
        """Make a model ready, once; blocks, so call it from a thread."""
        with self._preparing:
            state = self._states.get(id(model.model))
            if state is None:
                state = self._states[id(model.model)] = ModelState(model, self._settings)
            return state

    def is_ready(self, model: LoadedModel) -> bool:
        """Whether the model was prepared, so that nothing here blocks."""
        return id(model.model) in self._states

    def set_document(self, model: LoadedModel, document: str, text: str) -> None:
        """The text of an open document, for n-grams; any thread, cheap when little changed."""
        state = self._states.get(id(model.model)) or self.prepare(model)
        state.documents.set(document, text)

    def set_neighbours(self, model: LoadedModel, document: str, neighbours: Mapping[str, str]) -> None:
        """The texts of files next to a document, by name; any thread but the event loop's, as it tokenizes."""
        state = self._states.get(id(model.model)) or self.prepare(model)
        state.documents.set_neighbours(document, neighbours)

    def forget_document(self, model: LoadedModel, document: str) -> None:
        """A document was closed."""
        state = self._states.get(id(model.model))
        if state is not None:
            state.documents.remove(document)

    def forget(self, model: LoadedModel) -> None:
        """Drop what is kept for a model, before it is unloaded; running sequences end in their own time."""
        state = self._states.pop(id(model.model), None)
        if state is not None:
            self._cache.forget(state.key)

    def stats(self) -> EngineStats:
        """Figures of this moment."""
        running, waiting = self._scheduler.depth
        return EngineStats(running, waiting, threads.thread_count(self._settings.threads), self._cache.stats)

    def close(self) -> None:
        """Cancel everything and stop the generation thread."""
        self._scheduler.close()
        if self._thread is not None:
            self._thread.join(timeout=30)

    async def aclose(self) -> None:
        """As `close`, without blocking the event loop."""
        await asyncio.to_thread(self.close)

    def _submit(self, job: Job) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="generation", daemon=True)
            self._thread.start()
        self._scheduler.submit(job)

    def _run(self) -> None:
        """Advance the most urgent job, for ever."""
        threads.settle(self._settings.threads)
        last: Job | None = None
        while (job := self._next()) is not None:
            if last is not None and last is not job:
                last.on_pause()
            last, began = job, self._clock()
            try:
                next(job.steps)
            except StopIteration:
                self._scheduler.finish(job)
            except BaseException as error:
                self._scheduler.finish(job)
                job.on_error(_told(error))
            self._scheduler.charge(job, self._clock() - began)

    def _next(self) -> Job | None:
        """The job to advance, memory given back while there is none: prompts of ever new lengths tear holes in it."""
        if self._scheduler.idle_for(REST_S):
            memory.trim()
        return self._scheduler.next()


def _told(error: BaseException) -> BaseException:
    if isinstance(error, EngineError):
        return error
    log.error("a generation failed", exc_info=error)
    return EngineError(f"The generation failed ({type(error).__name__}); the engine's log has the details.")


def _cache_limit(settings: EngineSettings) -> int:
    if settings.kv_cache_mb:
        return settings.kv_cache_mb * 1024 * 1024
    return min(GIB, psutil.virtual_memory().total // 10)
