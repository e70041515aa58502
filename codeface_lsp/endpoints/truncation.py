"""Notices servers that cut a prompt without a word, as Ollama does when its context is shorter than the model's."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

from codeface_lsp.endpoints.types import Timings

_log = logging.getLogger(__name__)
_WORD = re.compile(r"[^\W\d_]+")


class TruncationWatch:
    """Compares the prompt tokens that a server reports with those that were certainly sent; warns once."""

    def __init__(self, name: str) -> None:
        """`name` is the server's, for the warning."""
        self._name = name
        self._warned = False

    def check(self, prompt: str, timings: Timings) -> Timings:
        """Return the timings with `truncated` set if fewer tokens were evaluated than the prompt has words.

        No tokenizer of the families served joins two words separated by more than a blank into one token, so words
        are a lower bound. A server that reports nothing says nothing.
        """
        if timings.prompt_tokens == 0 or timings.prompt_tokens >= least_tokens(prompt):
            return timings
        if not self._warned:
            self._warned = True
            _log.warning(
                "%s evaluated only %d tokens of a longer prompt: raise its context length, or set the "
                "endpoint's `context_tokens` to what it has",
                self._name,
                timings.prompt_tokens,
            )
        return replace(timings, truncated=True)


def least_tokens(text: str) -> int:
    """Tokens that a text has at least."""
    return sum(1 for _ in _WORD.finditer(text))
