from __future__ import annotations

import ast

import numpy as np
import pytest

from training.corpus import Document
from training.questions import KINDS, SHORTEST_LINE, ask, questions

TEXT = '''"""A module.

with more words
"""

import os


def walk(path, deep=False):
    """Walk about."""
    # a comment on its own
    for name in os.listdir(path):
        full = os.path.join(path, name)
        if deep:
            yield from walk(full)
        yield full


class Empty:
    x = 1
'''
DOCUMENT = Document("python", "walk.py", "held-out", TEXT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(20))
def test_a_hole_put_back_gives_the_file(kind: str, seed: int) -> None:
    question = ask(DOCUMENT, kind, np.random.default_rng(seed))
    assert question is not None
    assert question.prefix + question.truth + question.suffix == TEXT
    assert question.truth.strip()


@pytest.mark.parametrize("seed", range(30))
def test_lines_are_code_and_long_enough(seed: int) -> None:
    question = ask(DOCUMENT, "whole line", np.random.default_rng(seed))
    assert question is not None
    assert len(question.truth) >= SHORTEST_LINE
    assert "\n" not in question.truth
    assert not question.truth.startswith(("#", '"'))
    assert question.truth not in ("A module.", "with more words")


def test_a_block_is_a_whole_body() -> None:
    question = ask(DOCUMENT, "block", np.random.default_rng(1))
    assert question is not None
    assert question.prefix.rstrip(" ").endswith(":\n")
    ast.parse(question.prefix + "pass" + question.suffix)


def test_a_file_without_such_a_place_is_passed_over() -> None:
    assert (
        ask(Document("python", "a.py", "held-out", "x = 1\n"), "whole line", np.random.default_rng(0)) is None
    )


def test_both_sources_are_asked_equally_and_the_seed_decides() -> None:
    other = Document("other", "o.py", "held-out", TEXT)
    asked = questions([DOCUMENT, other], "second half", 10, seed=4)
    assert [question.source for question in asked].count("other") == 5
    assert asked == questions([DOCUMENT, other], "second half", 10, seed=4)
    assert asked != questions([DOCUMENT, other], "second half", 10, seed=5)
