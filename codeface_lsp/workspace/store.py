"""The symbol index on disk: one SQLite file per workspace root, shared by all windows.

WAL lets readers go on while the one writer writes. A file whose content makes no sense to SQLite, or that another
version wrote, is thrown away: everything in it can be found again.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codeface_lsp import paths
from codeface_lsp.context.tags import KINDS, Definition

VERSION = 4
_BUSY_MS = 5_000
_CACHE_KB = 16_000
_BITS = 16
"""A symbol's id is its file's id, shifted by so many bits, plus its number in the file: no index by file is needed."""
_MOST_SYMBOLS = (1 << _BITS) - 1
_TERM = re.compile(r"[^\W_]+")

_SCHEMA = """
CREATE TABLE files(
  id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL,
  lines INTEGER NOT NULL);
CREATE TABLE symbols(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind INTEGER NOT NULL,
  parent TEXT NOT NULL, parent_kind INTEGER NOT NULL, start INTEGER NOT NULL, body INTEGER NOT NULL,
  end INTEGER NOT NULL);
CREATE INDEX symbols_by_name ON symbols(name);
CREATE TABLE skipped(path TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, why TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE vectors(symbol INTEGER PRIMARY KEY, model TEXT NOT NULL, vector BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(text, content='', detail=none, tokenize="ascii");
"""


_SELECT = (
    "SELECT symbols.id, name, kind, parent, parent_kind, files.path, start, body, end"
    f" FROM symbols JOIN files ON files.id = symbols.id >> {_BITS} WHERE"
)


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

    def put(self, entry: FileEntry) -> None:
        """Write what is known of a file, replacing what was."""
        self.remove([entry.path])
        cursor = self._db.execute(
            "INSERT INTO files(path, mtime_ns, size, lines) VALUES (?,?,?,?)",
            (entry.path, entry.mtime_ns, entry.size, entry.lines),
        )
        first = (cursor.lastrowid or 0) << _BITS
        self._db.executemany(
            "INSERT INTO symbols(id, name, kind, parent, parent_kind, start, body, end) VALUES (?,?,?,?,?,?,?,?)",
            [
                (
                    first + n,
                    d.name,
                    KINDS.index(d.kind),
                    d.parent,
                    _kind(d.parent_kind),
                    d.start,
                    d.body,
                    d.end,
                )
                for n, d in enumerate(entry.definitions[:_MOST_SYMBOLS])
            ],
        )
        self._db.executemany(
            "INSERT INTO words(rowid, text) VALUES (?,?)",
            [(first + n, text) for n, text in enumerate(entry.texts[:_MOST_SYMBOLS]) if text],
        )

    def remove(self, names: Iterable[str]) -> None:
        """Forget files. Their words stay until the index is rebuilt, without a symbol to lead to."""
        for name in names:
            row = self._db.execute("SELECT id FROM files WHERE path = ?", (name,)).fetchone()
            if row:
                span = (row[0] << _BITS, (row[0] + 1) << _BITS)
                self._db.execute("DELETE FROM vectors WHERE symbol >= ? AND symbol < ?", span)
                self._db.execute("DELETE FROM symbols WHERE id >= ? AND id < ?", span)
                self._db.execute("DELETE FROM files WHERE id = ?", row)

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

    def finish(self) -> None:
        """Tidy up after a whole scan."""
        self._db.execute("INSERT INTO words(words) VALUES ('optimize')")
        self._db.commit()
        free, pages = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count")
        )
        if free > pages // 10:
            self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

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


class Reader:
    """Reads an index. Every method raises `sqlite3.Error` if the file is damaged."""

    def __init__(self, file: Path) -> None:
        """Open read-only. Raises `sqlite3.OperationalError` if there is none yet."""
        self._db = sqlite3.connect(
            f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=0.05, check_same_thread=False
        )
        self._db.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
        if self._db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            self._db.close()
            raise sqlite3.OperationalError("not an index of this version")

    def existing(self, candidates: Sequence[str]) -> list[str]:
        """Those of the candidate paths that are indexed, in the order given."""
        found = {row[0] for row in self._select("SELECT path FROM files WHERE path IN ", candidates)}
        return [path for path in candidates if path in found]

    def named(self, names: Sequence[str], limit: int = 400) -> list[Symbol]:
        """Definitions of any of these names."""
        return self._symbols("name IN ", names, f" LIMIT {limit}")

    def in_files(self, files: Sequence[str], limit: int = 4000) -> list[Symbol]:
        """Definitions in these files, in the order of their lines."""
        found: list[Symbol] = []
        for (file,) in self._select("SELECT id FROM files WHERE path IN ", files):
            span = (file << _BITS, (file + 1) << _BITS, limit - len(found))
            rows = self._db.execute(
                f"{_SELECT} symbols.id >= ? AND symbols.id < ? ORDER BY symbols.id LIMIT ?", span
            )
            found += [_symbol(row) for row in rows]
        return found

    def methods_of(self, classes: Sequence[tuple[str, str]]) -> list[Symbol]:
        """Methods of classes, each given by its file and its name, in the order of their lines."""
        by_file: dict[str, list[str]] = {}
        for path, name in classes:
            by_file.setdefault(path, []).append(name)
        function, found = KINDS.index("function"), []
        for file, path in self._select("SELECT id, path FROM files WHERE path IN ", list(by_file)):
            found += self._symbols(
                f"symbols.id >= {file << _BITS} AND symbols.id < {(file + 1) << _BITS} AND kind = {function}"
                " AND parent IN ",
                by_file[path],
                " ORDER BY symbols.id",
            )
        return found

    def single_methods(self, names: Sequence[str]) -> list[Symbol]:
        """Methods of these names, for the names that one class alone defines a method of."""
        function, owner = KINDS.index("function"), KINDS.index("class")
        condition = f"kind = {function} AND parent_kind = {owner} AND name IN "
        return self._symbols(condition, names, " GROUP BY name HAVING count(*) = 1")

    def neighbours(self, path: str, limit: int = 50) -> list[str]:
        """Files of the same directory."""
        directory = path.rpartition("/")[0]
        low = f"{directory}/" if directory else ""
        rows = self._db.execute(
            "SELECT path FROM files WHERE path >= ? AND path < ? AND instr(substr(path, ?), '/') = 0"
            " AND path != ? LIMIT ?",
            (low, low[:-1] + "0" if low else "\U0010ffff", len(low) + 1, path, limit),
        )
        return [row[0] for row in rows]

    def search(self, words: Sequence[str], limit: int = 20) -> list[tuple[Symbol, float]]:
        """Definitions whose words answer a question best (BM25), best first, with their scores."""
        terms = dict.fromkeys(term for word in words for term in _TERM.findall(word.lower()))
        if not terms:
            return []
        question = " OR ".join(f'"{term}"' for term in terms)
        rows = self._db.execute(
            "SELECT rowid, bm25(words) FROM words WHERE words MATCH ? ORDER BY bm25(words) LIMIT ?",
            (question, limit * 2),
        ).fetchall()
        scores = {row[0]: -row[1] for row in rows}
        found = {symbol.id: symbol for symbol in self._symbols("symbols.id IN ", list(scores))}
        return [(found[id_], score) for id_, score in scores.items() if id_ in found][:limit]

    def by_id(self, ids: Sequence[int]) -> list[Symbol]:
        """Definitions by their ids."""
        return self._symbols("symbols.id IN ", ids)

    def without_vector(self, model: str, after: int, limit: int) -> list[Symbol]:
        """Functions, classes and headings with an id above `after` that have no embedding of this model yet."""
        kinds = ",".join(str(KINDS.index(kind)) for kind in ("function", "class", "module"))
        rows = self._db.execute(
            f"{_SELECT} symbols.id > ? AND kind IN ({kinds}) AND NOT EXISTS"
            " (SELECT 1 FROM vectors WHERE symbol = symbols.id AND model = ?) ORDER BY symbols.id LIMIT ?",
            (after, model, limit),
        )
        return [_symbol(row) for row in rows]

    def vectors(self, model: str) -> tuple[list[int], bytes]:
        """Ids of the embedded symbols and their vectors, one after the other."""
        rows = self._db.execute("SELECT symbol, vector FROM vectors WHERE model = ?", (model,)).fetchall()
        return [row[0] for row in rows], b"".join(row[1] for row in rows)

    def skipped(self) -> set[str]:
        """Files that are not read because their grammar failed on them."""
        return {row[0] for row in self._db.execute("SELECT path FROM skipped WHERE why = 'crash'")}

    def counts(self) -> dict[str, int]:
        """How many files, lines and symbols there are."""
        files, lines = self._db.execute("SELECT count(*), coalesce(sum(lines), 0) FROM files").fetchone()
        symbols = self._db.execute("SELECT count(*) FROM symbols").fetchone()[0]
        return {"files": files, "lines": lines, "symbols": symbols}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _symbols(self, condition: str, values: Sequence[str] | Sequence[int], tail: str = "") -> list[Symbol]:
        return [_symbol(row) for row in self._select(f"{_SELECT} {condition}", values, tail)]

    def _select(
        self, sql: str, values: Sequence[str] | Sequence[int], tail: str = ""
    ) -> list[tuple[Any, ...]]:
        if not values:
            return []
        values = values[:900]
        with closing(self._db.cursor()) as cursor:
            return cursor.execute(f"{sql}({','.join('?' * len(values))}){tail}", tuple(values)).fetchall()


def _symbol(row: Sequence[Any]) -> Symbol:
    id_, name, kind, parent, owner, path, start, body, end = row
    return Symbol(
        id_, name, KINDS[kind], parent, KINDS[owner] if owner >= 0 else None, path, start, body, end
    )


def _configure(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    db.execute(f"PRAGMA cache_size=-{_CACHE_KB}")


def _kind(kind: str | None) -> int:
    return KINDS.index(kind) if kind in KINDS else -1
