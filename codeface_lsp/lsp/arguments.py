"""What commands are given, `[{uri, range, version?, diagnostics?, instruction?}]`.

Tolerant of what clients make of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codeface_lsp.assist.chat import Place
from codeface_lsp.assist.edits import Problemed
from codeface_lsp.errors import CodeFaceError
from codeface_lsp.text.snapshot import Snapshot

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer


@dataclass(frozen=True, slots=True)
class Given:
    """A command's argument, in offsets of the snapshot."""

    snapshot: Snapshot
    start: int
    end: int
    diagnostics: tuple[Problemed, ...]
    instruction: str

    @property
    def place(self) -> Place:
        """The same as a chat's place."""
        return Place(self.snapshot, self.start, self.end, self.diagnostics)


def read(ls: CodeFaceServer, name: str, arguments: tuple[Any, ...]) -> Given:
    """Read a command's argument. Raises `CodeFaceError` if it lacks the document or the document moved on."""
    given = plain(arguments[0]) if arguments else None
    if isinstance(given, Mapping) and isinstance(given.get("textDocument"), Mapping):
        given = {**given, "uri": given["textDocument"].get("uri")}
    if not isinstance(given, Mapping) or not isinstance(given.get("uri"), str):
        raise CodeFaceError(
            f'`{name}` needs {{"uri": ..., "range": ...}} as its argument.', kind="invalid_argument"
        )
    snapshot = ls.snapshot(given["uri"])
    version = given.get("version")
    if isinstance(version, int) and version != snapshot.version:
        raise CodeFaceError(
            "The document changed since this was offered; ask for actions again.", kind="stale"
        )
    start, end = span(ls, snapshot, given.get("range"))
    problems = tuple(
        problem(ls, snapshot, d) for d in given.get("diagnostics") or () if isinstance(d, Mapping)
    )
    return Given(snapshot, start, end, problems, str(given.get("instruction") or ""))


def span(ls: CodeFaceServer, snapshot: Snapshot, given: Any) -> tuple[int, int]:
    """Offsets of a JSON range, clamped to the document; the document's start without one."""
    match given:
        case {
            "start": {"line": int(line), "character": int(character)},
            "end": {"line": int(last), "character": int(last_character)},
        }:
            start = snapshot.lines.offset(line, character, ls.encoding)
            end = snapshot.lines.offset(last, last_character, ls.encoding)
            return min(start, end), max(start, end)
    return 0, 0


def problem(ls: CodeFaceServer, snapshot: Snapshot, given: Mapping[str, Any]) -> Problemed:
    """A diagnostic in one line: place, severity, source, code, message, related information."""
    start, end = span(ls, snapshot, given.get("range"))
    message = given.get("message", "")
    if isinstance(message, Mapping):
        message = message.get("value", "")
    words = [f"line {snapshot.lines.line_at(start) + 1}:"]
    named = [str(given[key]) for key in ("source", "code") if given.get(key)]
    words += [f"[{' '.join(named)}]"] if named else []
    words.append(" ".join(str(message).split()))
    for related in given.get("relatedInformation") or ():
        if isinstance(related, Mapping) and related.get("message"):
            words.append(f"({' '.join(str(related['message']).split())})")
    return Problemed(start, end, " ".join(words))


def plain(value: Any) -> Any:
    """JSON values of what pygls may have made into objects."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key.lstrip("_"): plain(item) for key, item in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
