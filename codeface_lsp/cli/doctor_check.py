"""What a check of `codeface doctor` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check; `next_step` is empty when there is nothing to do."""

    name: str
    status: Literal["ok", "warning", "error"]
    message: str
    next_step: str = ""
