"""Hands a vetted edit to the client: versioned, minimal, one undo step, and never waiting for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.uris import from_fs_path

from codeface_lsp.assist.edits import Proposal
from codeface_lsp.errors import EditRefused
from codeface_lsp.text import edits as text_edits
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer

PATIENCE_S = 10.0
"""Some clients never answer `workspace/applyEdit`; a person who is shown a preview takes longer, and may."""
_PREVIEWED = frozenset({"refactor", "simplify", "write tests"})
_ANNOTATION = "codeface"


async def apply_proposal(ls: CodeFaceServer, proposal: Proposal) -> None:
    """Apply a proposal.

    Raises `EditRefused` if the client says no, or says nothing and the text did not change either. A preview may stay
    open for longer than that: what is said to it later is between the editor and its user.
    """
    previewed = _annotation(ls, proposal)
    if proposal.new_file is not None:
        changes = _new_file(ls, proposal)
    else:
        changes = [_document_edit(ls, proposal.snapshot, proposal.edits, previewed)]
    arrival = _Arrival(proposal)
    with ls.services.edits.following(arrival):
        answered = await apply(ls, f"CodeFace: {proposal.title}", changes, annotated=previewed)
    if not (answered or previewed or arrival.seen):
        raise EditRefused(
            f"The editor did not say within {PATIENCE_S:g} s whether it applied the edit, and the file is as it was; "
            "ask again.",
            kind="unanswered",
        )


class _Arrival:
    """Watches a document for the edit itself: some clients apply it and never say so."""

    def __init__(self, proposal: Proposal) -> None:
        self.snapshot = proposal.snapshot
        self._proposal = proposal
        self._heard = False

    @property
    def seen(self) -> bool:
        """Whether the edit is in the document, or in the new file."""
        file = self._proposal.new_file
        if file is None:
            return self._heard
        return file.is_file() and file.read_bytes().endswith(self._proposal.new_text.encode())

    def changed(self, snapshot: Snapshot, edits: Sequence[TextEdit]) -> None:
        """The document moved on."""
        self.snapshot = snapshot
        before = self._proposal.snapshot
        self._heard |= snapshot.text == text_edits.apply(before.text, self._proposal.edits)

    def closed(self) -> None:
        """The document was closed: nothing more is heard of it."""


async def apply(
    ls: CodeFaceServer,
    label: str,
    changes: Sequence[types.TextDocumentEdit | types.CreateFile],
    *,
    annotated: bool = False,
) -> bool:
    """Send one workspace edit; True if the client applied it, False if it did not answer in time.

    Raises `EditRefused` with the client's own reason if it refused.
    """
    if not _capable(ls):
        raise EditRefused("This editor cannot apply edits that a server proposes; nothing was changed.")
    if _versioned(ls):
        edit = types.WorkspaceEdit(document_changes=list(changes))
        if annotated:
            edit.change_annotations = {_ANNOTATION: types.ChangeAnnotation(label, needs_confirmation=True)}
    else:
        edits = [change for change in changes if isinstance(change, types.TextDocumentEdit)]
        edit = types.WorkspaceEdit(changes={e.text_document.uri: _plain(e.edits) for e in edits})
    sent = asyncio.ensure_future(ls.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit, label)))
    sent.add_done_callback(lambda future: future.cancelled() or future.exception())
    try:
        # A late reply to a cancelled wait would break pygls's read loop, hence the shield.
        result = await asyncio.wait_for(asyncio.shield(sent), PATIENCE_S)
    except TimeoutError:
        return False
    except JsonRpcException as error:
        raise _not_applied(error.message) from error
    if not result.applied:
        raise _not_applied(result.failure_reason)
    return True


def _not_applied(reason: str | None) -> EditRefused:
    because = f" ({reason})" if reason else ""
    return EditRefused(f"The editor did not apply the edit{because}; ask again.", kind="not_applied")


def document_edit(
    ls: CodeFaceServer, snapshot: Snapshot, edits: Sequence[TextEdit]
) -> types.TextDocumentEdit:
    """Edits of an open document at the snapshot's version."""
    return _document_edit(ls, snapshot, edits, annotated=False)


def _document_edit(
    ls: CodeFaceServer, snapshot: Snapshot, edits: Sequence[TextEdit], annotated: bool
) -> types.TextDocumentEdit:
    versioned = types.OptionalVersionedTextDocumentIdentifier(snapshot.uri, snapshot.version)
    return types.TextDocumentEdit(
        versioned, [_text_edit(ls.range(snapshot, e.start, e.end), e.text, annotated) for e in edits]
    )


def _text_edit(place: types.Range, text: str, annotated: bool) -> types.TextEdit | types.AnnotatedTextEdit:
    if annotated:
        return types.AnnotatedTextEdit(annotation_id=_ANNOTATION, range=place, new_text=text)
    return types.TextEdit(place, text)


def _new_file(ls: CodeFaceServer, proposal: Proposal) -> list[types.TextDocumentEdit | types.CreateFile]:
    """A new file with its text, or text at the end of a file that exists (open or not)."""
    assert proposal.new_file is not None
    uri = from_fs_path(str(proposal.new_file)) or proposal.new_file.as_uri()
    open_document = ls.protocol.workspace.open_document(uri)
    if open_document is not None:
        snapshot = open_document.snapshot()
        end = len(snapshot.text)
        if snapshot.text != (proposal.existing or ""):
            raise EditRefused(f"{proposal.new_file.name} has unsaved changes; save it and ask again.")
        return [
            _document_edit(ls, snapshot, [TextEdit(end, end, proposal.new_text)], _annotation(ls, proposal))
        ]
    changes: list[types.TextDocumentEdit | types.CreateFile] = []
    if proposal.existing is None:
        if "create" not in _operations(ls):
            raise EditRefused(
                "This editor cannot create files for a server; create the test file and ask again."
            )
        changes.append(types.CreateFile(uri=uri, options=types.CreateFileOptions(overwrite=False)))
    at_end = Snapshot(uri, str(proposal.new_file), "", 0, proposal.existing or "")
    last = ls.position(at_end, len(at_end.text))
    edit = _text_edit(types.Range(last, last), proposal.new_text, _annotation(ls, proposal))
    identifier = types.OptionalVersionedTextDocumentIdentifier(uri, None)
    return [*changes, types.TextDocumentEdit(identifier, [edit])]


def _annotation(ls: CodeFaceServer, proposal: Proposal) -> bool:
    """Whether the client shows a preview; small edits go in without one, since undo is one step."""
    edit = _edit_capabilities(ls)
    can = edit is not None and edit.change_annotation_support is not None
    return can and _versioned(ls) and proposal.title in _PREVIEWED


def _plain(
    edits: Sequence[types.TextEdit | types.AnnotatedTextEdit | types.SnippetTextEdit],
) -> list[types.TextEdit]:
    return [e for e in edits if isinstance(e, types.TextEdit)]


def _edit_capabilities(ls: CodeFaceServer) -> types.WorkspaceEditClientCapabilities | None:
    workspace = ls.client_capabilities.workspace
    return workspace.workspace_edit if workspace else None


def _capable(ls: CodeFaceServer) -> bool:
    workspace = ls.client_capabilities.workspace
    return bool(workspace and workspace.apply_edit)


def _versioned(ls: CodeFaceServer) -> bool:
    edit = _edit_capabilities(ls)
    return bool(edit and edit.document_changes)


def _operations(ls: CodeFaceServer) -> set[str]:
    edit = _edit_capabilities(ls)
    return {str(getattr(kind, "value", kind)) for kind in (edit.resource_operations if edit else None) or ()}
