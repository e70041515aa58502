"""What a job ends in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Proposal:
    """Minimal edits of `snapshot` (the newest one), or a new file."""

    title: str
    snapshot: Snapshot
    edits: tuple[TextEdit, ...] = ()
    new_file: Path | None = None
    new_text: str = ""
    existing: str | None = None
    """What `new_file` holds if it exists and `new_text` goes to its end."""
