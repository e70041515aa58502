"""Tokens to text as they come, never half of a character."""

from __future__ import annotations

import codecs


class Detokenizer:
    """Joins the bytes of tokens and gives out whole characters; the first `skip` bytes are dropped.

    Bytes that can never become UTF-8 turn into U+FFFD at once, a character that is not complete yet waits.
    """

    def __init__(self, skip: int = 0) -> None:
        self._skip = skip
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: bytes) -> str:
        """The characters that this token completes."""
        if self._skip:
            dropped = min(self._skip, len(token))
            self._skip -= dropped
            token = token[dropped:]
        return self._decoder.decode(token)
