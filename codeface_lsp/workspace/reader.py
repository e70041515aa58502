"""Reading the symbol index: definitions by name, by file, by words."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from codeface_lsp.context.tags import KINDS
from codeface_lsp.workspace.scanning import words_of
from codeface_lsp.workspace.store import CACHE_KB, VERSION, Symbol

_TERM = re.compile(r"[^\W_]+")
_MOST_TERMS = 24
_COMMON = 500
"""A word of more definitions than this finds none by itself as long as the question has a rarer one."""
_MOST_VALUES = 900
_FUNCTION, _CLASS = KINDS.index("function"), KINDS.index("class")

_SELECT = (
    "SELECT symbols.id, name, kind, parent, parent_kind, path, start, start + head, start + head + rest - 1"
    " FROM symbols JOIN files ON files.id = (SELECT min(id) FROM files WHERE id >= symbols.id) WHERE"
)


class Reader:
    """Reads an index. Every method raises `sqlite3.Error` if the file is damaged."""

    def __init__(self, file: Path) -> None:
        """Open read-only. Raises `sqlite3.OperationalError` if there is none yet."""
        self._db = sqlite3.connect(
            f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=0.05, check_same_thread=False
        )
        self._db.execute(f"PRAGMA cache_size=-{CACHE_KB}")
        if self._db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            self._db.close()
            raise sqlite3.OperationalError("not an index of this version")
        self._total = self._db.execute("SELECT count(*) FROM symbols").fetchone()[0]

    def version(self) -> int:
        """A number that changes when somebody writes to the index."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def existing(self, candidates: Sequence[str]) -> list[str]:
        """Those of the candidate paths that are indexed, in the order given."""
        found = {row[0] for row in self._select("SELECT path FROM files WHERE path IN ", candidates)}
        return [path for path in candidates if path in found]

    def named(self, names: Sequence[str], limit: int = 400) -> list[Symbol]:
        """Definitions of any of these names."""
        return self._symbols("name IN ", names, f" LIMIT {limit}")

    def classes(self, names: Sequence[str]) -> list[Symbol]:
        """Classes of any of these names."""
        return self._symbols(f"kind = {_CLASS} AND name IN ", names, " LIMIT 2000")

    def plain(self, names: Sequence[str]) -> list[Symbol]:
        """Definitions of any of these names that are no methods."""
        condition = f"NOT (kind = {_FUNCTION} AND parent_kind = {_CLASS}) AND name IN "
        return self._symbols(condition, names, " LIMIT 2000")

    def in_files(self, files: Sequence[str], limit: int = 4000) -> list[Symbol]:
        """Definitions in these files, in the order of their lines."""
        found: list[Symbol] = []
        for before, last in self._select("SELECT id - symbols, id FROM files WHERE path IN ", files):
            span = (before, last, limit - len(found))
            rows = self._db.execute(
                f"{_SELECT} symbols.id > ? AND symbols.id <= ? ORDER BY symbols.id LIMIT ?", span
            )
            found += [_symbol(row) for row in rows]
        return found

    def methods_of(self, classes: Sequence[tuple[str, str]]) -> list[Symbol]:
        """Methods of classes, each given by its file and its name, in the order of their lines."""
        by_file: dict[str, list[str]] = {}
        for path, name in classes:
            by_file.setdefault(path, []).append(name)
        found: list[Symbol] = []
        numbers = self._select("SELECT id - symbols, id, path FROM files WHERE path IN ", list(by_file))
        for before, last, path in numbers:
            found += self._symbols(
                f"symbols.id > {before} AND symbols.id <= {last} AND kind = {_FUNCTION} AND parent IN ",
                by_file[path],
                " ORDER BY symbols.id",
            )
        return found

    def single_methods(self, names: Sequence[str]) -> list[Symbol]:
        """Methods of these names, for the names that one class alone defines a method of."""
        condition = f"kind = {_FUNCTION} AND parent_kind = {_CLASS} AND name IN "
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
        """Definitions that have the most and the rarest of the words, best first, with their scores.

        The score is that of BM25 where every word counts once for a definition (as they are stored): the sum of the
        words' rarities. A word in the name counts twice.
        """
        terms = list(dict.fromkeys(term for word in words for term in _TERM.findall(word.lower())))
        found = {term: self._having(f'"{term}"') for term in terms[:_MOST_TERMS]}
        rare = [term for term, ids in found.items() if 0 < len(ids) < _COMMON]
        if rare:
            either = " OR ".join(f'"{term}"' for term in rare)
            common = [term for term, ids in found.items() if len(ids) >= _COMMON]
            found |= {term: self._having(f'({either}) AND "{term}"') for term in common}
        elif found:
            found[""] = self._having(" AND ".join(f'"{term}"' for term in found))
        rarity = {term: math.log(1 + self._total / (1 + len(ids))) for term, ids in found.items()}
        scores: dict[int, float] = {}
        for term, ids in found.items():
            for id_ in ids:
                scores[id_] = scores.get(id_, 0.0) + rarity[term]
        best = sorted(scores, key=lambda id_: -scores[id_])[: limit * 3]
        ranked = [
            (symbol, scores[symbol.id] + sum(rarity.get(word, 0.0) for word in words_of(symbol.name)))
            for symbol in self._symbols("symbols.id IN ", best)
        ]
        return sorted(ranked, key=lambda pair: -pair[1])[:limit]

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

    def _having(self, match: str) -> list[int]:
        """Some ids of definitions whose words match; with one word, all of them if there are fewer than `_COMMON`."""
        rows = self._db.execute("SELECT rowid FROM words WHERE words MATCH ? LIMIT ?", (match, _COMMON))
        return [row[0] for row in rows]

    def _symbols(self, condition: str, values: Sequence[str] | Sequence[int], tail: str = "") -> list[Symbol]:
        return [_symbol(row) for row in self._select(f"{_SELECT} {condition}", values, tail)]

    def _select(
        self, sql: str, values: Sequence[str] | Sequence[int], tail: str = ""
    ) -> list[tuple[Any, ...]]:
        if not values:
            return []
        values = values[:_MOST_VALUES]
        with closing(self._db.cursor()) as cursor:
            return cursor.execute(f"{sql}({','.join('?' * len(values))}){tail}", tuple(values)).fetchall()


def _symbol(row: Sequence[Any]) -> Symbol:
    id_, name, kind, parent, owner, path, start, body, end = row
    return Symbol(
        id_, name, KINDS[kind], parent, KINDS[owner] if owner >= 0 else None, path, start, body, end
    )
