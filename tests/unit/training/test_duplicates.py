from __future__ import annotations

from pathlib import Path

import rich

from training.duplicates import DuplicateFilter

FUNCTIONS = [
    f"def function_{i}(first, second):\n    total = first * {i} + second\n    return [total, {i}]\n"
    for i in range(60)
]


def test_the_same_text_is_taken_once_whatever_its_white_space() -> None:
    seen = DuplicateFilter()
    text = "\n".join(FUNCTIONS)
    assert seen.accept(text)
    assert not seen.accept(text)
    assert not seen.accept(text.replace("    ", "\t"))


def test_a_near_copy_is_refused_and_another_file_is_not() -> None:
    seen = DuplicateFilter()
    assert seen.accept("\n".join(FUNCTIONS))
    edited = "\n".join([*FUNCTIONS[:-2], "class Another:\n    pass\n"])
    assert not seen.accept(edited)
    assert seen.accept(
        "import os\n\n\nclass Walker:\n    def walk(self, path):\n        yield from os.walk(path)\n"
    )


def test_a_file_that_swallowed_a_protected_one_is_refused() -> None:
    seen = DuplicateFilter()
    assert seen.accept("\n".join(FUNCTIONS[:20]), protect=True)
    other = "\n".join(f"value_{i} = compute(table[{i}], other.name, flag={i % 3})" for i in range(40))
    assert not seen.accept("\n".join(FUNCTIONS[:20]) + other)
    assert seen.accept(other)


def test_the_copy_of_rich_that_pip_carries_is_recognised() -> None:
    import pip

    seen = DuplicateFilter()
    for file in sorted(Path(rich.__file__).parent.rglob("*.py")):
        seen.accept(file.read_text(encoding="utf-8"), protect=True)
    vendored = [
        f
        for f in sorted((Path(pip.__file__).parent / "_vendor" / "rich").glob("*.py"))
        if f.stat().st_size > 500
    ]
    assert len(vendored) > 50
    let_through = [f.name for f in vendored if seen.accept(f.read_text(encoding="utf-8"))]
    assert let_through == []
