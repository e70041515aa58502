"""One run of the model for a place of a document. It belongs to the document, not to the request that began it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Literal

from codeface_lsp.assist.inline.anchors import Anchor, follows
from codeface_lsp.assist.inline.memory import Entry
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.assist.inline.stopping import StopRules
from codeface_lsp.endpoints.types import Chunk, Endpoint, InfillRequest, Timings
from codeface_lsp.errors import EndpointError

log = logging.getLogger(__name__)

LINGER_S = 0.15
"""How long a generation that nobody waits for may be joined; editors cancel the old request at each key."""

End = Literal[
    "line",
    "block",
    "suffix",
    "repetition",
    "open",
    "unsure",
    "eos",
    "stop",
    "length",
    "time",
    "cancelled",
    "failed",
]


class Generation:
    """A running or finished generation. `output` grows; `kept` is what of it counts once it has ended."""

    def __init__(
        self,
        endpoint: Endpoint,
        request: InfillRequest,
        place: Place,
        rules: StopRules,
        *,
        sure: Callable[[float | None], bool] = lambda logprob: True,
        linger_s: float = LINGER_S,
    ) -> None:
        """`sure` tells of a mean log-probability whether a first line that has it is worth going on from."""
        self.place = place
        self.request = request
        self.rules = rules
        self.anchor = Anchor(place.prefix, place.suffix)
        self.output = ""
        self.kept = ""
        self.end: End | None = None
        self.waiting = False
        """Whether the server starts, or loads its model: the place's text may change at no cost until it has."""
        self.error: EndpointError | None = None
        self.model = ""
        self.tokens = 0
        self.timings: Timings | None = None
        self.entry: Entry | None = None
        """The judgement of `kept`, once there is one."""
        self._pieces: list[tuple[int, int, float | None]] = []
        self._sure = sure
        self._linger_s = linger_s
        self._waiting: dict[object, Callable[[], None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.task = asyncio.get_running_loop().create_task(self._run(endpoint))

    @property
    def running(self) -> bool:
        """Whether the model is still writing for it."""
        return self.end is None

    @property
    def complete(self) -> bool:
        """Whether it ended by itself: with more time it would have written the same."""
        return self.end not in (None, "time", "length", "cancelled", "failed")

    def agrees(self, text: str) -> bool:
        """Whether a document with this text is still being written towards by the output."""
        return self.anchor.agrees(text, self.output)

    def serves(self, place: Place) -> bool:
        """Whether a request at `place` can wait for this generation."""
        typed = self.anchor.typed(place.text, place.offset)
        if self.end in ("cancelled", "failed"):
            return False
        if typed is None or not follows(typed, self.output) or (typed and self.waiting):
            return False
        return self.running or typed == "" or (len(typed) < len(self.kept) and self.kept.startswith(typed))

    def join(self, waiter: object, wake: Callable[[], None]) -> None:
        """Wait for it: `wake` is called when the model begins, at every line end and at the end. Keeps it alive."""
        self._waiting[waiter] = wake
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def leave(self, waiter: object) -> None:
        """Wait no longer; the last one to leave gives it `LINGER_S` to be joined again."""
        if self._waiting.pop(waiter, None) is not None and not self._waiting and self.running:
            self._timer = asyncio.get_running_loop().call_later(self._linger_s, self.stop)

    def stop(self) -> None:
        """Stop the model at its next step."""
        if self.running:
            self._finish("cancelled", "")
            self.task.cancel()

    async def stopped(self) -> None:
        """Wait until the connection is closed."""
        await asyncio.wait([self.task])

    def logprob(self, length: int) -> float | None:
        """Mean log-probability of the tokens in the first `length` characters; None if the server does not tell."""
        total, tokens = 0.0, 0
        for end, count, logprob in self._pieces:
            if tokens and end > length:
                break
            if logprob is None:
                return None
            total, tokens = total + logprob, tokens + count
        return total / tokens if tokens else None

    def first_line_logprob(self) -> float | None:
        """Mean log-probability of the first line that has text; where that is not whole yet, of what there is."""
        begun = len(self.output) - len(self.output.lstrip())
        end = self.output.find("\n", begun)
        return self.logprob(end if end >= 0 else len(self.output))

    def confidence(self, length: int) -> float | None:
        """What the bar is held against: the lower one of the whole text's log-probability and its first line's."""
        both = self.logprob(length), self.first_line_logprob()
        return min((logprob for logprob in both if logprob is not None), default=None)

    def kept_tokens(self) -> int:
        """Tokens of what is kept."""
        return sum(count for end, count, _ in self._pieces if end <= len(self.kept))

    async def _run(self, endpoint: Endpoint) -> None:
        chunks = endpoint.infill(self.request)
        try:
            async for chunk in chunks:
                if self._take(chunk):
                    break
            else:
                self._finish("eos", self.output)
        except EndpointError as error:
            self.error = error
            self._finish("failed", "")
        finally:
            if self.running:  # cancelled from outside, or a defect: whoever waits must not hang
                self._finish("cancelled", "")
            await _close(chunks)

    def _take(self, chunk: Chunk) -> bool:
        """Add a chunk; True when generation has ended."""
        if chunk.waiting != self.waiting:
            self.waiting = chunk.waiting
            self._wake()
        before = self.output.count("\n")
        self.output += chunk.text
        self.tokens += chunk.tokens
        self.model = chunk.model or self.model
        if chunk.finish_reason is not None:
            self.timings = chunk.timings
        if chunk.tokens:
            self._pieces.append((len(self.output), chunk.tokens, chunk.logprob))
        if not self.running:
            return True
        if stop := self.rules.check(self.output):
            self._finish(stop.reason, stop.text)
        elif chunk.finish_reason in ("length", "time"):
            self._finish(chunk.finish_reason, self.rules.whole_so_far(self.output))
        elif chunk.finish_reason is not None:
            self._finish(chunk.finish_reason, self.output)
        elif self.output.count("\n") > before:
            if "\n" in self.output.lstrip() and not self._sure(self.first_line_logprob()):
                self._finish("unsure", self.output.rstrip())
            else:
                self._wake()
        return not self.running

    def _finish(self, end: End, kept: str) -> None:
        if self.end is None:
            self.end, self.kept = end, kept
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._wake()

    def _wake(self) -> None:
        for wake in list(self._waiting.values()):
            wake()


async def _close(chunks: AsyncIterator[Chunk]) -> None:
    """Close a stream early, which closes its connection."""
    aclose = getattr(chunks, "aclose", None)
    if aclose is not None:
        await aclose()
