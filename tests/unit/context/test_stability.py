"""The promise that keeps the engine's KV cache warm: while one types, the prompt only grows at its end."""

from __future__ import annotations

import random

import pytest

from benchmarks.keystrokes import keys
from codeface_lsp.context.builder import ContextBuilder, Gathered, Sight
from codeface_lsp.context.parts import Budget, Parts
from codeface_lsp.endpoints.token_counter import EstimatedCounter
from codeface_lsp.text.snapshot import Snapshot

BUDGET = Budget(600, 200, 100)
COUNTER = EstimatedCounter()

SOURCE = '''import os


class Table:
    """A table."""

    def __init__(self, rows):
        self.rows = rows

    def first(self, default=None):
        if not self.rows:
            return default
        return {
            "row": self.rows[0],
            "width": max(len(cell) for cell in self.rows[0]),
        }

    def last(self):
        values = [cell.strip() for cell in self.rows[-1]]
        return os.linesep.join(values)
'''


def snapshot(text: str, language: str = "python") -> Snapshot:
    return Snapshot("file:///t.py", "/t.py", language, 0, text)


def build(builder: ContextBuilder, marked: str, language: str = "python") -> Parts:
    offset = marked.index("‸")
    return builder.build(snapshot(marked.replace("‸", ""), language), offset, BUDGET, COUNTER)


def test_typing_a_whole_method_keeps_suffix_and_extra_object_for_object() -> None:
    builder = ContextBuilder()
    start = SOURCE.index("    def first")
    end = SOURCE.index("    def last")
    typed = keys(SOURCE, start, end, seed=3)
    seen = [builder.build(snapshot(event.text), event.offset, BUDGET, COUNTER) for event in typed]
    assert len(seen) > 150
    assert all(parts.suffix is seen[0].suffix for parts in seen)
    assert all(parts.extra is seen[0].extra for parts in seen)
    assert "def last" in seen[0].suffix


def test_a_closing_bracket_put_there_by_the_editor_changes_nothing() -> None:
    builder = ContextBuilder()
    before = build(builder, "a = 1\nprint‸\nb = 2\n")
    after = build(builder, "a = 1\nprint(‸)\nb = 2\n")
    assert after.suffix is before.suffix
    assert after.fim_suffix == before.fim_suffix == "b = 2\n"
    assert after.line_suffix == ")" and not after.line_suffix_matters


def test_the_rest_of_the_line_matters_when_it_is_code() -> None:
    parts = build(ContextBuilder(), "total = add(‸, 2)\nb = 2\n")
    assert parts.line_suffix_matters
    assert parts.fim_suffix == ", 2)\nb = 2\n"


def test_a_brace_left_on_the_next_line_by_enter_keeps_the_suffix() -> None:
    builder = ContextBuilder()
    before = build(builder, "function f() {‸}\nlet b = 2;\n", "javascript")
    after = build(builder, "function f() {\n    ‸\n}\nlet b = 2;\n", "javascript")
    assert after.suffix is before.suffix


def test_a_line_as_indented_as_the_one_below_keeps_the_suffix() -> None:
    builder = ContextBuilder()
    before = build(builder, "def f():\n    a = 1‸\n    b = 2\n")
    after = build(builder, "def f():\n    a = 1\n    ‸\n    b = 2\n")
    assert after.suffix is before.suffix


def test_an_edit_of_the_shown_suffix_is_seen() -> None:
    builder = ContextBuilder()
    build(builder, "a = ‸\nb = 2\n")
    assert build(builder, "a = ‸\nb = 3\n").suffix == "b = 3\n"


def test_an_edit_far_above_moves_the_window_with_it() -> None:
    builder = ContextBuilder()
    body = "".join(f"value_{n} = compute({n})\n" for n in range(300))
    before = build(builder, body + "x = ‸\ny = 1\n")
    after = build(builder, "import os\n" + body + "x = ‸\ny = 1\n")
    assert after.prefix == before.prefix
    assert after.suffix is before.suffix


def test_coming_back_from_elsewhere_finds_the_same_window() -> None:
    builder = ContextBuilder()
    body = "".join(f"value_{n} = compute({n})\n" for n in range(300))
    text = body + "x = \ny = 1\n"
    here = text.index("x = ") + 4
    first = builder.build(snapshot(text), here, BUDGET, COUNTER)
    elsewhere = builder.build(snapshot(text), 200, BUDGET, COUNTER)
    back = builder.build(snapshot(text), here, BUDGET, COUNTER)
    assert elsewhere.suffix != first.suffix
    assert back.suffix is first.suffix and back.prefix == first.prefix


def test_coming_back_after_a_new_import_gathers_again() -> None:
    asked: list[int] = []

    def gather(sight: Sight) -> Gathered:
        asked.append(sight.offset)
        return Gathered()

    builder = ContextBuilder(gather)
    body = "import os\n" + "".join(f"value_{n} = compute({n})\n" for n in range(300)) + "x = "
    builder.build(snapshot(body), len(body), BUDGET, COUNTER)
    builder.build(snapshot(body), 9, BUDGET, COUNTER)
    builder.build(snapshot(body), len(body), BUDGET, COUNTER)
    assert len(asked) == 2
    body = body.replace("import os\n", "import os\nimport sys\n")
    builder.build(snapshot(body), 20, BUDGET, COUNTER)
    builder.build(snapshot(body), len(body), BUDGET, COUNTER)
    assert asked[-1] == len(body)


def test_another_budget_gets_a_window_of_its_own() -> None:
    builder = ContextBuilder()
    text = SOURCE * 10
    wide = builder.build(snapshot(text), 3000, BUDGET, COUNTER)
    narrow = builder.build(snapshot(text), 3000, Budget(200, 0, 40), COUNTER)
    assert narrow.tokens <= 200 < wide.tokens
    assert builder.build(snapshot(text), 3000, BUDGET, COUNTER).suffix is wide.suffix


def test_the_suffix_never_shows_text_that_is_not_below_the_cursor() -> None:
    """Random edits and cursors: the parts are always pieces of the text as it is."""
    rng = random.Random(5)
    builder = ContextBuilder()
    text = SOURCE * 4
    for _ in range(400):
        at = rng.randrange(len(text))
        if rng.random() < 0.5:
            text = text[:at] + rng.choice(["x", "\n", "(", "    ", "def f():\n    "]) + text[at:]
        else:
            text = text[:at] + text[at + rng.randrange(20) :]
        offset = min(len(text), max(0, at + rng.randrange(-30, 30)))
        parts = builder.build(snapshot(text), offset, BUDGET, COUNTER)
        assert text[:offset].endswith(parts.prefix)
        assert parts.suffix in text[offset:]
        assert text.startswith(parts.line_suffix, offset)
        assert parts.tokens <= BUDGET.total


@pytest.mark.parametrize("total", [64, 200, 512, 1500])
def test_the_budget_holds_at_every_size(total: int) -> None:
    builder = ContextBuilder()
    text = SOURCE * 30
    budget = Budget(total, int(total * 0.4), int(total * 0.15))
    for offset in range(0, len(text), 997):
        parts = builder.build(snapshot(text), offset, budget, COUNTER)
        whole = COUNTER.count(parts.prefix) + COUNTER.count(parts.fim_suffix)
        assert whole <= parts.tokens <= total
