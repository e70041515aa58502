"""Markers that a model lets slip never reach the reader, and code about markers stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeface_lsp.prompting.cleaning import AnswerCleaner, clean


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Assistant: It sorts.", "It sorts."),
        ("### Response:\nIt sorts.", "It sorts."),
        ("<|im_start|>assistant\nIt sorts.<|im_end|>\n<|im_start|>user\nAnd then?", "It sorts."),
        (" [/INST] It sorts.</s><s>[INST] And then? [/INST]", "It sorts."),
        ("It sorts.<end_of_turn>\n<start_of_turn>user\nmore", "It sorts."),
        ("<think>\nhm, well\n</think>\n\nIt sorts.", "It sorts."),
        ("It sorts.\n<|user|>\nAnd then?", "It sorts."),
        ("a < b and b[i] > c", "a < b and b[i] > c"),
        ("It ends with `</s>` there.", "It ends with `</s>` there."),
        ("```html\n<s>old</s>\n```\nThat strikes out.", "```html\n<s>old</s>\n```\nThat strikes out."),
        ("````md\n```\n</s>\n```\n````\nend</s>tail", "````md\n```\n</s>\n```\n````\nend"),
        ("<think>never ended", ""),
    ],
)
def test_stray_markers_go(raw: str, expected: str) -> None:
    assert clean(raw) == expected
    cleaner = AnswerCleaner()
    piecewise = "".join(cleaner.feed(char) for char in raw) + cleaner.finish()
    assert piecewise.strip() == expected


@given(
    st.lists(
        st.sampled_from(["<", "|", "im_end", "|>", "[IN", "ST]", "`", "```\n", "word ", "\n", "</s", ">"])
    )
)
def test_pieces_give_what_the_whole_gives(pieces: list[str]) -> None:
    cleaner = AnswerCleaner()
    streamed = "".join(cleaner.feed(piece) for piece in pieces) + cleaner.finish()
    assert streamed.strip() == clean("".join(pieces))


def test_ordinary_text_is_not_held_back() -> None:
    cleaner = AnswerCleaner()
    assert [cleaner.feed(piece) for piece in ("It", " sorts", " the", " list")] == [
        "It",
        " sorts",
        " the",
        " list",
    ]
