"""What the user looks at while asking: the document, the selection, its diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codeface_lsp.assist.edits.tasks import Problemed
from codeface_lsp.text.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Place:
    """`[start, end)` of a document; an empty range means the scope around it."""

    snapshot: Snapshot
    start: int
    end: int
    diagnostics: Sequence[Problemed] = ()
