from __future__ import annotations

import pytest

from codeface_lsp.text.edits import TextEdit, apply
from codeface_lsp.text.snapshot import Snapshot


def test_edits_of_one_text_are_applied_together() -> None:
    assert apply("abcdef", [TextEdit(4, 5, "X"), TextEdit(0, 1, "__"), TextEdit(2, 2, "-")]) == "__b-cdXf"


@pytest.mark.parametrize(
    "edits", [[TextEdit(0, 3, ""), TextEdit(2, 4, "")], [TextEdit(4, 9, "")], [TextEdit(3, 1, "")]]
)
def test_edits_that_overlap_or_lie_outside_are_refused(edits: list[TextEdit]) -> None:
    with pytest.raises(ValueError, match="overlaps another or lies outside"):
        apply("abcdef", edits)


def test_a_snapshot_knows_its_lines_once() -> None:
    snapshot = Snapshot("file:///a", None, "python", 1, "a\nb")
    assert snapshot.lines is snapshot.lines
    assert snapshot.lines.line(1) == "b"
