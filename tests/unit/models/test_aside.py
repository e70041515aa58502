"""Heavy work in a thread that ends with it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import psutil
import pytest
import torch

from codeface_lsp.models.aside import aside


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def multiply_in_parallel() -> float:
    torch.set_num_threads(2)
    return float((torch.ones(512, 512) @ torch.ones(512, 512)).sum())


async def test_the_result_arrives_and_the_thread_ends() -> None:
    worker = await aside(threading.current_thread)
    assert worker is not threading.current_thread()
    await until(lambda: not worker.is_alive())


async def test_no_team_of_openmp_stays_behind() -> None:
    process = psutil.Process()
    before = process.num_threads() + 1  # torch keeps one thread of its own from its first product on
    for _ in range(4):
        assert await aside(multiply_in_parallel) == 512.0**3
    await until(lambda: process.num_threads() <= before)


async def test_an_error_is_raised_where_the_result_is_awaited() -> None:
    with pytest.raises(ZeroDivisionError):
        await aside(divmod, 1, 0)


async def test_cancelled_work_runs_to_its_end() -> None:
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(30)
        done.set()

    waiting = asyncio.create_task(aside(work))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    await until(done.is_set)
