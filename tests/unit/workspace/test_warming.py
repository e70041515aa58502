from __future__ import annotations

import asyncio
import time

from codeface_lsp.context.counting import LineCounter
from codeface_lsp.workspace.warming import Warming

TEXT = "".join(f"name_{number} = {number}\n" for number in range(500)) + "no end"
LINES = TEXT.splitlines(keepends=True)


class Counting:
    """Counts characters, and how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def count(self, text: str) -> int:
        self.asked += 1
        return len(text)


async def counted(counter: LineCounter) -> None:
    deadline = time.monotonic() + 30
    while not all(counter.knows(line) for line in LINES):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_the_lines_of_a_document_are_counted_in_steps_and_once() -> None:
    tokenizer = Counting()
    counter, warming = LineCounter(tokenizer), Warming()
    warming.begin("a", TEXT, counter)
    assert tokenizer.asked == 0, "nothing is done while the request is answered"
    await asyncio.sleep(0)
    assert 0 < tokenizer.asked < 200
    await counted(counter)
    warming.begin("a", TEXT, counter)
    await asyncio.sleep(0.05)
    assert tokenizer.asked == len(LINES)


async def test_another_tokenizer_counts_anew() -> None:
    warming = Warming()
    for _ in range(2):
        counter = LineCounter(Counting())
        warming.begin("a", TEXT, counter)
        await counted(counter)


async def test_a_closed_document_is_counted_no_more_and_the_next_one_is() -> None:
    closed, counter, warming = Counting(), LineCounter(Counting()), Warming()
    warming.begin("a", TEXT, LineCounter(closed))
    warming.begin("b", TEXT, counter)
    warming.drop("a")
    await counted(counter)
    assert closed.asked == 0


async def test_it_stops_when_told() -> None:
    tokenizer, warming = Counting(), Warming()
    warming.begin("a", TEXT, LineCounter(tokenizer))
    warming.stop()
    await asyncio.sleep(0.05)
    assert tokenizer.asked == 0


def test_outside_of_an_event_loop_nothing_is_begun() -> None:
    tokenizer = Counting()
    Warming().begin("a", TEXT, LineCounter(tokenizer))
    assert tokenizer.asked == 0
