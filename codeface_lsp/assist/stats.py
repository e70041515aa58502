"""What became of suggestions, for the user alone: counts and times in a local SQLite file, never any text.

Events are collected on the event loop and written in batches by a worker thread, so that no key waits for a disk.
Several windows write to the same file.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from codeface_lsp import paths
from codeface_lsp.assist.inline.types import Suggestion
from codeface_lsp.settings import Settings

log = logging.getLogger(__name__)

FLUSH_S = 1.0
KEEP_DAYS = 400
_BATCH = 10_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS suggestions (
    id TEXT PRIMARY KEY, shown_at INTEGER NOT NULL, language TEXT NOT NULL, model TEXT NOT NULL,
    origin TEXT NOT NULL, invoked INTEGER NOT NULL, latency_ms REAL NOT NULL, chars INTEGER NOT NULL,
    lines INTEGER NOT NULL, outcome TEXT NOT NULL DEFAULT 'shown', accepted_chars INTEGER NOT NULL DEFAULT 0,
    kept_30s INTEGER, kept_5min INTEGER
);
CREATE INDEX IF NOT EXISTS suggestions_by_time ON suggestions (shown_at);
CREATE TABLE IF NOT EXISTS requests (
    day TEXT NOT NULL, language TEXT NOT NULL, model TEXT NOT NULL, outcome TEXT NOT NULL,
    bucket INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (day, language, model, outcome, bucket)
) WITHOUT ROWID;
"""

BUCKETS_MS = (1, 2, 5, 10, 20, 35, 60, 100, 150, 250, 400, 700, 1200, 2000, 5000)
"""Upper bounds of the latency histogram; the last bucket is open."""

_SHOWN = (
    "INSERT OR IGNORE INTO suggestions (id, shown_at, language, model, origin, invoked, latency_ms, chars, lines)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ACCEPTED = (
    "UPDATE suggestions SET accepted_chars = max(accepted_chars, CASE WHEN ? THEN max(?, chars) ELSE ? END),"
    " outcome = CASE WHEN ? OR ? >= chars THEN 'accepted' WHEN outcome = 'accepted' THEN outcome ELSE 'partial' END"
    " WHERE id = ?"
)
_REJECTED = "UPDATE suggestions SET outcome = 'rejected' WHERE id = ? AND outcome = 'shown'"
_KEPT = "UPDATE suggestions SET {column} = coalesce({column}, 0) + ? WHERE id = ?"
_REQUEST = "INSERT INTO requests VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1"


def stats_file() -> Path:
    """Where the statistics lie."""
    return paths.home() / "stats.sqlite3"


def bucket(latency_ms: float) -> int:
    """Index of a latency in the histogram."""
    return sum(1 for bound in BUCKETS_MS if latency_ms > bound)


_Event = tuple[str, tuple[Any, ...]]
"""A statement and its values."""


class Statistics:
    """Counts for the settings' owner; does nothing at all if they are switched off."""

    def __init__(self, settings: Settings, file: Path | None = None) -> None:
        """Nothing is opened until there is something to write."""
        self._file = file
        self._enabled = settings.stats.enabled
        self._broken = False
        self._events: SimpleQueue[_Event | None] = SimpleQueue()
        self._worker: threading.Thread | None = None
        self._closing = threading.Event()

    def use(self, settings: Settings) -> None:
        """Put new settings in force."""
        self._enabled = settings.stats.enabled

    def request(self, language: str, model: str, outcome: str, latency_ms: float) -> None:
        """A request was answered, or deliberately not."""
        day = time.strftime("%Y-%m-%d")
        self._put(_REQUEST, (day, language, model, outcome, bucket(latency_ms)))

    def shown(self, suggestion: Suggestion, language: str, *, invoked: bool, latency_ms: float) -> None:
        """A suggestion went to the editor; typing along it shows the same one again, which counts once."""
        text = suggestion.text
        figures = (invoked, round(latency_ms, 2), len(text), text.count("\n") + 1)
        self._put(
            _SHOWN,
            (suggestion.id, int(time.time()), language, suggestion.model, suggestion.origin, *figures),
        )

    def accepted(self, suggestion_id: str, chars: int, *, whole: bool) -> None:
        """`chars` of it were taken, all in all."""
        self._put(_ACCEPTED, (whole, chars, chars, whole, chars, suggestion_id))

    def rejected(self, suggestion_id: str) -> None:
        """The text went another way."""
        self._put(_REJECTED, (suggestion_id,))

    def kept(self, suggestion_id: str, after_s: int, chars: int) -> None:
        """`chars` of what was taken still stand after so many seconds."""
        column = "kept_30s" if after_s <= 30 else "kept_5min"
        self._put(_KEPT.format(column=column), (chars, suggestion_id))

    def close(self) -> None:
        """Write what is left."""
        self._closing.set()
        self._events.put(None)
        if self._worker is not None:
            self._worker.join(timeout=5)

    def _put(self, statement: str, values: tuple[Any, ...]) -> None:
        if not self._enabled or self._broken or self._closing.is_set():
            return
        self._events.put((statement, values))
        if self._worker is None:
            self._worker = threading.Thread(target=self._write_all, name="codeface-stats", daemon=True)
            self._worker.start()

    def _write_all(self) -> None:
        """Worker thread: sleep until there is an event, then write at most once a second."""
        try:
            with closing(connect(self._file or stats_file())) as connection:
                connection.execute("DELETE FROM suggestions WHERE shown_at < ?", (_days_ago(KEEP_DAYS),))
                connection.commit()
                while (first := self._events.get()) is not None:
                    self._closing.wait(FLUSH_S)
                    self._write(connection, [first, *self._drain()])
        except (sqlite3.Error, OSError) as error:
            log.warning("statistics cannot be written (%s); they are off until the next start", error)
            self._broken = True

    def _drain(self) -> list[_Event]:
        """What is there by now; the end mark stays for the loop to find."""
        events: list[_Event] = []
        while len(events) < _BATCH:
            try:
                event = self._events.get_nowait()
            except Empty:
                break
            if event is None:
                self._events.put(None)
                break
            events.append(event)
        return events

    @staticmethod
    def _write(connection: sqlite3.Connection, events: Iterable[_Event]) -> None:
        with connection:
            for statement, values in events:
                connection.execute(statement, values)


def connect(file: Path) -> sqlite3.Connection:
    """Open the statistics; a file that is not a database is set aside, as it can only be rebuilt."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _open(file)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        log.warning("the statistics file is damaged; it was set aside and a new one begun")
        file.replace(file.with_suffix(".damaged"))
        return _open(file)


def _open(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=5)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(SCHEMA)
    return connection


def _days_ago(days: int) -> int:
    return int(time.time()) - days * 86_400
