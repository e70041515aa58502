"""Between a sequence and the scheduler: whether it should end, and why it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from codeface_lsp.inference.types import FinishReason


@dataclass(frozen=True, slots=True)
class Control:
    """What a sequence asks the scheduler: should it end, should it step aside."""

    cancelled: Callable[[], bool]
    preempted: Callable[[], bool]
    clock: Callable[[], float]
    submitted: Callable[[], float]


class Ended(Exception):
    """The sequence ends here."""

    def __init__(self, reason: FinishReason) -> None:
        super().__init__(reason)
        self.reason: FinishReason = reason
