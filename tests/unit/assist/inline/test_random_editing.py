"""Thousands of random keys and requests: each request gets one answer, and nothing stale is ever shown.

The model's answers depend on the document at the cursor, so that a suggestion computed for another text shows:
accepted, it must give a text that the model itself would have led to from where the user is.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

import pytest

from codeface_lsp.assist.inline import Suggestion
from codeface_lsp.endpoints.types import Chunk, InfillRequest
from tests.scripted import ScriptedEndpoint
from tests.unit.assist.inline.support import Editor, until

STEPS = 1500
ALPHABET = "ab \n(."


def continuation(prefix: str) -> str:
    """What the model writes after a prefix: a walk that only depends on how the prefix ends."""
    state = prefix[-8:]
    out = ""
    for _ in range(6):
        step = random.Random(state).choice(["ab", "ba ", "a.", "bb"])
        out += step
        state = (state + step)[-8:]
    return out


class Walk(ScriptedEndpoint):
    """A model whose text is a function of the prefix, given in pieces with random pauses."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.rng = rng
        self.most_running = 0

    async def _walk(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            for sign in continuation(request.parts.prefix):
                await asyncio.sleep(self.rng.choice([0, 0, 0, 0.0005, 0.002]))
                yield Chunk(sign, tokens=1, logprob=-0.1, model="walk")
            yield Chunk(finish_reason="eos", model="walk")
        finally:
            self.running -= 1

    def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        self.requests.append(request)
        return self._walk(request)


@pytest.mark.parametrize("seed", [1, 2])
async def test_one_answer_each_and_nothing_stale(seed: int) -> None:
    rng = random.Random(seed)
    endpoint = Walk(rng)
    ed = Editor(endpoint, "|", language="plaintext", prefetch=True)
    pending: list[asyncio.Task[None]] = []
    last: list[Suggestion] = []
    answered = {"shown": 0, "nothing": 0, "superseded": 0, "cancelled": 0}

    async def ask() -> None:
        text, cursor = ed.text, ed.cursor
        try:
            answer = await ed.ask(invoked=rng.random() < 0.02)
        except asyncio.CancelledError:
            answered["cancelled"] += 1
            return
        if answer is None:
            answered["superseded"] += 1
        elif not answer:
            answered["nothing"] += 1
        else:
            answered["shown"] += 1
            assert ed.text == text, "a suggestion for a text that is no more"
            for suggestion in answer:
                assert "\n" not in text[suggestion.start : suggestion.end]
                assert cursor == suggestion.start <= suggestion.end <= len(text)
            first = answer[0]
            full = text[: first.start] + first.text
            assert _leads_to(text[: first.start], full), "a suggestion of another place"
            last[:] = [first]

    for _ in range(STEPS):
        action = rng.random()
        if action < 0.35:
            ed.type(rng.choice(ALPHABET))
        elif action < 0.5 and last and last[0].start == ed.cursor and last[0].text:
            ed.type(last[0].text[: rng.choice([1, 1, 1, 4])])
        elif action < 0.56 and ed.cursor:
            ed.edit(ed.cursor - 1, ed.cursor, "")
        elif action < 0.60:
            ed.cursor = rng.randint(0, len(ed.text))
        elif action < 0.61:
            ed.edit(0, len(ed.text), "".join(rng.choices(ALPHABET, k=30)))
        elif action < 0.64 and pending:
            rng.choice(pending).cancel()
        else:
            pending.append(asyncio.create_task(ask()))
        if rng.random() < 0.4:
            await asyncio.sleep(rng.choice([0, 0, 0.001, 0.004, 0.02]))
        if len(ed.text) > 400:
            ed.edit(0, len(ed.text), "")
    results = await asyncio.gather(*pending, return_exceptions=True)
    errors = [r for r in results if isinstance(r, Exception)]
    assert not errors, errors[0]
    unanswered = [
        r for r in results if isinstance(r, asyncio.CancelledError)
    ]  # cancelled before their first step
    assert sum(answered.values()) + len(unanswered) == len(pending)
    assert answered["shown"] > 15 and answered["superseded"] > 15
    assert endpoint.most_running <= 2, "one generation of a document, and one that is being closed"
    await until(lambda: endpoint.running == 0)
    await ed.completer.aclose()


def _leads_to(prefix: str, full: str) -> bool:
    """Whether some earlier cursor on the way to `prefix` makes the model write `full`."""
    return any(
        (prefix[:cut] + continuation(prefix[:cut])).rstrip().startswith(full.rstrip())
        or full.rstrip().startswith((prefix[:cut] + continuation(prefix[:cut])).rstrip())
        for cut in range(len(prefix), max(-1, len(prefix) - 80), -1)
    )
