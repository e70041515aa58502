"""Deltas cross to the event loop a few at a time, and never wait for something that does not come."""

from __future__ import annotations

import asyncio

import pytest

from codeface_lsp.errors import EngineError
from codeface_lsp.inference.delivery import WINDOW_S, Delivery
from codeface_lsp.inference.types import Delta


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def delivery(clock: Clock) -> Delivery:
    return Delivery(asyncio.get_running_loop(), clock)


async def arrived(delivery: Delivery) -> str:
    await asyncio.sleep(0)
    items = [delivery.queue.get_nowait() for _ in range(delivery.queue.qsize())]
    return "".join(item.text if isinstance(item, Delta) else "!" for item in items)


async def test_the_first_goes_at_once_and_quick_ones_after_it_together(
    delivery: Delivery, clock: Clock
) -> None:
    heard = []
    for letter in "abcdefgh":
        delivery.send(Delta(letter))
        heard.append(await arrived(delivery))
        clock.now += WINDOW_S / 3.5
    assert heard == ["a", "", "", "", "bcde", "", "", ""]


async def test_slow_ones_go_one_by_one(delivery: Delivery, clock: Clock) -> None:
    for letter in "abc":
        delivery.send(Delta(letter))
        assert await arrived(delivery) == letter
        clock.now += WINDOW_S * 1.5


async def test_the_end_takes_everything_with_it(delivery: Delivery) -> None:
    for letter in "ab":
        delivery.send(Delta(letter))
    delivery.send(Delta("c", finish_reason="length"))
    assert await arrived(delivery) == "abc"


async def test_an_error_comes_after_what_was_sent_before_it(delivery: Delivery) -> None:
    for letter in "ab":
        delivery.send(Delta(letter))
    delivery.send(EngineError("It broke."))
    assert await arrived(delivery) == "ab!"


async def test_a_pause_lets_nothing_wait(delivery: Delivery) -> None:
    for letter in "ab":
        delivery.send(Delta(letter))
    delivery.flush()
    assert await arrived(delivery) == "ab"
    delivery.flush()
    assert await arrived(delivery) == ""


async def test_nobody_hears_once_the_loop_is_closed(clock: Clock) -> None:
    loop = asyncio.new_event_loop()
    delivery = Delivery(loop, clock)
    loop.close()
    delivery.send(Delta("a"))
    assert delivery.queue.empty()
