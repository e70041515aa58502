from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeface_lsp.text.diff import changed_span, common_prefix, common_suffix, minimal_edits
from codeface_lsp.text.edits import TextEdit, apply

texts = st.text(alphabet="ab\n\r é😀", max_size=60)


@given(texts, texts)
def test_edits_turn_the_old_text_into_the_new(old: str, new: str) -> None:
    assert apply(old, minimal_edits(old, new)) == new


@given(texts, texts, texts)
def test_the_changed_span_is_where_the_texts_differ(head: str, old: str, new: str) -> None:
    before, after = head + old + head, head + new + head
    span = changed_span(before, after)
    if span is None:
        assert before == after
        return
    start, old_end, new_end = span
    assert before[:start] + after[start:new_end] + before[old_end:] == after
    assert start == common_prefix(before, after)
    assert len(before) - old_end == common_suffix(before, after, min(len(before), len(after)) - start)


def test_equal_texts_need_no_edit() -> None:
    assert minimal_edits("a\nb\n", "a\nb\n") == []


def test_only_the_changed_lines_are_touched() -> None:
    old = "".join(f"line {n}\n" for n in range(100))
    new = old.replace("line 40\n", "line forty\n").replace("line 70\n", "")
    edits = minimal_edits(old, new)
    assert [(old[e.start : e.end], e.text) for e in edits] == [("40", "forty"), ("70\nline ", "")] or [
        (old[e.start : e.end], e.text) for e in edits
    ] == [("40", "forty"), ("line 70\n", "")]


def test_an_insertion_in_the_middle_is_one_edit() -> None:
    assert minimal_edits("a = 1\nb = 2\n", "a = 1\nnew\nb = 2\n") == [TextEdit(6, 6, "new\n")]


def test_long_equal_texts_compare_at_memory_speed() -> None:
    old = "x = 1\n" * 100_000
    new = old[:300_000] + "y" + old[300_000:]
    assert changed_span(old, new) == (300_000, 300_000, 300_001)


@pytest.mark.timeout(20)
def test_texts_that_share_nothing_are_replaced_in_bounded_time() -> None:
    old = "".join(f"a{n}\n" for n in range(30_000))
    new = "".join(f"b{n}\n" for n in range(30_000))
    start = time.monotonic()
    edits = minimal_edits(old, new)
    assert apply(old, edits) == new
    assert time.monotonic() - start < 10
