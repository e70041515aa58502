from __future__ import annotations

from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.recent import CHUNKS, RecentEdits


def lines(count: int = 200) -> list[str]:
    return [f"value_{n} = compute({n})" for n in range(count)]


def snapshot(text: list[str], name: str = "a.py", version: int = 0) -> Snapshot:
    return Snapshot(f"file:///{name}", f"/{name}", "python", version, "\n".join(text))


def edit(recent: RecentEdits, text: list[str], line: int, new: str, name: str = "a.py") -> None:
    text[line] = new
    recent.changed(snapshot(text, name), name)


def test_a_chunk_enters_the_ring_when_editing_goes_on_elsewhere() -> None:
    recent, text = RecentEdits(), lines()
    recent.opened(snapshot(text))
    edit(recent, text, 20, "changed_here = 1")
    assert recent.elsewhere("file:///b.py", 0, 0) == []
    edit(recent, text, 150, "and_there = 2")
    (chunk,) = recent.elsewhere("file:///b.py", 0, 0)
    assert "changed_here = 1" in chunk.text and chunk.start <= 20 < chunk.end


def test_edits_close_to_each_other_are_one_chunk() -> None:
    recent, text = RecentEdits(), lines()
    recent.opened(snapshot(text))
    for line in (20, 21, 25):
        edit(recent, text, line, f"edited_{line} = 1")
    recent.flush()
    (chunk,) = recent.elsewhere("file:///b.py", 0, 0)
    assert all(f"edited_{line}" in chunk.text for line in (20, 21, 25))


def test_a_newer_state_of_the_same_place_replaces_the_older() -> None:
    recent, text = RecentEdits(), lines()
    recent.opened(snapshot(text))
    edit(recent, text, 20, "first = 1")
    recent.flush()
    edit(recent, text, 20, "second = 2")
    recent.flush()
    (chunk,) = recent.elsewhere("file:///b.py", 0, 0)
    assert "second = 2" in chunk.text


def test_nearly_equal_chunks_of_different_files_are_kept_once() -> None:
    recent = RecentEdits()
    for name in ("a.py", "b.py"):
        text = lines()
        recent.opened(snapshot(text, name))
        edit(recent, text, 20, "same_edit = compute(1)", name)
        recent.flush()
    assert [chunk.path for chunk in recent.elsewhere("file:///c.py", 0, 0)] == ["b.py"]


def test_what_is_on_the_screen_is_not_shown_again() -> None:
    recent, text = RecentEdits(), lines()
    recent.opened(snapshot(text))
    edit(recent, text, 20, "changed = 1")
    recent.flush()
    assert recent.elsewhere("file:///a.py", 10, 60) == []
    assert recent.elsewhere("file:///a.py", 100, 160) != []


def test_the_ring_is_bounded_and_a_paste_is_no_edit() -> None:
    recent, text = RecentEdits(), lines(3000)
    recent.opened(snapshot(text))
    for line in range(0, 3000, 100):
        edit(recent, text, line, f"entirely_different_{line * 7919} = '{line * 104729}'")
    recent.flush()
    assert len(recent.elsewhere("file:///b.py", 0, 0)) <= CHUNKS
    fresh = RecentEdits()
    fresh.opened(snapshot(lines(2)))
    fresh.changed(snapshot(lines(400)), "a.py")
    fresh.flush()
    assert fresh.elsewhere("file:///b.py", 0, 0) == []


def test_a_closed_file_leaves_its_chunk_behind() -> None:
    recent, text = RecentEdits(), lines()
    recent.opened(snapshot(text))
    edit(recent, text, 20, "changed = 1")
    recent.closed("file:///a.py")
    assert [chunk.path for chunk in recent.elsewhere("file:///b.py", 0, 0)] == ["a.py"]
