from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from codeface_lsp.errors import QueueFull
from codeface_lsp.inference.control import Control
from codeface_lsp.inference.generation import Generation
from codeface_lsp.inference.kv import SequenceCache, SlabLayer
from codeface_lsp.inference.prefix_cache import PrefixCache
from codeface_lsp.inference.scheduler import Job, Scheduler
from codeface_lsp.inference.state import ModelState
from codeface_lsp.inference.types import Delta, GenerationRequest
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings


class Clock:
    """Time that passes only when somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def job(name: str, steps: int, log: list[str], **fields: Any) -> Job:
    def work() -> Iterator[None]:
        for _ in range(steps):
            log.append(name)
            yield

    return Job(work(), **{"priority": "chat", "client": name, **fields})


def advance(scheduler: Scheduler, clock: Clock, seconds: float = 0.1) -> None:
    """One step, which takes `seconds`."""
    current = scheduler.next()
    assert current is not None
    try:
        next(current.steps)
    except StopIteration:
        scheduler.finish(current)
        return
    clock.now += seconds
    scheduler.charge(current, seconds)


def drain(scheduler: Scheduler, clock: Clock) -> None:
    while sum(scheduler.depth):
        advance(scheduler, clock)


def test_the_most_urgent_advances_at_every_step() -> None:
    clock, log = Clock(), list[str]()
    scheduler = Scheduler(10, clock)
    scheduler.submit(job("batch", 2, log, priority="batch"))
    scheduler.submit(job("chat", 2, log))
    advance(scheduler, clock)
    scheduler.submit(job("inline", 2, log, priority="inline"))
    drain(scheduler, clock)
    assert log == ["chat", "inline", "inline", "chat", "batch", "batch"]


def test_clients_share_time_however_many_requests_one_of_them_has() -> None:
    clock, log = Clock(), list[str]()
    scheduler = Scheduler(100, clock)
    for _ in range(6):
        scheduler.submit(job("greedy", 10, log, client="greedy"))
    scheduler.submit(job("modest", 10, log, client="modest"))
    for _ in range(20):
        advance(scheduler, clock)
    assert log.count("modest") == 10


def test_a_cancel_that_comes_too_late_is_no_reason_to_stop_resting() -> None:
    clock, log = Clock(), list[str]()
    scheduler = Scheduler(10, clock)
    late = job("chat", 1, log)
    scheduler.submit(late)
    assert not scheduler.idle_for(60.0), "at once, while there is work"
    drain(scheduler, clock)
    waker = threading.Timer(0.02, scheduler.cancel, [late])
    waker.start()
    assert scheduler.idle_for(0.2)
    waker.join()


def test_inline_requests_are_finished_one_after_the_other() -> None:
    clock, log = Clock(), list[str]()
    scheduler = Scheduler(100, clock)
    scheduler.submit(job("a", 2, log, priority="inline"))
    scheduler.submit(job("b", 2, log, priority="inline"))
    drain(scheduler, clock)
    assert log == ["a", "a", "b", "b"]


def test_a_long_inline_request_makes_way_for_another_client() -> None:
    clock, log = Clock(), list[str]()
    scheduler = Scheduler(100, clock)
    scheduler.submit(job("long", 30, log, priority="inline"))
    advance(scheduler, clock)
    scheduler.submit(job("short", 2, log, priority="inline"))
    for _ in range(8):
        advance(scheduler, clock)
    assert log.count("short") == 2


def test_a_newer_inline_request_cancels_the_same_document_s_older_one_only() -> None:
    scheduler, log = Scheduler(100), list[str]()
    older = job("older", 9, log, priority="inline", client="window", document="a.py")
    others = [
        job("document", 9, log, priority="inline", client="window", document="b.py"),
        job("window", 9, log, priority="inline", client="other", document="a.py"),
        job("chat", 9, log, client="window", document="a.py"),
    ]
    for one in (older, *others):
        scheduler.submit(one)
    scheduler.submit(job("newer", 9, log, priority="inline", client="window", document="a.py"))
    assert older.cancelled
    assert not any(one.cancelled for one in others)


def test_a_full_queue_says_so_and_cancelled_jobs_leave_room() -> None:
    scheduler, log = Scheduler(2), list[str]()
    waiting = [job(str(n), 1, log) for n in range(2)]
    for one in waiting:
        scheduler.submit(one)
    with pytest.raises(QueueFull, match="try again"):
        scheduler.submit(job("third", 1, log))
    scheduler.cancel(waiting[0])
    scheduler.submit(job("third", 1, log))


def test_only_some_sequences_below_inline_hold_a_cache_at_a_time() -> None:
    clock, log = Clock(), list[str]()
    scheduler = Scheduler(100, clock)
    for n in range(20):
        scheduler.submit(job(str(n), 50, log))
    for _ in range(100):
        advance(scheduler, clock)
    assert len(set(log)) == 8


def test_closing_ends_the_loop_when_every_job_has_ended() -> None:
    clock, log = Clock(), list[str]()
    scheduler = Scheduler(100, clock)
    scheduler.submit(job("a", 1, log))
    scheduler.close()
    drain(scheduler, clock)
    assert scheduler.next() is None


class SlowRunner:
    """A model of 7B on a slow CPU: 32 layers, a pass costs 250 ms for the weights and 30 ms a token."""

    vocab_size = 512
    layers = 32

    def __init__(self, clock: Clock) -> None:
        self.check: Callable[[], None] | None = None
        self._clock = clock

    def new_cache(self) -> SequenceCache:
        return SequenceCache([SlabLayer()], croppable=True)

    def forward(self, tokens: list[int], cache: SequenceCache, keep: int = 1) -> torch.Tensor:
        for _ in range(self.layers):
            if self.check is not None:
                self.check()
            self._clock.now += (0.25 + 0.03 * len(tokens)) / self.layers
        states = torch.zeros(1, 1, len(tokens), 4)
        cache.layers[0].update(states, states)
        cache.advanced(len(tokens))
        logits = torch.zeros(keep, self.vocab_size)
        logits[:, 65] = 1.0
        return logits


class Simulation:
    """Sequences on simulated time."""

    def __init__(self, model: LoadedModel) -> None:
        self.clock = Clock()
        self.scheduler = Scheduler(64, self.clock)
        self.cache = PrefixCache(1 << 30)
        self.state = ModelState(model, EngineSettings(int8=False, mixture=False), SlowRunner(self.clock))

    def submit(self, prompt: list[int], **fields: Any) -> list[float]:
        """Ask for a sequence; returns the times of its deltas, filled as they come."""
        times: list[float] = []
        request = GenerationRequest(**{"prompt": prompt, "max_tokens": 3, **fields})
        made = Job(iter(()), request.priority, request.client, request.document)
        control = Control(
            lambda: made.cancelled,
            lambda: self.scheduler.more_urgent(made),
            self.clock,
            lambda: made.submitted,
        )

        def emit(delta: Delta) -> None:
            times.append(self.clock.now)

        made.steps = Generation(self.state, request, self.cache, control, emit).steps()
        self.scheduler.submit(made)
        return times

    def step(self) -> None:
        began, current = self.clock.now, self.scheduler.next()
        assert current is not None
        try:
            next(current.steps)
        except StopIteration:
            self.scheduler.finish(current)
        self.scheduler.charge(current, self.clock.now - began)

    def until(self, done: Callable[[], bool]) -> None:
        while not done():
            self.step()


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_completion_on_a_7b_model_waits_little_for_a_chat(
    phase: str, build: Callable[..., LoadedModel]
) -> None:
    model = build("llama", seed=3)
    typed = list(range(5, 205))

    def first_token(simulation: Simulation, at: list[int]) -> float:
        asked = simulation.clock.now
        times = simulation.submit(at, priority="inline", client="editor", document="a.py")
        simulation.until(lambda: bool(times))
        simulation.until(lambda: len(times) == 4)
        return times[0] - asked

    alone = Simulation(model)
    first_token(alone, typed)
    quiet = [first_token(alone, typed + [7] * n) for n in range(1, 9)]
    busy = Simulation(model)
    first_token(busy, typed)
    chat = busy.submit(list(range(300, 500)) * 2, max_tokens=100, client="chat")
    if phase == "decode":
        busy.until(lambda: bool(chat))
    loaded = []
    for n in range(1, 9):
        busy.step()
        loaded.append(first_token(busy, typed + [7] * n))
    assert bool(chat) == (phase == "decode")
    assert max(loaded) <= 2 * max(quiet)
