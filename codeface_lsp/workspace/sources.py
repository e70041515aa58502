"""Lines of other files, as they are on disk or, better, as they are in the editor."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from codeface_lsp.workspace.redaction import redact

_FILES = 256
_MAX_BYTES = 4_000_000


class Sources:
    """Files of one root, read when asked for and kept while they do not change; secrets are masked."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[str, tuple[str, list[str] | None]] = {}
        self._read: OrderedDict[str, tuple[tuple[int, int], list[str]]] = OrderedDict()

    def opened(self, path: str, text: str) -> None:
        """An editor shows `path`, whatever is on disk."""
        known = self._open.get(path)
        if known is None or known[0] is not text:
            self._open[path] = (text, None)

    def closed(self, path: str) -> None:
        """The file on disk counts again."""
        self._open.pop(path, None)

    def lines(self, path: str) -> list[str]:
        """Lines of a file without their ends; none if it cannot be read."""
        known = self._open.get(path)
        if known is not None:
            text, lines = known
            if lines is None:
                lines = redact(text).split("\n")
                self._open[path] = (text, lines)
            return lines
        return self._from_disk(path)

    def _from_disk(self, path: str) -> list[str]:
        file = self._root / path
        try:
            status = file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            known = self._read.get(path)
            if known is not None and known[0] == stamp:
                self._read.move_to_end(path)
                return known[1]
            if status.st_size > _MAX_BYTES:
                return []
            lines = redact(file.read_bytes().decode("utf-8", "replace")).split("\n")
        except OSError:
            return []
        self._read[path] = (stamp, lines)
        if len(self._read) > _FILES:
            self._read.popitem(last=False)
        return lines
