"""Whole files next to one: open beside it, imported by it, or in its folder, for the engine's n-gram index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from codeface_lsp.context import languages
from codeface_lsp.workspace.redaction import redact

MOST_FILES = 12
MOST_CHARS = 128_000
"""Of all of them together: some 40,000 tokens, which an index sorts in a few milliseconds."""
LONGEST_FILE = 48_000
_MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A file by its name relative to the root; `text` is what the editor has, None if only the disk has it."""

    name: str
    file: Path
    text: str | None = None


def nearest(
    path: str,
    root: Path,
    opened: Sequence[tuple[str, str]],
    imported: Iterable[str],
    folder: Iterable[str],
    allowed: Callable[[Path], bool],
) -> list[Neighbour]:
    """The nearest files of the same language first: open in its folder, imported, open elsewhere, in its folder.

    `opened` are names and texts, the most recent first. `allowed` says whether a model may see a file.
    """
    language = languages.of_path(path)
    texts = dict(opened)
    beside = [name for name in texts if _folder(name) == _folder(path)]
    alike = sorted(folder, key=lambda name: -_begin_alike(name, path))
    found: list[Neighbour] = []
    for name in dict.fromkeys([*beside, *imported, *texts, *alike]):
        if len(found) == MOST_FILES:
            break
        if name != path and languages.of_path(name) is language and allowed(root / name):
            found.append(Neighbour(name, root / name, texts.get(name)))
    return found


class NeighbourTexts:
    """Reads neighbours, secrets masked; what did not change since it was read is not read again. Any one thread."""

    def __init__(self) -> None:
        self._masked: dict[str, tuple[object, str]] = {}

    def read(self, neighbours: Sequence[Neighbour]) -> dict[str, str]:
        """Their texts by name, bounded in number and size; those that cannot be read are left out."""
        kept: dict[str, tuple[object, str]] = {}
        room = MOST_CHARS
        for neighbour in neighbours:
            masked = self._masked_text(neighbour)
            if masked is not None and masked[1].strip() and len(masked[1]) <= room:
                kept[neighbour.name] = masked
                room -= len(masked[1])
        self._masked = kept
        return {name: text for name, (_, text) in kept.items()}

    def _masked_text(self, neighbour: Neighbour) -> tuple[object, str] | None:
        try:
            stamp = neighbour.text if neighbour.text is not None else _stamp(neighbour.file)
            known = self._masked.get(neighbour.name)
            if known is not None and known[0] == stamp:
                return known
            text = neighbour.text
            if text is None:
                text = neighbour.file.read_bytes()[:_MOST_BYTES].decode("utf-8", "replace")
        except OSError:
            return None
        return (stamp, redact(text[:LONGEST_FILE])) if "\0" not in text else None


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_size


def _begin_alike(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _folder(name: str) -> str:
    return name.rpartition("/")[0]
