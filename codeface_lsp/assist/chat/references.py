"""`@file:path`, `@symbol:name`, `@selection`, `@diagnostics`, `@diff` (and plain `@path/to/file`) in a message."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from codeface_lsp.assist import git, target
from codeface_lsp.assist.chat.conversation import Reference
from codeface_lsp.assist.chat.place import Place
from codeface_lsp.assist.target import Room
from codeface_lsp.context import languages
from codeface_lsp.errors import DocumentError
from codeface_lsp.workspace import redaction
from codeface_lsp.workspace.workspace import Workspace

_REFERENCE = re.compile(
    r"(?<![\w@.])@(?P<kind>file|symbol|selection|diagnostics|diff)\b(?::(?P<value>[^\s,;]+))?"
    r"|(?<![\w@.])@(?P<path>[\w.\-]+(?:/[\w.\-]+)*\.\w+)"
)
_MAX_SYMBOLS = 3


@dataclass(frozen=True, slots=True)
class Attachment:
    """A piece of context for the model, and where it comes from."""

    title: str
    text: str
    language: str
    reference: Reference | None = None

    def within(self, room: Room) -> Attachment:
        """The beginning that fits; the title says what was left out."""
        text, omitted = room.cut(self.text)
        if not omitted:
            return self
        reference = self.reference
        if reference is not None:
            reference = replace(reference, last_line=reference.last_line - omitted)
        return replace(
            self,
            title=f"{self.title} (without its last {omitted} lines)",
            text=text,
            reference=reference,
        )


async def attachments(
    message: str, workspace: Workspace, place: Place | None, room: Room
) -> list[Attachment]:
    """What the message refers to, as much of each as fits. Raises `DocumentError` for a reference to nothing."""
    found: list[Attachment] = []
    for match in _REFERENCE.finditer(message):
        value = (match["value"] or match["path"] or "").rstrip(".,")
        match match["kind"]:
            case "selection":
                found.append(selection(workspace, _needed(place, "@selection")))
            case "diagnostics":
                found.append(_diagnostics(workspace, _needed(place, "@diagnostics")))
            case "diff":
                found.append(Attachment("The uncommitted changes", await _diff(workspace), "diff"))
            case "symbol":
                found += await _symbol(workspace, value)
            case _ if value:
                found.append(_file(workspace, value))
            case _:
                raise DocumentError("Say which file after `@file:`, for example `@file:src/main.py`.")
    each = Room(room.tokens // max(1, len(found)), room.counter)
    return [attachment.within(each) for attachment in dict.fromkeys(found)]


def selection(workspace: Workspace, place: Place) -> Attachment:
    """The selected code, or the scope around the cursor."""
    snapshot = place.snapshot
    target.check_allowed(workspace, snapshot)
    start, end = target.of_selection(workspace.tree(snapshot), snapshot, place.start, place.end)
    path = target.shown_path(workspace, snapshot)
    first, last = snapshot.lines.line_at(start) + 1, snapshot.lines.line_at(max(start, end - 1)) + 1
    text = redaction.redact_range(snapshot.text, start, end)
    return Attachment(
        f"`{path}`, lines {first}-{last}", text, snapshot.language, Reference(path, first, last)
    )


def _needed(place: Place | None, name: str) -> Place:
    if place is None:
        raise DocumentError(f"`{name}` needs an open document; ask from an editor window with one.")
    return place


async def _diff(workspace: Workspace) -> str:
    if not workspace.roots:
        raise DocumentError("`@diff` needs an open folder; open one and ask again.")
    return await git.uncommitted(workspace.roots[0], workspace.excluded)


def _diagnostics(workspace: Workspace, place: Place) -> Attachment:
    lines = [problem.text for problem in place.diagnostics] or ["none"]
    return Attachment(
        f"Diagnostics of `{target.shown_path(workspace, place.snapshot)}`", "\n".join(lines), "text"
    )


def _file(workspace: Workspace, name: str) -> Attachment:
    for root in workspace.roots:
        path = (root / name).resolve()
        if path.is_file() and path.is_relative_to(root.resolve()):
            if reason := workspace.excluded(str(root / name)) or workspace.excluded(str(path)):
                raise DocumentError(f"`{name}` is not shown to a model: {reason}.", kind="excluded")
            text = _text_of(path)
            if text is None:
                raise DocumentError(f"`{name}` is not a text file.")
            last = max(1, len(text.splitlines()))
            reference = Reference(workspace.relative(root / name), 1, last)
            return Attachment(f"`{name}`", redaction.redact(text), languages.id_of_path(path), reference)
    raise DocumentError(f"There is no file `{name}` in this workspace.")


def _text_of(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return None if "\0" in text else text


async def _symbol(workspace: Workspace, name: str) -> list[Attachment]:
    if not workspace.indexes:
        raise DocumentError(
            "`@symbol` needs the symbol index; set `context.index` to true and open a folder."
        )
    found = await workspace.definitions(name, _MAX_SYMBOLS)
    if not found:
        raise DocumentError(f"No definition of `{name}` was found in this workspace.")
    return [
        Attachment(
            f"`{name}` in `{each.path}`",
            each.text,
            each.language,
            Reference(each.path, each.first_line, each.last_line),
        )
        for each in found
    ]
