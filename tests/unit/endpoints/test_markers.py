"""Special tokens that a server sends as text never reach the document."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from codeface_lsp.endpoints.markers import MarkerCutter

MARKERS = ("<fim_middle>", "<|endoftext|>")


@given(st.text(alphabet="<fim_|>endo ", max_size=30), st.lists(st.integers(1, 5), max_size=40))
def test_text_passes_whole_up_to_the_first_marker_however_it_is_split(text: str, sizes: list[int]) -> None:
    cutter = MarkerCutter(MARKERS)
    rest = text + "<fim_middle>after"
    shown = ""
    for size in [*sizes, len(rest)]:
        shown += cutter.feed(rest[:size])
        rest = rest[size:]
    whole = text + "<fim_middle>"
    assert shown == whole[: min(whole.find(m) for m in MARKERS if m in whole)]
    assert cutter.found


def test_what_looks_like_a_marker_s_beginning_is_shown_at_the_end() -> None:
    cutter = MarkerCutter(MARKERS)
    assert cutter.feed("a <fim") == "a "
    assert cutter.feed("", last=True) == "<fim"
    assert not cutter.found
