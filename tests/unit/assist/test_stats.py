"""Statistics: counted, kept in SQLite without any text, drawn in the terminal and as a page."""

from __future__ import annotations

import re
import sqlite3
import threading
from pathlib import Path

import pytest

from codeface_lsp.assist import stats_page, stats_report
from codeface_lsp.assist.inline import Suggestion
from codeface_lsp.assist.stats import Statistics, bucket, stats_file
from codeface_lsp.settings import load

SECRET_TEXT = "a_text_nobody_else_should_see"


def statistics(*, enabled: bool = True) -> Statistics:
    return Statistics(load({"stats": {"enabled": enabled}}))


def suggestion(number: int) -> Suggestion:
    return Suggestion(f"id{number}", 0, 0, f"{SECRET_TEXT}\n{number:03}", "engine", "codeface-tiny", -0.5)


def count_some(stats: Statistics) -> None:
    for number in range(10):
        stats.request("python", "codeface-tiny", "engine", 40.0)
        stats.shown(suggestion(number), "python", invoked=False, latency_ms=40.0)
    for _ in range(30):
        stats.request("python", "codeface-tiny", "cache", 0.8)
    stats.accepted("id0", 33, whole=True)
    stats.accepted("id1", 5, whole=False)
    stats.accepted("id2", 0, whole=True)
    stats.rejected("id3")
    stats.rejected("id0")
    stats.kept("id0", 30, 30)
    stats.kept("id0", 300, 11)
    stats.close()


def test_what_is_counted_is_reported() -> None:
    count_some(statistics())
    report = stats_report.load(30)
    assert (report.total.shown, report.total.accepted, report.total.partial, report.total.rejected) == (
        10,
        2,
        1,
        1,
    )
    assert report.total.chars == 33 + 5 + 33
    assert report.total.kept_30s == pytest.approx(30 / 33)
    assert report.total.kept_5min == pytest.approx(11 / 33)
    assert report.total.acceptance == pytest.approx(0.3)
    assert report.cache_share == pytest.approx(0.75)
    assert (report.percentile(0.5), report.percentile(0.95)) == (1, 60)
    assert [group.name for group in report.languages] == ["python"]
    assert [group.name for group in report.models] == ["codeface-tiny"]


def test_no_text_reaches_the_file() -> None:
    count_some(statistics())
    for file in stats_file().parent.glob("stats.sqlite3*"):
        assert SECRET_TEXT.encode() not in file.read_bytes()


def test_switched_off_nothing_is_written() -> None:
    count_some(statistics(enabled=False))
    assert not stats_file().exists()
    assert stats_report.load(30).total.shown == 0


def test_several_windows_write_to_the_same_file() -> None:
    windows = [statistics() for _ in range(4)]
    threads = [
        threading.Thread(target=lambda w=window: [w.request("go", "", "cache", 1.0) for _ in range(500)])
        for window in windows
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for window in windows:
        window.close()
    assert stats_report.load(1).outcomes == {"cache": 2000}


def test_the_file_does_not_grow_with_requests() -> None:
    stats = statistics()
    for _ in range(5000):
        stats.request("python", "m", "cache", 1.5)
    stats.close()
    with sqlite3.connect(stats_file()) as connection:
        assert connection.execute("SELECT count(*) FROM requests").fetchone() == (1,)


def test_a_damaged_file_is_set_aside() -> None:
    stats_file().parent.mkdir(parents=True)
    stats_file().write_bytes(b"this is no database, and it is long enough to be read as one" * 20)
    count_some(statistics())
    assert stats_report.load(30).total.shown == 10
    assert stats_file().with_suffix(".damaged").exists()


def test_a_read_only_place_does_no_harm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    stats = Statistics(load(), tmp_path / "file" / "stats.sqlite3")
    count_some(stats)


def test_the_page_is_self_contained() -> None:
    count_some(statistics())
    html = stats_page.page(stats_report.load(30))
    assert html.count("<svg") == 2
    assert "python" in html and "30%" in html
    assert not re.search(r"<script|src=|href=|url\(|@import|https?://", html)


def test_the_page_without_any_counts() -> None:
    assert "Nothing yet" in stats_page.page(stats_report.load(30))


@pytest.mark.parametrize(("milliseconds", "index"), [(0.2, 0), (1, 0), (1.5, 1), (150, 8), (99_999, 15)])
def test_latency_buckets(milliseconds: float, index: int) -> None:
    assert bucket(milliseconds) == index
