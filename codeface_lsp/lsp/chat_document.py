"""Chat for editors without a panel: the conversation is a Markdown document that the answer streams into.

`codeface.chat` opens one, the code action "send" sends what stands under the last `## You`. Code blocks of an answer
get "insert", "apply" and "select for copying" actions for the file that the conversation is about.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.uris import from_fs_path

from codeface_lsp import paths
from codeface_lsp.assist.chat import Conversation, Event, Place, Reply, document
from codeface_lsp.assist.chat.document import DocumentStream
from codeface_lsp.assist.edits.tracking import TrackedRange
from codeface_lsp.errors import CodeFaceError, DocumentError, EditRefused
from codeface_lsp.lsp import apply as client_edits
from codeface_lsp.lsp import arguments
from codeface_lsp.lsp.base import CodeFaceServer  # at run time: pygls resolves the annotations of commands
from codeface_lsp.lsp.work import created, work_done
from codeface_lsp.prompting import code_blocks
from codeface_lsp.text.snapshot import Snapshot

SEND = "codeface.chat.send"
_INTERVAL_S = 0.1
"""At most ten edits a second."""
_OPEN_S = 10.0
_ECHO_S = 2.0
_FINAL_TRIES = 20


def register(server: CodeFaceServer) -> None:
    """Register the commands."""

    @server.command("codeface.chat")
    def chat(ls: CodeFaceServer, *given: Any) -> None:
        first = arguments.plain(given[0]) if given else None
        asked = first if isinstance(first, dict) else {"message": first}
        place = arguments.read(ls, "codeface.chat", given).place if "uri" in asked else None
        if asked.get("conversationId"):
            known = ls.services.chat.store.get(str(asked["conversationId"]))
            ls.spawn(_guarded(ls, _open(ls, known, place)))
        else:
            message = str(asked.get("message") or "")
            ls.spawn(open_with(ls, message, place, send=bool(message)))

    @server.command(SEND)
    def send(ls: CodeFaceServer, *given: Any) -> None:
        ls.spawn(_guarded(ls, _answer(ls, arguments.read(ls, SEND, given).snapshot.uri)))

    for mode in ("insert", "apply", "copy"):
        _block_command(server, mode)


def _block_command(server: CodeFaceServer, mode: str) -> None:
    @server.command(f"codeface.chat.{mode}")
    def command(ls: CodeFaceServer, *given: Any) -> None:
        read = arguments.read(ls, f"codeface.chat.{mode}", given)
        block = _block_at(read.snapshot, read.start)
        if block is None:
            raise DocumentError("There is no code block at the cursor.")
        if mode == "copy":
            start = block.start + read.snapshot.text[block.start :].index("\n") + 1
            selected = ls.range(read.snapshot, start, start + len(block.code))
            ls.spawn(_show(ls, read.snapshot.uri, selected))
        else:
            ls.spawn(_guarded(ls, _put(ls, read.snapshot.uri, block.code, mode)))


def is_chat(snapshot: Snapshot) -> bool:
    """Whether a document is one of our chat documents."""
    return snapshot.path is not None and Path(snapshot.path).is_relative_to(paths.home() / "chats")


def actions(ls: CodeFaceServer, snapshot: Snapshot, place: types.Range) -> Iterator[types.CodeAction]:
    """Code actions of a chat document."""
    argument = {"uri": snapshot.uri, "version": snapshot.version, "range": place}
    found = document.sections(snapshot.text)
    if found and found[-1].role == "user" and found[-1].text:
        yield _action("CodeFace: send", SEND, argument)
    if _block_at(snapshot, ls.offset(snapshot, place.start)) is not None:
        if snapshot.uri in ls.services.chat.places:
            yield _action("CodeFace: apply this block to the file", "codeface.chat.apply", argument)
            yield _action("CodeFace: insert this block at the cursor", "codeface.chat.insert", argument)
        yield _action("CodeFace: select this block for copying", "codeface.chat.copy", argument)


async def open_with(ls: CodeFaceServer, message: str, place: Place | None, *, send: bool) -> None:
    """Open a new chat document with a message about `place`, and send it if asked to."""
    await _guarded(ls, _open_with(ls, message, place, send=send))


async def _open_with(ls: CodeFaceServer, message: str, place: Place | None, *, send: bool) -> None:
    uri = await _open(ls, ls.services.chat.store.new(), place, message)
    if send:
        await _opened(ls, uri)
        await _answer(ls, uri)


async def _open(
    ls: CodeFaceServer, conversation: Conversation, place: Place | None, message: str = ""
) -> str:
    """Open the document of a conversation; its URI. One that was saved with all that was said stays as it is."""
    path = ls.services.chat.store.document(conversation.id)
    uri = from_fs_path(str(path)) or path.as_uri()
    if ls.protocol.workspace.open_document(uri) is None:
        saved = path.read_text(encoding="utf-8") if path.is_file() else ""
        if not saved or len(document.turns(document.sections(saved))) < len(conversation.turns):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_text(document.render(conversation.turns, message), encoding="utf-8")
    if place is not None:
        ls.services.chat.places[uri] = place
    await _show(ls, uri)
    return uri


async def _answer(ls: CodeFaceServer, uri: str) -> None:
    """Answer the last message of a chat document, streaming into it."""
    snapshot = ls.snapshot(uri)
    found = document.sections(snapshot.text)
    if not found or found[-1].role != "user" or not found[-1].text:
        raise DocumentError("Write a message under the last `## You` heading first.", kind="empty_message")
    if uri in ls.services.chat.streaming:
        raise DocumentError("An answer is streaming into this document already; wait for it, or cancel it.")
    ls.services.chat.streaming.add(uri)
    try:
        await _stream_answer(ls, snapshot, found)
    finally:
        ls.services.chat.streaming.discard(uri)


async def _stream_answer(ls: CodeFaceServer, snapshot: Snapshot, found: list[document.Section]) -> None:
    uri = snapshot.uri
    place = _refreshed(ls, ls.services.chat.places.get(uri))
    stream = DocumentStream(snapshot, found[-1].start + len(snapshot.text[found[-1].start :].rstrip()))
    stream.add(f"\n\n{document.CODEFACE}\n\n")
    kept = ls.services.chat.store.of_document(snapshot.path)
    conversation = kept or Conversation("")
    conversation.turns = document.turns(found)  # the document may have been edited: it says what was said
    events = ls.services.chat.answer(found[-1].text, conversation, place, keep=kept is not None)
    with ls.services.edits.following(stream):
        writer = asyncio.create_task(_write(ls, stream))
        try:
            async with work_done(ls, await created(ls), "CodeFace answers"):
                await _fill(stream, events)
        except asyncio.CancelledError:
            stream.add("\n\n_(cancelled)_")
            raise
        except CodeFaceError as error:
            stream.add(f"_{error.message}_")
            raise
        finally:
            stream.add(f"\n\n{document.YOU}\n")
            stream.finish()
            await asyncio.shield(writer)


async def _fill(stream: DocumentStream, events: AsyncGenerator[Event]) -> None:
    async with aclosing(events):
        async for event in events:
            if stream.is_closed:
                raise DocumentError(
                    "The chat document was closed, so the answer was stopped; what there is of it is kept."
                )
            if isinstance(event, Reply):
                if event.references:
                    named = ", ".join(f"`{r.path}:{r.first_line}-{r.last_line}`" for r in event.references)
                    stream.add(f"\n\n_Looked at {named}._")
                return
            stream.add(event.text)


async def _write(ls: CodeFaceServer, stream: DocumentStream) -> None:
    """Send what is queued, one edit at a time, until the stream is finished and empty."""
    tries = 0
    while not stream.is_closed and not (stream.is_finished and not stream.rest):
        if tries > _FINAL_TRIES:
            raise EditRefused(
                "The editor did not take the whole answer; it is kept, `codeface chat --show last` prints it."
            )
        await asyncio.sleep(_INTERVAL_S)
        edit = stream.next_edit()
        if edit is None:
            continue
        tries += stream.is_finished
        change = client_edits.document_edit(ls, stream.snapshot, [edit])
        try:
            await client_edits.apply(ls, "CodeFace chat", [change])
        except EditRefused:
            stream.refused()
            continue
        stream.applied()
        await _echoed(stream)


async def _echoed(stream: DocumentStream) -> None:
    """Wait for the didChange of an edit that was applied; clients send it before or soon after their answer."""
    deadline = time.monotonic() + _ECHO_S
    while stream.in_flight and time.monotonic() < deadline:  # noqa: ASYNC110 - the stream knows no event loop
        await asyncio.sleep(0.005)
    stream.settle()


async def _put(ls: CodeFaceServer, uri: str, code: str, mode: str) -> None:
    place = _refreshed(ls, ls.services.chat.places.get(uri))
    if place is None:
        raise DocumentError("This conversation is about no file; open one and start the chat from there.")
    edits = ls.services.edits
    proposal = (
        edits.insert_block(place.snapshot, code, place.end)
        if mode == "insert"
        else edits.apply_block(place.snapshot, code, place.start, place.end)
    )
    await client_edits.apply_proposal(ls, proposal)


def _refreshed(ls: CodeFaceServer, place: Place | None) -> Place | None:
    """The place in its document as it is now; its old text if the document is closed or the place was edited."""
    if place is None:
        return None
    try:
        newest = ls.snapshot(place.snapshot.uri)
        tracked = TrackedRange(place.snapshot, place.start, place.end)
        tracked.move_to(newest)
        tracked.check()
    except DocumentError:
        return place
    except EditRefused:
        size = len(newest.text)
        return Place(newest, min(place.start, size), min(place.end, size))
    return Place(newest, tracked.start, tracked.end, place.diagnostics)


def _block_at(snapshot: Snapshot, offset: int) -> code_blocks.CodeBlock | None:
    return next((b for b in code_blocks.extract(snapshot.text) if b.start <= offset < b.end), None)


def _action(title: str, command: str, argument: dict[str, Any]) -> types.CodeAction:
    return types.CodeAction(
        title, "codeface.chat", command=types.Command(title, command, arguments=[argument])
    )


async def _opened(ls: CodeFaceServer, uri: str) -> None:
    deadline = time.monotonic() + _OPEN_S
    while ls.protocol.workspace.open_document(uri) is None:
        if time.monotonic() > deadline:
            raise DocumentError(
                "The editor did not open the chat document; open it and use “CodeFace: send”."
            )
        await asyncio.sleep(0.02)


async def _show(ls: CodeFaceServer, uri: str, selection: types.Range | None = None) -> None:
    window = ls.client_capabilities.window
    if not (window and window.show_document and window.show_document.support):
        ls.window_show_message(types.ShowMessageParams(types.MessageType.Info, f"CodeFace chat: open {uri}"))
        return
    params = types.ShowDocumentParams(uri, take_focus=True, selection=selection)
    shown = asyncio.ensure_future(ls.window_show_document_async(params))
    with suppress(TimeoutError):  # some clients never answer
        await asyncio.wait_for(asyncio.shield(shown), _OPEN_S)


async def _guarded(ls: CodeFaceServer, work: Awaitable[object]) -> None:
    """What goes wrong in a job is one sentence for the user."""
    try:
        await work
    except CodeFaceError as error:
        ls.show_warning(error.message)
