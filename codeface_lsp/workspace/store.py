"""The symbol index on disk: one SQLite file per workspace root, shared by all windows.

WAL lets readers go on while the one writer writes. A file whose content makes no sense to SQLite, or that another
version wrote, is thrown away: everything in it can be found again.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codeface_lsp import paths
from codeface_lsp.context.tags import KINDS, Definition

VERSION = 7
_BUSY_MS = 5_000
CACHE_KB = 16_000
_MOST_SYMBOLS = 65_535

_SCHEMA = """
CREATE TABLE files(
  id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL,
  lines INTEGER NOT NULL, symbols INTEGER NOT NULL);
CREATE TABLE symbols(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind INTEGER NOT NULL,
  parent TEXT NOT NULL, parent_kind INTEGER NOT NULL, start INTEGER NOT NULL, head INTEGER NOT NULL,
  rest INTEGER NOT NULL);
CREATE INDEX symbols_by_name ON symbols(name);
CREATE TABLE skipped(path TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, why TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE vectors(symbol INTEGER PRIMARY KEY, model TEXT NOT NULL, vector BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(text, content='', columnsize=0, detail=none, tokenize="ascii");
"""
"""A file's symbols are numbered one after the other, and the file has the number of its last: so no column says which
file a symbol is of, and lists of words, which hold differences of numbers, are short. For the same reason of size a
definition has the numbers of lines of its `head` and of the `rest`. A number is never used again."""
_PAGE_BYTES = 1024
"""Small, for the dozen tables of which most hold little."""
_WORN = 4
"""An index that so many times as many symbols were written to as it holds has too many words that lead nowhere."""
_WORN_LEAST = 10_000


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition somewhere in the workspace; lines count from 0, `body` is where its body starts."""

    id: int
    name: str
    kind: str
    parent: str
    parent_kind: str | None
    path: str
    start: int
    body: int
    end: int

    @property
    def is_method(self) -> bool:
        """Whether it is a function of a class."""
        return self.kind == "function" and self.parent_kind == "class"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What is written for one file; `texts` are the words of each definition, for full-text search."""

    path: str
    mtime_ns: int
    size: int
    lines: int
    definitions: Sequence[Definition]
    texts: Sequence[str]


def path_of(root: Path) -> Path:
    """Where the index of a workspace root lies."""
    digest = hashlib.blake2b(str(root).encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()
    return paths.cache_dir() / "index" / f"{digest}.sqlite3"


def marker_of(file: Path) -> Path:
    """What names the file that is being read into the index `file`; left behind, that one crashed its reader."""
    return file.with_suffix(".reading")


def delete(file: Path) -> None:
    """Remove an index with its side files."""
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


class Writer:
    """Writes an index; only one process does, see `indexing`. Errors are `sqlite3.Error`."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self._db = self._open()

    def known(self) -> dict[str, tuple[int, int, int]]:
        """`path -> (id, mtime_ns, size)` of every file that is indexed."""
        return {
            row[1]: (row[0], row[2], row[3])
            for row in self._db.execute("SELECT id, path, mtime_ns, size FROM files")
        }

    def renew_if_worn(self) -> None:
        """Begin anew where most of the words are those of files that were written again since."""
        (count,) = self._db.execute("SELECT count(*) FROM symbols").fetchone()
        if self._newest() > _WORN * count + _WORN_LEAST:
            self._db.close()
            delete(self.file)
            self._db = self._open()

    def put(self, entry: FileEntry) -> None:
        """Write what is known of a file, replacing what was."""
        self.remove([entry.path])
        definitions = entry.definitions[:_MOST_SYMBOLS]
        first = self._newest() + 1
        last = first + max(len(definitions), 1) - 1
        self._db.execute(
            "INSERT INTO files VALUES (?,?,?,?,?,?)",
            (last, entry.path, entry.mtime_ns, entry.size, entry.lines, last - first + 1),
        )
        self._db.executemany(
            "INSERT INTO symbols VALUES (?,?,?,?,?,?,?,?)",
            [_row(number, definition) for number, definition in enumerate(definitions, first)],
        )
        self._db.executemany(
            "INSERT INTO words(rowid, text) VALUES (?,?)",
            [(number, text) for number, text in enumerate(entry.texts[:_MOST_SYMBOLS], first) if text],
        )

    def remove(self, names: Iterable[str]) -> None:
        """Forget files. Their words stay until the index is rebuilt, without a symbol to lead to."""
        for name in names:
            row = self._db.execute("SELECT id - symbols, id FROM files WHERE path = ?", (name,)).fetchone()
            if row:
                self._db.execute("DELETE FROM vectors WHERE symbol > ? AND symbol <= ?", row)
                self._db.execute("DELETE FROM symbols WHERE id > ? AND id <= ?", row)
                self._db.execute("DELETE FROM files WHERE id = ?", row[1:])

    def skip(self, path: str, mtime_ns: int, why: str) -> None:
        """Remember not to read a file again while it stays as it is."""
        self._db.execute("INSERT OR REPLACE INTO skipped VALUES (?,?,?)", (path, mtime_ns, why))

    def skipped(self) -> dict[str, int]:
        """`path -> mtime_ns` of the files not to be read."""
        return dict(self._db.execute("SELECT path, mtime_ns FROM skipped").fetchall())

    def put_vectors(self, model: str, vectors: Iterable[tuple[int, bytes]]) -> None:
        """Store embeddings of symbols."""
        self._db.executemany(
            "INSERT OR REPLACE INTO vectors VALUES (?,?,?)",
            [(symbol, model, vector) for symbol, vector in vectors],
        )

    def commit(self) -> None:
        """Make what was written visible to readers."""
        self._db.commit()

    def finish(self, *, new: bool) -> None:
        """Tidy up after a whole scan; pages of an index that is `new` are packed: a sixth of its size."""
        self._db.execute("INSERT INTO words(words) VALUES ('optimize')")
        self._db.commit()
        free, pages = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count")
        )
        if new or free > pages // 10:
            self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _newest(self) -> int:
        """The highest number that any symbol ever had."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence").fetchone()
        return int(row[0]) if row else 0

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError:
            raise  # locked, read-only or a full disk: nothing that deleting would help
        except sqlite3.DatabaseError:
            delete(self.file)
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.file, timeout=_BUSY_MS / 1000)
        try:
            _configure(db)
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError(f"index of version {version}")
            if version == 0:
                if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise sqlite3.DatabaseError("an unfinished index")
                db.executescript(f"BEGIN;{_SCHEMA};PRAGMA user_version={VERSION};COMMIT;")
            db.execute("SELECT count(*) FROM files").fetchone()
        except BaseException:
            db.close()
            raise
        return db


def _configure(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    db.execute(f"PRAGMA cache_size=-{CACHE_KB}")


def _row(number: int, definition: Definition) -> tuple[int | str, ...]:
    head, rest = definition.body - definition.start, definition.end + 1 - definition.body
    kind, parent_kind = KINDS.index(definition.kind), _kind(definition.parent_kind)
    return number, definition.name, kind, definition.parent, parent_kind, definition.start, head, rest


def _kind(kind: str | None) -> int:
    return KINDS.index(kind) if kind in KINDS else -1
