"""Lines of other files, as they are on disk or, better, as they are in the editor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import overload

from cachetools import LRUCache

from codeface_lsp.workspace.redaction import key_blocks, redact, redact_line

_FILES = 256
_MAX_BYTES = 4_000_000


class MaskedLines(Sequence[str]):
    """Lines of a text; each is searched for secrets when it is first looked at, which of most never happens."""

    def __init__(self, text: str) -> None:
        self._lines = (redact(text) if key_blocks(text) else text).split("\n")

    @property
    def unmasked(self) -> str:
        """The whole text, secrets and all, for what never leaves the process."""
        return "\n".join(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [redact_line(line) for line in self._lines[index]]
        return redact_line(self._lines[index])


class Sources:
    """Files of one root, read when asked for and kept while they do not change; secrets are masked."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[str, tuple[str, MaskedLines | None]] = {}
        self._read: LRUCache[str, tuple[Path, tuple[int, int], MaskedLines]] = LRUCache(_FILES)
        self._current: dict[str, MaskedLines] = {}
        """What was looked at for the question that is being answered."""

    def opened(self, path: str, text: str) -> None:
        """An editor shows `path`, whatever is on disk."""
        known = self._open.get(path)
        if known is None or known[0] is not text:
            self._open[path] = (text, None)

    def closed(self, path: str) -> None:
        """The file on disk counts again."""
        self._open.pop(path, None)

    def look_again(self) -> None:
        """A new question: files that were read may have changed since the one before."""
        self._current.clear()

    def lines(self, path: str) -> Sequence[str]:
        """Lines of a file without their ends; none if it cannot be read."""
        known = self._open.get(path)
        if known is not None:
            text, lines = known
            if lines is None:
                lines = MaskedLines(text)
                self._open[path] = (text, lines)
            return lines
        if path not in self._current:
            found = self._from_disk(path)
            if found is None:
                return []
            self._current[path] = found
        return self._current[path]

    def _from_disk(self, path: str) -> MaskedLines | None:
        known = self._read.get(path)
        file = self._root / path if known is None else known[0]
        try:
            status = file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if known is not None and known[1] == stamp:
                return known[2]
            if status.st_size > _MAX_BYTES:
                return None
            lines = MaskedLines(file.read_bytes().decode("utf-8", "replace"))
        except OSError:
            return None
        self._read[path] = (file, stamp, lines)
        return lines
