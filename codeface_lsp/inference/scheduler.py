"""Who advances next. Knows nothing of models: a job is an iterator that yields wherever another one may go first."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from codeface_lsp.errors import QueueFull
from codeface_lsp.inference.types import Priority

RANKS: dict[Priority, int] = {"inline": 0, "chat": 1, "prefetch": 2, "batch": 3}
QUANTUM_S = (0.25, 0.0, 0.0, 0.0)
"""How long a job goes on before another one of its rank, of a client that had less, takes over: inline requests are
short and best finished one after the other, chats best interleaved."""
MAX_STARTED = 8
"""Jobs below inline that hold a KV cache at the same time."""


@dataclass(eq=False, slots=True)
class Job:
    """A unit of work on the generation thread."""

    steps: Iterator[None]
    priority: Priority
    client: str = ""
    document: str | None = None
    submitted: float = 0.0
    cancelled: bool = False
    started: bool = False
    number: int = 0
    turn_s: float = 0.0
    """Time since it last took over."""
    on_error: Callable[[BaseException], None] = field(default=lambda error: None)
    on_pause: Callable[[], None] = field(default=lambda: None)
    """Called when another job goes on in its place."""

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return RANKS[self.priority]


class Scheduler:
    """Strictly by priority; within one, the client that was served least; within a client, the oldest job."""

    def __init__(self, max_queue: int, clock: Callable[[], float] = time.perf_counter) -> None:
        """`max_queue` bounds the jobs that have not begun."""
        self._max_queue = max_queue
        self._clock = clock
        self._jobs: list[Job] = []
        self._count = [0] * len(RANKS)
        self._served: dict[str, float] = {}
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._last: Job | None = None
        self._closed = False

    def submit(self, job: Job) -> None:
        """Queue a job. An inline job cancels older ones of the same client and document. Raises `QueueFull`."""
        with self._changed:
            if job.priority == "inline" and job.document is not None:
                for older in self._jobs:
                    if (older.priority, older.client, older.document) == ("inline", job.client, job.document):
                        older.cancelled = True
            waiting = sum(1 for other in self._jobs if not other.started and not other.cancelled)
            if waiting >= self._max_queue:
                raise QueueFull(
                    f"The engine is busy: {waiting} requests are waiting already; try again in a moment."
                )
            job.number = next(self._numbers)
            job.submitted = self._clock()
            if not any(other.client == job.client for other in self._jobs):
                floor = min((self._served[other.client] for other in self._jobs), default=0.0)
                self._served[job.client] = max(self._served.get(job.client, 0.0), floor)
            self._jobs.append(job)
            self._count[job.rank] += 1
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Have a job end at its next stop inside or between forward passes."""
        with self._changed:
            job.cancelled = True
            self._changed.notify()

    def next(self) -> Job | None:
        """The job to advance now; waits for one. None once the scheduler is closed and every job has ended."""
        with self._changed:
            while not self._jobs:
                if self._closed:
                    return None
                self._changed.wait()
            job = self._pick()
            if job is not self._last:
                job.turn_s = 0.0
            job.started = True
            self._last = job
            return job

    def idle_for(self, seconds: float) -> bool:
        """Whether no job came for so long; false at once while there are any."""
        with self._changed:
            return not self._changed.wait_for(lambda: bool(self._jobs) or self._closed, seconds)

    def _pick(self) -> Job:
        for job in self._jobs:
            if job.cancelled:
                return job
        rank = min(job.rank for job in self._jobs)
        urgent = [job for job in self._jobs if job.rank == rank]
        started = sum(1 for job in urgent if job.started)
        if rank and started >= MAX_STARTED:
            urgent = [job for job in urgent if job.started]
        last = self._last
        if last is not None and last in urgent and last.turn_s < QUANTUM_S[rank]:
            return last
        return min(urgent, key=lambda job: (self._served[job.client], job.number))

    def charge(self, job: Job, seconds: float) -> None:
        """Account for the time that a step took."""
        with self._changed:
            job.turn_s += seconds
            self._served[job.client] = self._served.get(job.client, 0.0) + seconds

    def finish(self, job: Job) -> None:
        """A job ended."""
        with self._changed:
            self._jobs.remove(job)
            self._count[job.rank] -= 1
            if self._last is job:
                self._last = None
            if not self._jobs:
                self._served.clear()

    def more_urgent(self, job: Job) -> bool:
        """Whether something more urgent than `job` waits; cheap enough to ask between two layers."""
        return any(self._count[: job.rank])

    def close(self) -> None:
        """Cancel everything and let `next` return None when all has ended."""
        with self._changed:
            self._closed = True
            for job in self._jobs:
                job.cancelled = True
            self._changed.notify_all()

    @property
    def depth(self) -> tuple[int, int]:
        """Jobs that began and jobs that wait."""
        with self._changed:
            started = sum(1 for job in self._jobs if job.started)
            return started, len(self._jobs) - started
