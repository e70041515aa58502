"""`codeface chat`: a conversation in the terminal, or one question in a pipe."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from codeface_lsp.assist.chat import ConversationStore, Place, document
from codeface_lsp.assist.chat.slash import COMMANDS
from codeface_lsp.assist.services import Services
from codeface_lsp.cli import session
from codeface_lsp.errors import CodeFaceError

_HELP = "\n".join(f"  /{name:<10} {what}" for name, what in COMMANDS.items()) + "\n  /quit       leave"


def chat(
    message: Annotated[str, typer.Argument(help="One question; without it, a conversation begins.")] = "",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="File the conversation is about.")] = None,
    lines: Annotated[str | None, typer.Option("--lines", "-l", help="Lines of that file, as 10-20.")] = None,
    resume: Annotated[
        str | None, typer.Option("--continue", "-c", help="Id of a conversation, or `last`.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the conversations of this directory.")] = False,
    show: Annotated[str | None, typer.Option(help="Print a conversation: its id, or `last`.")] = None,
) -> None:
    """Chat with the model about the code below the current directory."""
    if list_ or show is not None:
        _print(show)
    else:
        session.run(_chat(message, file, lines, resume))


def _print(conversation_id: str | None) -> None:
    """Print one conversation as Markdown, or the list of them, newest first."""
    store = ConversationStore([Path.cwd()])
    if conversation_id is None:
        for found in store.list():
            print(f"{found.id}  {found.title}")
    else:
        session.print_markdown(document.said(store.get(conversation_id).turns))


async def _chat(message: str, file: Path | None, lines: str | None, resume: str | None) -> None:
    async with session.open_services() as services:
        place = None if file is None else Place(*session.place(file, lines))
        if place is not None:
            services.workspace.opened(place.snapshot)
        conversation_id = services.chat.store.get(resume).id if resume else None
        if message or not sys.stdin.isatty():
            piped = "" if sys.stdin.isatty() else sys.stdin.read().strip()
            await _ask(
                services, "\n\n".join(part for part in (message, piped) if part), conversation_id, place
            )
        else:
            await _converse(services, conversation_id, place)


async def _ask(services: Services, message: str, conversation_id: str | None, place: Place | None) -> None:
    async with aclosing(services.chat.send(message, conversation_id=conversation_id, place=place)) as events:
        await session.show(events)


async def _converse(services: Services, conversation_id: str | None, place: Place | None) -> None:
    """Ask and answer until `/quit` or the end of the input; Ctrl-C stops an answer, and leaves at the prompt."""
    console = Console(highlight=False)
    console.print("[dim]/help lists the commands, /quit leaves.[/dim]")
    conversation = services.chat.store.new()
    if conversation_id is None:
        services.chat.store.save(conversation)
    while (message := _prompt()) not in (None, "/quit", "/exit"):
        if message == "/help":
            console.print(_HELP, markup=False)
        elif message:
            answering = asyncio.ensure_future(
                _ask(services, message, conversation_id or conversation.id, place)
            )
            try:
                with _interrupts(answering):
                    await answering
            except CodeFaceError as error:
                console.print(f"[red]{error.message}[/red]")
            except asyncio.CancelledError:
                if not answering.cancelled():
                    raise
                console.print("[dim]stopped[/dim]")


def _prompt() -> str | None:
    """A line of the user's, None at the end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio's own would wait for the line to end
    try:
        return input("\001\033[1;32m\002you>\001\033[0m\002 ").strip()
    except (EOFError, KeyboardInterrupt):
        return None


@contextmanager
def _interrupts(task: asyncio.Future[None]) -> Iterator[None]:
    """Let Ctrl-C cancel `task` for the block; where the platform cannot, it ends the program."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGINT, task.cancel)
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
