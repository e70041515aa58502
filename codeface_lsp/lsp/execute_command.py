"""Commands that start a job owned by the server: answered at once, cancellable, ending in `workspace/applyEdit`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from codeface_lsp.assist.edits import TITLES, EditRequest, TaskName
from codeface_lsp.errors import CodeFaceError, EditRefused
from codeface_lsp.lsp import arguments, chat_document
from codeface_lsp.lsp.apply import apply_proposal
from codeface_lsp.lsp.base import CodeFaceServer  # at run time: pygls resolves the annotations of commands
from codeface_lsp.lsp.work import WorkDone, created, work_done

_EDITS: dict[str, TaskName] = {
    "codeface.fix": "fix",
    "codeface.fixAll": "fix_all",
    "codeface.docstring": "docstring",
    "codeface.tests": "tests",
    "codeface.simplify": "simplify",
    "codeface.completeStub": "complete_stub",
}
_IN_CHAT = {"codeface.explain": "/explain", "codeface.lesson": "/lesson", "codeface.search": "/search"}

Job = Callable[[WorkDone], Awaitable[None]]


def register(server: CodeFaceServer) -> None:
    """Register the commands."""
    for name, task in _EDITS.items():
        _edit_command(server, name, task)
    for name, slash in _IN_CHAT.items():
        _chat_command(server, name, slash)

    @server.command("codeface.refactor")
    def refactor(ls: CodeFaceServer, *given: Any) -> None:
        read = arguments.read(ls, "codeface.refactor", given)
        if read.instruction:
            start_edit(ls, "refactor", read)
        else:  # LSP has no way to ask for a line of text: the chat document is where one is typed
            ls.spawn(chat_document.open_with(ls, "/refactor ", read.place, send=False))


def start_edit(ls: CodeFaceServer, task: TaskName, given: arguments.Given) -> None:
    """Start an edit job."""
    request = EditRequest(task, given.snapshot, given.start, given.end, given.diagnostics, given.instruction)

    async def job(progress: WorkDone) -> None:
        proposal = await ls.services.edits.propose(request)
        progress.report("applying")
        try:
            await apply_proposal(ls, proposal)
        except EditRefused as refusal:
            if refusal.kind != "not_applied" or proposal.new_file is not None:
                raise
            newest = ls.services.edits.rebased(proposal, ls.snapshot(proposal.snapshot.uri))
            if newest is None:
                raise
            await apply_proposal(ls, newest)

    ls.spawn(run(ls, f"CodeFace: {TITLES[task]}", job))


async def run(ls: CodeFaceServer, title: str, job: Job) -> None:
    """Run a job under a cancellable progress; what goes wrong is one sentence for the user."""
    token = await created(ls)
    try:
        async with work_done(ls, token, title) as progress:
            await job(progress)
    except CodeFaceError as error:
        ls.show_warning(error.message)


def _edit_command(server: CodeFaceServer, name: str, task: TaskName) -> None:
    @server.command(name)
    def command(ls: CodeFaceServer, *given: Any) -> None:
        start_edit(ls, task, arguments.read(ls, name, given))


def _chat_command(server: CodeFaceServer, name: str, slash: str) -> None:
    @server.command(name)
    def command(ls: CodeFaceServer, *given: Any) -> None:
        first = arguments.plain(given[0]) if given else {}
        if slash == "/search" and isinstance(first, str | dict) and "uri" not in first:
            question = first if isinstance(first, str) else str(first.get("question") or "")
            ls.spawn(chat_document.open_with(ls, f"/search {question}", None, send=bool(question)))
            return
        read = arguments.read(ls, name, given)
        message = f"{slash} {read.instruction}".strip()
        ls.spawn(
            chat_document.open_with(
                ls, message, read.place, send=slash != "/search" or bool(read.instruction)
            )
        )
