from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from codeface_lsp.context import syntax
from codeface_lsp.context.parts import Budget
from codeface_lsp.endpoints.token_counter import EstimatedCounter
from codeface_lsp.settings import Settings
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace import indexing, scanning, store
from codeface_lsp.workspace.client import IndexClient
from codeface_lsp.workspace.ignore import IgnoreRules
from codeface_lsp.workspace.indexing import Indexer
from codeface_lsp.workspace.reader import Reader
from codeface_lsp.workspace.workspace import Workspace

MEGABYTE = 1 << 20


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "__init__.py").write_text("from .core import Engine\n")
    (root / "pkg" / "core.py").write_text(
        "LIMIT = 3\n\n\nclass Engine:\n    '''Runs the flux capacitor.'''\n\n"
        "    def start(self, power):\n        return power\n"
    )
    (root / "app.ts").write_text("export function render(x: number): string { return '' }\n")
    (root / "README.md").write_text("# Guide\n\nHow to defrost the windscreen.\n")
    return root


def index(root: Path, max_bytes: int = MEGABYTE) -> Reader:
    Indexer(root, max_bytes).scan()
    return Reader(store.path_of(root))


def names(reader: Reader, *wanted: str) -> set[str]:
    return {
        f"{s.path}:{s.parent}.{s.name}" if s.parent else f"{s.path}:{s.name}" for s in reader.named(wanted)
    }


def test_definitions_are_found_by_name_with_file_and_owner(project: Path) -> None:
    reader = index(project)
    assert names(reader, "Engine", "start", "LIMIT", "render") == {
        "pkg/core.py:Engine", "pkg/core.py:Engine.start", "pkg/core.py:LIMIT", "app.ts:render",
    }  # fmt: skip
    (method,) = reader.single_methods(["start", "Engine"])
    assert (method.start, method.body, method.end) == (6, 7, 7)


def test_questions_are_answered_by_words(project: Path) -> None:
    reader = index(project)
    assert reader.search(["flux", "capacitor"])[0][0].name == "Engine"
    assert reader.search(["windscreen"])[0][0].path == "README.md"
    assert reader.search(["nowhere"]) == [] and reader.search([]) == []


def test_neighbours_are_the_files_of_the_same_directory(project: Path) -> None:
    reader = index(project)
    assert reader.neighbours("pkg/core.py") == ["pkg/__init__.py"]
    assert set(reader.neighbours("app.ts")) == {"README.md"}


def test_a_second_scan_reads_only_what_changed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index(project).close()
    (project / "pkg" / "core.py").write_text("def fresh():\n    pass\n")
    (project / "app.ts").unlink()
    reader = index(project)
    assert names(reader, "Engine", "render", "fresh") == {"pkg/core.py:fresh"}
    assert reader.search(["flux"]) == []


def test_one_changed_file_is_updated_alone(project: Path) -> None:
    index(project).close()
    (project / "pkg" / "new.py").write_text("def added():\n    pass\n")
    (project / "pkg" / "core.py").unlink()
    Indexer(project, MEGABYTE).update(
        [str(project / "pkg" / "new.py"), str(project / "pkg" / "core.py"), "/elsewhere.py"]
    )
    assert names(Reader(store.path_of(project)), "added", "Engine") == {"pkg/new.py:added"}


def test_ignored_secret_binary_large_and_minified_files_stay_out(project: Path) -> None:
    (project / ".gitignore").write_text("ignored.py\ngenerated/\n")
    (project / ".codefaceignore").write_text("private.py\n")
    (project / "generated").mkdir()
    for name in ("ignored.py", "private.py", "generated/g.py"):
        (project / name).write_text("def hidden(): pass\n")
    (project / "secrets.yaml").write_text("hidden: 1\n")
    (project / "binary.py").write_bytes(b"def hidden(): pass\0\n")
    (project / "large.py").write_text("def hidden(): pass\n" * 1000)
    (project / "mini.js").write_text("function hidden(){};" * 900)
    reader = index(project, 18_500)
    assert names(reader, "hidden") == set()
    assert reader.counts()["files"] == 4


def test_a_changed_ignore_file_takes_files_out_again(project: Path) -> None:
    index(project).close()
    (project / ".gitignore").write_text("pkg/\n")
    Indexer(project, MEGABYTE).update([str(project / ".gitignore")])
    assert names(Reader(store.path_of(project)), "Engine") == set()


def test_loops_of_symbolic_links_are_not_followed(project: Path) -> None:
    (project / "pkg" / "loop").symlink_to(project)
    (project / "again.py").symlink_to(project / "pkg" / "core.py")
    found = [f.path for f in scanning.files(project, IgnoreRules([project]), MEGABYTE)]
    assert sorted(found) == ["README.md", "app.ts", "pkg/__init__.py", "pkg/core.py"]


def test_invalid_utf8_and_mixed_line_ends_are_read(project: Path) -> None:
    (project / "odd.py").write_bytes(b"# caf\xe9\r\ndef odd():\r    pass\n")
    assert names(index(project), "odd") == {"odd.py:odd"}


def test_a_header_is_read_in_the_language_that_it_is_written_in(project: Path) -> None:
    (project / "shape.h").write_text(
        "#pragma once\nnamespace geometry {\nclass Shape {\n public:\n  int area() const { return 1; }\n};\n}\n"
    )
    (project / "plain.h").write_text(
        "/* the class of numbers */\nstruct point { int x; };\nint using_it(int class);\n"
    )
    assert names(index(project), "Shape", "area", "geometry", "point", "using_it") == {
        "shape.h:geometry",
        "shape.h:geometry.Shape",
        "shape.h:Shape.area",
        "plain.h:point",
        "plain.h:using_it",
    }


def test_prose_without_headings_is_found_by_its_words(project: Path) -> None:
    (project / "LICENSE.md").write_text("Permission is hereby granted.\n")
    (project / "empty.md").write_text("")
    assert index(project).search(["permission"])[0][0].path == "LICENSE.md"


def test_one_file_that_fails_costs_only_itself(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = scanning.read

    def failing(root: Path, found: scanning.Found) -> store.FileEntry | None:
        if found.path == "app.ts":
            raise RecursionError
        return real(root, found)

    monkeypatch.setattr(scanning, "read", failing)
    assert names(index(project), "Engine", "render") == {"pkg/core.py:Engine"}


def test_a_file_that_vanishes_while_it_is_indexed_is_left_out(project: Path) -> None:
    found = scanning.Found("gone.py", 1, 1)
    assert scanning.read(project, found) is None


@pytest.mark.parametrize("damage", [b"this is no database at all" * 100, b""])
def test_a_damaged_index_is_built_anew(project: Path, damage: bytes) -> None:
    index(project).close()
    store.path_of(project).write_bytes(damage)
    assert names(index(project), "Engine") == {"pkg/core.py:Engine"}


def test_a_page_damaged_in_the_middle_is_noticed_and_repaired(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(60):
        (project / f"m{number}.py").write_text("".join(f"def f{number}_{i}(): pass\n" for i in range(80)))
    index(project).close()
    file = store.path_of(project)
    data = bytearray(file.read_bytes())
    data[8192:-8192] = os.urandom(len(data) - 16384)
    file.write_bytes(data)
    indexer = Indexer(project, MEGABYTE)
    (project / "m1.py").write_text("def changed(): pass\n")
    indexer._guarded(indexer.scan)
    assert names(Reader(file), "changed", "Engine") == {"m1.py:changed", "pkg/core.py:Engine"}


def test_an_index_of_another_version_is_thrown_away(project: Path) -> None:
    index(project).close()
    with sqlite3.connect(store.path_of(project)) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    assert names(index(project), "Engine") == {"pkg/core.py:Engine"}


def test_a_file_whose_grammar_crashed_is_left_out_with_one_notice(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    indexer = Indexer(project, MEGABYTE)
    core = project / "pkg" / "core.py"
    indexer._marker.write_text(f"{core.stat().st_mtime_ns} pkg/core.py")  # what a crash leaves behind
    indexer.scan()
    reader = Reader(store.path_of(project))
    assert names(reader, "Engine", "render") == {"app.ts:render"}
    assert reader.skipped() == {"pkg/core.py"}
    notices = [line for line in capsys.readouterr().out.splitlines() if "notice" in line]
    assert len(notices) == 1 and "pkg/core.py" in notices[0]
    core.write_text("class Engine:\n    pass\n")  # changed: it gets another chance
    assert names(index(project), "Engine") == {"pkg/core.py:Engine"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without a signal")
@pytest.mark.parametrize("ending", ["SIGTERM", "SIGHUP"])
async def test_a_file_is_not_to_blame_when_the_session_ends_while_it_is_read(
    project: Path, ending: str
) -> None:
    (project / "long.py").write_text("def area(radius):\n    return radius * radius\n\n\n" * 40_000)
    marker = store.marker_of(store.path_of(project))

    def reading() -> str:
        with suppress(FileNotFoundError):
            return marker.read_text()
        return ""

    command = [sys.executable, "-m", "codeface_lsp.workspace.indexing", str(project), "10000"]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    async with asyncio.timeout(60):
        while not reading().endswith(" long.py"):  # noqa: ASYNC110
            await asyncio.sleep(0)
        process.send_signal(getattr(signal, ending))
        told, _ = await process.communicate()
    assert b"ready" not in told  # it was ended on the way
    assert not marker.exists()
    assert "long.py" not in index(project, 10 * MEGABYTE).skipped()


def test_a_workspace_of_too_many_files_is_indexed_in_part(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scanning, "MAX_FILES", 2)
    assert index(project).counts()["files"] == 2
    assert "Only the 2 files" in capsys.readouterr().out


@dataclass
class _Entry:
    """What a lister of directories gives, without a disk."""

    path: str
    name: str
    directory: bool

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        return self.directory


def test_a_workspace_of_200_000_files_is_not_listed_to_its_end(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed: list[Path] = []

    def entries(directory: Path) -> list[_Entry]:
        listed.append(directory)
        if directory == project:
            return [_Entry(str(project / f"d{n}"), f"d{n}", True) for n in range(1000)]
        return [_Entry(str(directory / f"f{n}.py"), f"f{n}.py", False) for n in range(200)]

    def found(root: Path, rules: IgnoreRules, path: Path, max_bytes: int) -> scanning.Found:
        return scanning.Found(path.relative_to(root).as_posix(), 1, 1)

    monkeypatch.setattr(scanning, "MAX_FILES", 1000)
    monkeypatch.setattr(scanning, "_entries", entries)
    monkeypatch.setattr(scanning, "_file", found)
    Indexer(project, MEGABYTE).scan()
    assert len(listed) == 7, "the root, and the directories of 1,000 files and one more"
    assert "Only the 1000 files" in capsys.readouterr().out


def test_a_file_that_changes_while_it_is_indexed_is_read_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scanning.read

    def slow(root: Path, found: scanning.Found) -> store.FileEntry | None:
        entry = real(root, found)
        if found.path == "pkg/core.py":
            (root / found.path).write_text("def written_meanwhile():\n    pass\n")
        return entry

    monkeypatch.setattr(scanning, "read", slow)
    assert names(index(project), "Engine", "written_meanwhile") == {"pkg/core.py:Engine"}
    monkeypatch.undo()
    assert names(index(project), "Engine", "written_meanwhile") == {"pkg/core.py:written_meanwhile"}


def test_a_file_whose_grammar_takes_too_long_is_found_by_its_words(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syntax, "TIME_LIMIT_S", 0.0)
    core = project / "pkg" / "core.py"
    core.write_text(core.read_text() + "# a comment about walruses\n" * 20_000)
    reader = index(project)
    assert names(reader, "Engine") == set()
    assert reader.search(["walruses"])[0][0].path == "pkg/core.py"


async def test_a_place_that_cannot_be_written_gives_one_notice_and_completion_goes_on(project: Path) -> None:
    folder = store.path_of(project).parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file stands where the index should be\n")
    workspace = Workspace([project], Settings())
    await asyncio.wait_for(workspace.start(), 60)
    (notice,) = workspace.notices
    assert notice.startswith("The symbol index cannot be kept")
    file = project / "pkg" / "core.py"
    snapshot = Snapshot(file.as_uri(), str(file), "python", 0, file.read_text())
    parts = workspace.build(snapshot, 20, Budget(1500, 600, 225), EstimatedCounter())
    assert parts.prefix and parts.notices == (notice,)
    await workspace.aclose()


def test_an_index_that_another_window_writes_is_read_all_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index(project).close()
    capsys.readouterr()
    monkeypatch.setattr(indexing, "_LOCK_WAIT_S", 0.0)
    with FileLock(f"{store.path_of(project)}.lock"):
        indexer = Indexer(project, MEGABYTE)
        indexer._guarded(indexer.scan)
    assert json.loads(capsys.readouterr().out)["ready"]["files"] == 4


def test_a_directory_that_cannot_be_written_gives_one_notice(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    indexer = Indexer(project, MEGABYTE)

    def full(_: store.Writer, __: store.FileEntry) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store.Writer, "put", full)
    indexer._guarded(indexer.scan)
    (line,) = capsys.readouterr().out.splitlines()
    assert "database or disk is full" in json.loads(line)["notice"]


async def until(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.fixture
async def client(project: Path) -> object:
    made = IndexClient(project, 1024, pytest.fail)
    running = asyncio.create_task(made.run())
    await asyncio.wait_for(made.ready.wait(), 30)
    yield made
    await made.aclose()
    await running


async def test_the_process_indexes_and_follows_changes(client: IndexClient, project: Path) -> None:
    def found(*wanted: str) -> set[str]:
        nothing: set[str] = set()
        return client.read(lambda reader: names(reader, *wanted), nothing)

    assert found("Engine") == {"pkg/core.py:Engine"}
    (project / "pkg" / "core.py").write_text("def saved():\n    pass\n")
    client.changed([project / "pkg" / "core.py"])
    await until(lambda: found("saved", "Engine") == {"pkg/core.py:saved"})


async def test_two_windows_share_one_index(client: IndexClient, project: Path) -> None:
    second = IndexClient(project, 1024, pytest.fail)
    running = asyncio.create_task(second.run())
    await asyncio.wait_for(second.ready.wait(), 30)
    (project / "new.py").write_text("def by_second():\n    pass\n")
    second.changed([project / "new.py"])
    nothing: set[str] = set()
    await until(
        lambda: client.read(lambda reader: names(reader, "by_second"), nothing) == {"new.py:by_second"}
    )
    await second.aclose()
    await running


async def test_a_killed_process_comes_back(client: IndexClient, project: Path) -> None:
    process = client._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await until(lambda: client._process is not process)
    (project / "new.py").write_text("def after():\n    pass\n")
    client.changed([project / "new.py"])
    nothing: set[str] = set()
    await until(lambda: client.read(lambda reader: names(reader, "after"), nothing) == {"new.py:after"})


async def test_a_reader_that_meets_damage_lets_the_writer_repair_it(
    client: IndexClient, project: Path
) -> None:
    client.read(lambda reader: reader.close(), None)  # nothing of the old file stays cached
    client._reader = None
    client.file.write_bytes(b"this is no database at all" * 400)
    nothing: set[str] = set()
    await until(
        lambda: client.read(lambda reader: names(reader, "Engine"), nothing) == {"pkg/core.py:Engine"}
    )


async def test_without_an_index_there_is_nothing_and_no_error(project: Path) -> None:
    lone = IndexClient(project, 1024, pytest.fail)
    assert lone.read(lambda reader: reader.counts(), {}) == {}
    await lone.aclose()


def test_rare_words_and_words_of_names_count_more(tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    common = "".join(f"def common_{n}():\n    return shared\n\n\n" for n in range(700))
    (root / "common.py").write_text(common)
    (root / "rare.py").write_text(
        "def first():\n    return shared, walrus\n\n\ndef walrus_name():\n    pass\n"
    )
    reader = index(root)
    found = [symbol.name for symbol, _ in reader.search(["shared", "walrus"])]
    assert found[:2] == ["first", "walrus_name"] or found[:2] == ["walrus_name", "first"]
    assert reader.search(["walrus"])[0][0].name == "walrus_name"
    assert reader.search(["shared"]), "a word of very many definitions finds some of them"


def test_an_index_full_of_words_that_lead_nowhere_begins_anew(project: Path) -> None:
    index(project).close()
    writer = store.Writer(store.path_of(project))
    entry = scanning.read(project, scanning.Found("pkg/core.py", 1, 1))
    assert entry is not None
    for _ in range(4000):
        writer.put(entry)
    writer.commit()
    before = writer.known()["pkg/core.py"][0]
    writer.close()
    reader = index(project)
    writer = store.Writer(store.path_of(project))
    assert writer.known()["pkg/core.py"][0] < before
    assert names(reader, "Engine") == {"pkg/core.py:Engine"}
    writer.close()
