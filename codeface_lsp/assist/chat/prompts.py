"""From what the user typed to what the model is sent: slash commands, references, passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codeface_lsp.assist import search, target
from codeface_lsp.assist.chat import references
from codeface_lsp.assist.chat.conversation import Reference
from codeface_lsp.assist.chat.place import Place
from codeface_lsp.assist.chat.references import Attachment
from codeface_lsp.assist.chat.slash import Slash
from codeface_lsp.assist.edits import test_files
from codeface_lsp.assist.edits.tasks import EditRequest, Problemed, TaskName, variables
from codeface_lsp.assist.target import Room
from codeface_lsp.context.parts import TokenCounter
from codeface_lsp.errors import DocumentError
from codeface_lsp.prompting import templates
from codeface_lsp.workspace.questions import Answer, Embedder
from codeface_lsp.workspace.workspace import Workspace

_DEFINITION_TOKENS = 400
_EDIT_TASKS: dict[str, TaskName] = {"fix": "fix", "doc": "docstring", "refactor": "refactor"}


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text for the model, and what it was made from."""

    text: str
    references: tuple[Reference, ...] = ()
    passages: tuple[Answer, ...] = ()


async def plain(message: str, workspace: Workspace, place: Place | None, room: Room) -> Prompt:
    """A message without a slash command, with what it refers to attached."""
    attached = await references.attachments(message, workspace, place, room)
    return Prompt(templates.render("chat", message=message, attachments=attached), _places(attached))


async def slash(
    command: Slash,
    workspace: Workspace,
    place: Place | None,
    room: Room,
    embedder: Embedder | None = None,
) -> Prompt:
    """The prompt of a slash command. Raises `DocumentError` if it lacks a selection, a question or an answer."""
    if command.name == "search":
        if not command.text:
            raise DocumentError("Put a question behind `/search`.")
        found = await search.passages(workspace, command.text, embedder)
        text = templates.render("search", question=command.text, passages=found)
        places = tuple(Reference(p.path, p.first_line, p.last_line) for p in found)
        return Prompt(text, places, tuple(found))
    if place is None:
        raise DocumentError(f"`/{command.name}` needs an open document; ask from an editor window with one.")
    if command.name == "refactor" and not command.text:
        raise DocumentError("Say behind `/refactor` what to do, for example `/refactor split this function`.")
    attached = await references.attachments(
        command.text, workspace, place, Room(room.tokens // 2, room.counter)
    )
    selected = references.selection(workspace, place)
    selected = selected.within(Room(room.tokens // 2 if attached else room.tokens, room.counter))
    text = _code_prompt(command, workspace, place, selected, room.counter)
    if attached:
        text = templates.render("chat", message=text, attachments=attached)
    return Prompt(text, _places([selected, *attached]))


def _code_prompt(
    command: Slash, workspace: Workspace, place: Place, selected: Attachment, counter: TokenCounter
) -> str:
    snapshot = place.snapshot
    path = target.shown_path(workspace, snapshot)
    context = target.definitions(workspace, snapshot, place.end, _DEFINITION_TOKENS, counter)
    common = {"path": path, "language": snapshot.language, "code": selected.text, "context": context}
    match command.name:
        case "explain":
            return templates.render("explain", **common, question=command.text, facts="")
        case "lesson":
            return templates.render("lesson", **common, topic=command.text)
        case "tests":
            source = Path(snapshot.path) if snapshot.path else Path(path)
            file = test_files.find(source, workspace, snapshot.language)
            return templates.render("tests", **common, **file.variables(workspace), existing="")
        case _:
            request = EditRequest(
                _EDIT_TASKS[command.name],
                snapshot,
                place.start,
                place.end,
                _inside(place, selected),
                command.text,
            )
            name, values = variables(request, selected.text, path, context)
            return templates.render(name, **values)


def _inside(place: Place, selected: Attachment) -> Sequence[Problemed]:
    """The diagnostics of the selected code; all that were given if none of them lies there."""
    lines, where = place.snapshot.lines, selected.reference
    inside = [
        problem
        for problem in place.diagnostics
        if where and where.first_line <= lines.line_at(problem.start) + 1 <= where.last_line
    ]
    return inside or place.diagnostics


def _places(attached: Sequence[Attachment]) -> tuple[Reference, ...]:
    return tuple(dict.fromkeys(a.reference for a in attached if a.reference is not None))
