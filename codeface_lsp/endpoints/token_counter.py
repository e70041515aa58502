"""Counts tokens for prompt budgets: exactly where the tokenizer lies on this machine, else by a safe estimate."""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

from tokenizers import Tokenizer

from codeface_lsp.context.parts import TokenCounter
from codeface_lsp.endpoints.local_models import tokenizer_file
from codeface_lsp.settings import Settings

_log = logging.getLogger(__name__)

_PIECES = re.compile(r" ?[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\S\n]+|\n+|[^\x00-\x7f]+|.", re.DOTALL)


class ExactCounter:
    """The tokenizer of the model itself; special tokens in the text count as ordinary text."""

    def __init__(self, tokenizer_file: Path) -> None:
        """Raises `ValueError` if the file is not a tokenizer."""
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        except Exception as error:  # the Rust side raises bare `Exception`
            raise ValueError(f"{tokenizer_file} is not a tokenizer") from error
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()

    def count(self, text: str) -> int:
        """Tokens of `text`, special tokens not added."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)


class EstimatedCounter:
    """For servers whose tokenizer is elsewhere: high on program text, so that a prompt fits.

    A vocabulary of tens of thousands has short words whole, with the blank before them, and longer ones in pieces of
    five letters or more; capitals and digits may stand alone, indentation comes in long tokens, and what is not ASCII
    can cost a token per byte. Text that is no language at all (base64) can cost more than this says.
    """

    def count(self, text: str) -> int:
        """Estimated tokens of `text`."""
        return sum(map(_estimate, _PIECES.findall(text)))


def _estimate(piece: str) -> int:
    if not piece.isascii():
        return len(piece.encode("utf-8", "replace"))
    if piece.isupper() or piece.isdigit():
        return len(piece)
    return 1 + (len(piece.lstrip(" ")) - 1) // 5 if piece[-1].isalpha() else 1 + (len(piece) - 1) // 8


def open_counter(settings: Settings, role: Literal["completion", "chat"] = "completion") -> TokenCounter:
    """Counter for the model of a role."""
    model = settings.model.chat if role == "chat" else settings.model.completion
    file = None if settings.endpoints else tokenizer_file(model)
    return _exact(file) if file is not None else EstimatedCounter()


@lru_cache(maxsize=4)
def _exact(file: Path) -> TokenCounter:
    try:
        return ExactCounter(file)
    except ValueError as error:
        _log.warning("%s; counting tokens by estimate", error)
        return EstimatedCounter()
