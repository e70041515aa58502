"""`@file:path`, `@symbol:name`, `@selection`, `@diagnostics`, `@diff` (and plain `@path/to/file`) in a message."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codeface_lsp.assist import target
from codeface_lsp.assist.chat.conversation import Reference
from codeface_lsp.assist.chat.place import Place
from codeface_lsp.context import languages
from codeface_lsp.errors import DocumentError
from codeface_lsp.workspace import redaction
from codeface_lsp.workspace.workspace import Workspace

_REFERENCE = re.compile(
    r"(?<![\w@.])@(?P<kind>file|symbol|selection|diagnostics|diff)\b(?::(?P<value>[^\s,;]+))?"
    r"|(?<![\w@.])@(?P<path>[\w.\-]+(?:/[\w.\-]+)*\.\w+)"
)
_MAX_LINES = 400
_MAX_SYMBOLS = 3
_GIT_S = 10


@dataclass(frozen=True, slots=True)
class Attachment:
    """A piece of context for the model, and where it comes from."""

    title: str
    text: str
    language: str
    reference: Reference | None = None


async def attachments(message: str, workspace: Workspace, place: Place | None) -> list[Attachment]:
    """What the message refers to. Raises `DocumentError` for a reference to nothing."""
    found: list[Attachment] = []
    for match in _REFERENCE.finditer(message):
        value = (match["value"] or match["path"] or "").rstrip(".,")
        match match["kind"]:
            case "selection":
                found.append(selection(workspace, _needed(place, "@selection")))
            case "diagnostics":
                found.append(_diagnostics(workspace, _needed(place, "@diagnostics")))
            case "diff":
                found.append(Attachment("The uncommitted changes", await diff(workspace.roots), "diff"))
            case "symbol":
                found += await _symbol(workspace, value)
            case _ if value:
                found.append(_file(workspace, value))
            case _:
                raise DocumentError("Say which file after `@file:`, for example `@file:src/main.py`.")
    return list(dict.fromkeys(found))


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


async def diff(roots: Sequence[Path], *, staged: bool = False) -> str:
    """Git's diff of the first root, secrets masked. Raises `DocumentError` if there is none."""
    command = ["git", "diff", "--no-color", *(["--cached"] if staged else ["HEAD"])]
    folder = roots[0] if roots else Path.cwd()
    try:
        run = await asyncio.to_thread(
            subprocess.run, command, cwd=folder, capture_output=True, timeout=_GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DocumentError("Git could not be run here; there is no diff to look at.") from error
    text = run.stdout.decode("utf-8", "replace")
    if run.returncode != 0:
        raise DocumentError("This workspace is not in a Git repository with a commit; there is no diff.")
    if not text.strip():
        what = "staged; stage some with `git add`" if staged else "uncommitted"
        raise DocumentError(f"There are no changes {what}.")
    return redaction.redact(text)


def _needed(place: Place | None, name: str) -> Place:
    if place is None:
        raise DocumentError(f"`{name}` needs an open document; ask from an editor window with one.")
    return place


def _diagnostics(workspace: Workspace, place: Place) -> Attachment:
    lines = [problem.text for problem in place.diagnostics] or ["none"]
    return Attachment(
        f"Diagnostics of `{target.shown_path(workspace, place.snapshot)}`", "\n".join(lines), "text"
    )


def _file(workspace: Workspace, name: str) -> Attachment:
    for root in workspace.roots:
        path = (root / name).resolve()
        if path.is_file() and path.is_relative_to(root.resolve()):
            if reason := workspace.excluded(str(root / name)):
                raise DocumentError(f"`{name}` is not shown to a model: {reason}.", kind="excluded")
            text = _text_of(path)
            if text is None:
                raise DocumentError(f"`{name}` is not a text file.")
            lines = redaction.redact(text).splitlines()
            shown = min(len(lines), _MAX_LINES)
            more = f" (the first {shown} of {len(lines)} lines)" if shown < len(lines) else ""
            reference = Reference(workspace.relative(root / name), 1, max(1, shown))
            return Attachment(
                f"`{name}`{more}", "\n".join(lines[:shown]), languages.id_of_path(path), reference
            )
    raise DocumentError(f"There is no file `{name}` in this workspace.")


def _text_of(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return None if "\0" in text else text


async def _symbol(workspace: Workspace, name: str) -> list[Attachment]:
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
