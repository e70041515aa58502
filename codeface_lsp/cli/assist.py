"""`codeface explain|fix|docstring|tests|refactor|search|lesson|commit`: the editor's functions in the terminal.

Answers stream as Markdown, or as plain text in a pipe. Edits are printed as a unified diff; `--write` applies them.
"""

from __future__ import annotations

import difflib
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.syntax import Syntax

from codeface_lsp.assist.chat import Place
from codeface_lsp.assist.commit import message_for
from codeface_lsp.assist.edits import EditRequest, Problemed, Proposal, TaskName
from codeface_lsp.cli import session
from codeface_lsp.errors import CodeFaceError
from codeface_lsp.text import edits as text_edits

File = Annotated[Path, typer.Argument(help="The file; `-` reads standard input.")]
Lines = Annotated[
    str | None,
    typer.Option(
        "--lines", "-l", help="10-20, or 12 for the function around line 12; default: the whole file."
    ),
]
Write = Annotated[bool, typer.Option("--write", "-w", help="Change the file instead of printing a diff.")]


def explain(
    file: File,
    question: Annotated[str, typer.Argument(help="A question about the code.")] = "",
    lines: Lines = None,
) -> None:
    """Explain code, or answer a question about it."""
    session.run(_explain(file, lines, question))


def fix(
    file: File,
    problem: Annotated[str, typer.Argument(help="What is wrong, for example a compiler's message.")] = "",
    lines: Lines = None,
    write: Write = False,
) -> None:
    """Correct code; reads the problem from the command line."""
    session.run(_edit("fix", file, lines, problem, write))


def docstring(file: File, lines: Lines = None, write: Write = False) -> None:
    """Document a function or class in the file's own style."""
    session.run(_edit("docstring", file, lines, "", write))


def tests(file: File, lines: Lines = None, write: Write = False) -> None:
    """Write tests with the project's framework."""
    session.run(_edit("tests", file, lines, "", write))


def refactor(
    file: File,
    instruction: Annotated[str, typer.Argument(help="What to do.")],
    lines: Lines = None,
    write: Write = False,
) -> None:
    """Rewrite code as told."""
    session.run(_edit("refactor", file, lines, instruction, write))


def search(
    question: Annotated[str, typer.Argument(help="A question about the code below the current directory.")],
) -> None:
    """Answer a question from the workspace, with references to file and lines."""
    session.run(_chat(f"/search {question}", None, None))


def lesson(
    file: File,
    topic: Annotated[str, typer.Argument(help="What to focus on.")] = "",
    lines: Lines = None,
) -> None:
    """Write a lesson about code: a plan, an explanation, exercises."""
    session.run(_chat(f"/lesson {topic}".strip(), file, lines))


def commit(
    use: Annotated[bool, typer.Option("--commit", help="Commit with the message, in git's editor.")] = False,
) -> None:
    """Write a commit message for what is staged."""
    message = session.run(_message())
    if not use:
        sys.stdout.write(message + "\n")
    elif subprocess.run(["git", "commit", "--edit", "-m", message], check=False).returncode != 0:
        raise CodeFaceError("Git did not commit; the message was not used.")


async def _explain(file: Path, lines: str | None, question: str) -> None:
    snapshot, start, end = session.place(file, lines)
    async with session.open_services() as services:
        services.workspace.opened(snapshot)
        async with aclosing(services.explainer.explain(snapshot, start, end, question=question)) as chunks:
            await session.show(chunks)


async def _chat(message: str, file: Path | None, lines: str | None) -> None:
    place = None if file is None else Place(*session.place(file, lines))
    async with session.open_services() as services:
        if place is not None:
            services.workspace.opened(place.snapshot)
        chat = services.chat
        async with aclosing(chat.answer(message, chat.store.new(), place, keep=False)) as events:
            reply = await session.show(events)
        if reply is not None and reply.references and reply.text.count("`") and sys.stdout.isatty():
            named = ", ".join(f"{r.path}:{r.first_line}-{r.last_line}" for r in reply.references)
            Console(highlight=False).print(f"[dim]{named}[/dim]")


async def _edit(task: TaskName, file: Path, lines: str | None, instruction: str, write: bool) -> None:
    snapshot, start, end = session.place(file, lines)
    problems = (Problemed(start, end, instruction),) if task == "fix" and instruction else ()
    request = EditRequest(task, snapshot, start, end, problems, "" if task == "fix" else instruction)
    async with session.open_services() as services:
        services.workspace.opened(snapshot)
        proposal = await session.with_status("thinking", services.edits.propose(request))
    _deliver(proposal, file, write)


def _deliver(proposal: Proposal, file: Path, write: bool) -> None:
    if proposal.new_file is not None:
        target, before = proposal.new_file, proposal.existing or ""
        after = before + proposal.new_text
    else:
        target, before = file, proposal.snapshot.text
        after = text_edits.apply(before, proposal.edits)
    if str(file) == "-" and proposal.new_file is None:
        sys.stdout.write(after)
    elif write:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(after.encode("utf-8"))
        except OSError as error:
            raise CodeFaceError(f"{target} cannot be written ({error.strerror}).") from error
        print(f"changed {target}", file=sys.stderr)
    else:
        _print_diff(before, after, str(target))


def _print_diff(before: str, after: str, name: str) -> None:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    text = "".join(
        line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines
    )
    if sys.stdout.isatty():
        Console().print(Syntax(text, "diff", background_color="default"))
    else:
        sys.stdout.write(text)


async def _message() -> str:
    async with session.open_services() as services:
        work = message_for(services.endpoint, services.settings, Path.cwd())
        return await session.with_status("reading the diff", work)
