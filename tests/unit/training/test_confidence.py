from __future__ import annotations

import pytest

from training.confidence import bar, shown_by
from training.judging import Answer


def answers(exact: list[bool]) -> list[Answer]:
    """The first the surest."""
    return [Answer("s", "whole line", "p", right, 1.0, True, -0.1 * at) for at, right in enumerate(exact)]


def test_the_bar_shows_as_many_as_a_third_of_is_right() -> None:
    found = bar(answers([True, True, False, False, False, False, False, False]))
    assert found["shown"] == pytest.approx(6 / 8)
    assert found["exact_among_shown"] == pytest.approx(1 / 3)
    assert found["min_confidence"] == pytest.approx(-0.5)


def test_a_quarter_is_shown_even_where_little_is_right() -> None:
    assert bar(answers([False] * 8))["shown"] == pytest.approx(1 / 4)


def test_a_bar_is_applied_to_other_answers() -> None:
    told = shown_by(answers([True, False, True, False]), -0.15)
    assert told == {"min_confidence": -0.15, "shown": 0.5, "exact_among_shown": 0.5}
