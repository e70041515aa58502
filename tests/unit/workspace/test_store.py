from __future__ import annotations

import shutil
from pathlib import Path

import pydantic
import pytest

from codeface_lsp.context.tags import Definition
from codeface_lsp.workspace import store
from codeface_lsp.workspace.indexing import Indexer
from codeface_lsp.workspace.reader import Reader


def entry(path: str, *named: str) -> store.FileEntry:
    found = [
        Definition(name, "function", "", None, 3 * n, 3 * n + 1, 3 * n + 2) for n, name in enumerate(named)
    ]
    return store.FileEntry(path, 1, 1, 3 * len(named), found, [f"word of {name}" for name in named])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite3"


def test_what_was_written_is_read_back_with_its_file_and_its_lines(file: Path) -> None:
    writer = store.Writer(file)
    for each in (entry("a.py", "one", "two"), entry("empty.py"), entry("b.py", "three")):
        writer.put(each)
    writer.commit()
    reader = Reader(file)
    found = {s.name: (s.path, s.start, s.body, s.end) for s in reader.named(["one", "two", "three"])}
    assert found == {"one": ("a.py", 0, 1, 2), "two": ("a.py", 3, 4, 5), "three": ("b.py", 0, 1, 2)}
    assert [s.name for s in reader.in_files(["a.py", "empty.py"])] == ["one", "two"]


def test_the_words_of_a_forgotten_file_never_lead_to_another(file: Path) -> None:
    writer = store.Writer(file)
    writer.put(entry("a.py", "one"))
    writer.put(entry("last.py", "walrus", "penguin"))
    writer.remove(["last.py"])
    writer.put(entry("new.py", "three", "four"))
    writer.commit()
    reader = Reader(file)
    assert reader.search(["walrus"]) == [] and reader.search(["penguin"]) == []
    assert [symbol.path for symbol, _ in reader.search(["four"])] == ["new.py"]


def test_a_file_that_is_written_again_replaces_itself_alone(file: Path) -> None:
    writer = store.Writer(file)
    writer.put(entry("a.py", "one", "two"))
    writer.put(entry("b.py", "three"))
    writer.put(entry("a.py", "four"))
    writer.commit()
    reader = Reader(file)
    assert {f"{s.path}:{s.name}" for s in reader.named(["one", "two", "three", "four"])} == {
        "a.py:four",
        "b.py:three",
    }


def test_an_index_takes_at_most_a_quarter_of_its_source(tmp_path: Path) -> None:
    root = tmp_path / "pydantic"
    shutil.copytree(
        Path(pydantic.__file__).parent, root, ignore=shutil.ignore_patterns("__pycache__", "*.so")
    )
    Indexer(root, 1 << 20).scan()
    source = sum(each.stat().st_size for each in root.rglob("*.py"))
    assert store.path_of(root).stat().st_size <= source / 4
