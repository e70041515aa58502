"""Generated tokens on their way to the reader: text, stop strings, log-probabilities, figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codeface_lsp.inference.detokenizer import Detokenizer
from codeface_lsp.inference.stopping import StopStrings
from codeface_lsp.inference.types import Delta, FinishReason, TokenLogprob, Usage

Emit = Callable[[Delta], None]


class Output:
    """Turns tokens into deltas; the last delta carries the reason and the usage."""

    def __init__(self, emit: Emit, stops: Sequence[str], skip: int) -> None:
        """`skip` bytes at the beginning are what the user typed already."""
        self._emit = emit
        self._detokenizer = Detokenizer(skip)
        self._stops = StopStrings(stops)
        self.stop_string: str | None = None

    def add(self, token: TokenLogprob, raw: bytes) -> bool:
        """Send on a token; true if a stop string ended the text."""
        text, self.stop_string = self._stops.add(self._detokenizer.add(raw))
        self._emit(Delta(text=text, tokens=(token,)))
        return self.stop_string is not None

    def finish(self, reason: FinishReason, usage: Usage) -> None:
        """Send what was held back, and the end."""
        text = "" if self.stop_string is not None else self._stops.finish()
        self._emit(Delta(text=text, finish_reason=reason, stop_string=self.stop_string, usage=usage))
