"""The lock and the file by which processes of one user find the engine."""

from __future__ import annotations

import stat
from dataclasses import replace

import pytest

from codeface_lsp import runtime
from codeface_lsp.runtime import Runtime

RUNTIME = Runtime(pid=1234, port=4321, token="secret", version="1.0")


def test_what_was_written_is_read_by_its_owner_alone() -> None:
    runtime.write(RUNTIME)
    assert runtime.read() == RUNTIME
    assert RUNTIME.url == "http://127.0.0.1:4321"
    assert stat.S_IMODE(runtime.runtime_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(runtime.runtime_file().parent.stat().st_mode) == 0o700
    assert list(runtime.runtime_file().parent.glob("engine-1.json?*")) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": 1, "surprise": 2}'])
def test_a_broken_file_is_no_engine(content: str) -> None:
    runtime.runtime_file().write_text(content)
    assert runtime.read() is None


def test_the_file_is_removed_by_the_process_that_it_names_alone() -> None:
    runtime.write(RUNTIME)
    runtime.remove(999)
    assert runtime.read() == RUNTIME
    runtime.write(replace(RUNTIME, pid=999))
    runtime.remove(999)
    assert runtime.read() is None
    runtime.remove(999)


def test_the_lock_tells_whether_an_engine_lives() -> None:
    assert not runtime.held()
    lock = runtime.lock()
    with lock:
        assert runtime.held()
    assert not runtime.held()
