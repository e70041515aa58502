"""A model server in memory that plays what a test wrote down, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

from codeface_lsp.endpoints.types import ChatRequest, Chunk, InfillRequest, ModelCard, Timings

Line = str | Sequence[str | Chunk] | Exception
"""A whole answer, its pieces (a chunk where a test wants one of its own), or an error raised instead."""
Script = Line | Callable[[ChatRequest | InfillRequest], Line]


class ScriptedEndpoint:
    """Implements `Endpoint`. Each answer takes the next script; the last one repeats.

    A script may be a function of the request. `hold` makes every stream wait before each piece until the test lets
    `steps` pieces through with `let(n)`. A stream that is closed before its end counts in `cancelled`.
    """

    def __init__(
        self,
        *scripts: Script,
        card: ModelCard | None = None,
        hold: bool = False,
        finish_reason: str = "stop",
    ) -> None:
        self.scripts = list(scripts)
        self.card = card or ModelCard("scripted", context_tokens=8192, fim=True, chat=True)
        self.requests: list[ChatRequest | InfillRequest] = []
        self.cancelled = 0
        self.running = 0
        self.sent = 0
        self.closed = False
        self.finish_reason = finish_reason
        self._hold = hold
        self._allowed = asyncio.Semaphore(0)

    def let(self, pieces: int) -> None:
        """Let that many more pieces through (only with `hold`)."""
        for _ in range(pieces):
            self._allowed.release()

    async def asked(self, count: int = 1) -> None:
        """Wait until that many requests have come in."""
        async with asyncio.timeout(20):
            while len(self.requests) < count:  # noqa: ASYNC110 - a plain list is what tests look at
                await asyncio.sleep(0.002)

    def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        return self._play(request)

    def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk]:
        return self._play(request)

    async def _play(self, request: ChatRequest | InfillRequest) -> AsyncGenerator[Chunk]:
        number = len(self.requests)
        self.requests.append(request)
        if not self.scripts:
            raise AssertionError("the scripted endpoint has no answer for this request")
        script = self.scripts[min(number, len(self.scripts) - 1)]
        line = script(request) if callable(script) else script
        if isinstance(line, Exception):
            raise line
        self.running += 1
        done = False
        try:
            for piece in [line] if isinstance(line, str) else line:
                if self._hold:
                    await self._allowed.acquire()
                else:
                    await asyncio.sleep(0)
                self.sent += 1
                chunk = Chunk(piece, tokens=1, logprob=-0.1) if isinstance(piece, str) else piece
                yield replace(chunk, model=self.card.id)
            done = True
            tokens = 1 if isinstance(line, str) else len(line)
            yield Chunk(
                finish_reason=self.finish_reason,  # type: ignore[arg-type]
                timings=Timings(prompt_tokens=10, completion_tokens=tokens),
                model=self.card.id,
            )
        finally:
            self.running -= 1
            if not done:
                self.cancelled += 1

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(len(text))] for text in texts]

    async def models(self) -> list[ModelCard]:
        return [self.card]

    async def count_tokens(self, text: str) -> int:
        return max(1, len(text) // 4)

    async def aclose(self) -> None:
        self.closed = True
