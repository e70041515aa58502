"""Line ends, positions and offsets, in all three encodings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeface_lsp.text.lines import Encoding, LineIndex

ENCODINGS: list[Encoding] = ["utf-8", "utf-16", "utf-32"]
TEXTS = st.text(alphabet=st.sampled_from("ab \t\n\r\f\x0b\x85\u2028é漢😀\U0001f468\u200d"), max_size=60)


@pytest.mark.parametrize("text", ["", "a", "a\n", "a\nb", "a\r\nb", "a\rb\n\rc", "\n\n", "a\f\u2028\x85b\nc"])
def test_only_the_three_line_ends_of_lsp_split(text: str) -> None:
    index = LineIndex(text)
    expected = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert [index.line(number) for number in range(len(index))] == expected


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 5), ("utf-16", 3), ("utf-32", 2)])
def test_a_character_beyond_the_bmp_counts_as_its_encoding_says(encoding: Encoding, character: int) -> None:
    index = LineIndex("x\na😀b")
    assert index.position(4, encoding) == (1, character)
    assert index.offset(1, character, encoding) == 4


def test_a_position_inside_a_surrogate_pair_goes_to_the_start_of_the_character() -> None:
    assert LineIndex("a😀b").offset(0, 2, "utf-16") == 1


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("position", "offset"), [((0, 99), 2), ((9, 0), 5), ((1, 99), 5), ((-1, 3), 0), ((0, -4), 0)]
)
def test_positions_outside_of_the_text_are_clamped(
    encoding: Encoding, position: tuple[int, int], offset: int
) -> None:
    assert LineIndex("ab\ncd").offset(*position, encoding) == offset


@given(TEXTS, st.sampled_from(ENCODINGS))
def test_every_offset_outside_of_a_line_end_survives_the_round_trip(text: str, encoding: Encoding) -> None:
    index = LineIndex(text)
    for offset in range(len(text) + 1):
        if text[offset - 1 : offset + 1] == "\r\n":
            continue
        assert index.offset(*index.position(offset, encoding), encoding) == offset


@given(TEXTS, st.sampled_from(ENCODINGS))
def test_positions_are_counted_in_code_units(text: str, encoding: Encoding) -> None:
    index = LineIndex(text)
    for number in range(len(index)):
        line = index.line(number)
        _, character = index.position(index.line_end(number), encoding)
        width = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]
        assert character == len(line.encode(f"{encoding}-le" if width > 1 else encoding)) // width
