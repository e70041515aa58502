from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pydantic
import pytest

from codeface_lsp.workspace import scanning, store, workers
from codeface_lsp.workspace.indexing import Indexer
from codeface_lsp.workspace.reader import Reader
from codeface_lsp.workspace.workers import Workers

MEGABYTE = 1 << 20


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    for number in range(40):
        (root / f"m{number:02}.py").write_text(f"def f{number}(walrus):\n    return walrus + {number}\n")
    (root / "m20.py").write_bytes(b"def binary(): pass\0\n")
    return root


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the workspace and the machine: two workers, and a list for each file."""
    monkeypatch.setattr(workers, "WORTH_BYTES", 0)
    monkeypatch.setattr(workers, "_LIST_BYTES", 1)
    monkeypatch.setattr(workers, "count", lambda: 2)


def rows(root: Path) -> list[list[object]]:
    with closing(sqlite3.connect(store.path_of(root))) as db:
        tables = ("files", "symbols", "skipped", "words_data")
        return [db.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def files(root: Path) -> list[scanning.Found]:
    rules = Indexer(root, MEGABYTE).rules
    return list(scanning.files(root, rules, MEGABYTE))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_several_processes_write_the_index_that_one_writes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Indexer(project, MEGABYTE).scan()
    by_one = rows(project)
    store.delete(store.path_of(project))
    monkeypatch.setattr(workers, "WORTH_BYTES", 0)
    monkeypatch.setattr(workers, "count", lambda: 2)
    Indexer(project, MEGABYTE).scan()
    assert rows(project) == by_one and len(by_one[1]) == 39


def test_entries_come_in_the_order_of_their_files(project: Path, several: None) -> None:
    found = files(project)
    with Workers(project) as some:
        entries = list(some.read(found))
    paths = [entry.path if entry is not None else None for entry in entries]
    assert paths == [each.path if each.path != "m20.py" else None for each in found]


def test_a_lost_worker_costs_no_file(project: Path, several: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mortal(Workers):
        def __init__(self, root: Path) -> None:
            super().__init__(root)
            os.kill(self._processes[0].pid, signal.SIGKILL)

    monkeypatch.setattr(workers, "Workers", Mortal)
    Indexer(project, MEGABYTE).scan()
    with closing(Reader(store.path_of(project))) as reader:
        assert len(reader.named([f"f{number}" for number in range(40)])) == 39


def test_where_no_process_can_be_started_one_reads_all(
    project: Path, several: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(project / "no-python"))
    Indexer(project, MEGABYTE).scan()
    with closing(Reader(store.path_of(project))) as reader:
        assert len(reader.named([f"f{number}" for number in range(40)])) == 39


def test_a_small_workspace_starts_no_workers(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "count", lambda: 2)
    found = files(project)
    assert not workers.worth(found)
    assert workers.worth([scanning.Found("large.py", 1, 2_500_000)])
    monkeypatch.setattr(workers, "count", lambda: 1)
    assert not workers.worth([scanning.Found("large.py", 1, 2_500_000)])


def test_a_worker_ends_with_its_input(project: Path) -> None:
    command = [sys.executable, "-m", "codeface_lsp.workspace.workers", str(project)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A workspace that takes some seconds to index."""
    root = tmp_path / "large"
    source = Path(pydantic.__file__).parent
    for number in range(12):
        shutil.copytree(source, root / f"p{number}", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return root


@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="needs /proc to see another process's children"
)
@pytest.mark.skipif(workers.count() < 2, reason="needs a second processor: with one there are no workers")
@pytest.mark.parametrize("end", ["killed", "its input ends"])
def test_no_worker_outlives_the_indexing_process(large: Path, end: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "codeface_lsp.workspace.indexing", str(large), "1024"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    until(lambda: len(psutil.Process(process.pid).children()) >= 2)
    some = psutil.Process(process.pid).children()
    if end == "killed":
        process.kill()
    else:
        process.stdin.close()
    assert process.wait(60) == (-signal.SIGKILL if end == "killed" else 0)
    _, left = psutil.wait_procs(some, timeout=60)
    assert left == []
    process.stdin.close()
    writer = store.Writer(store.path_of(large))
    assert len(writer.known()) < len(files(large)), "it ended in the middle of its work"
    writer.close()
