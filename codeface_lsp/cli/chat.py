"""`codeface chat`: a conversation in the terminal, or one question in a pipe."""

from __future__ import annotations

import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from codeface_lsp.assist.chat import Place
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
) -> None:
    """Chat with the model about the code below the current directory."""
    session.run(_chat(message, file, lines, resume, list_))


async def _chat(message: str, file: Path | None, lines: str | None, resume: str | None, list_: bool) -> None:
    async with session.open_services() as services:
        if list_:
            for found in services.chat.store.list():
                print(f"{found.id}  {found.title}")
            return
        place = None if file is None else Place(*session.place(file, lines))
        if place is not None:
            services.workspace.opened(place.snapshot)
        conversation_id = _resumed(services, resume)
        if message or not sys.stdin.isatty():
            piped = "" if sys.stdin.isatty() else sys.stdin.read().strip()
            await _ask(
                services, "\n\n".join(part for part in (message, piped) if part), conversation_id, place
            )
        else:
            await _converse(services, conversation_id, place)


def _resumed(services: Services, resume: str | None) -> str | None:
    if resume is None:
        return None
    if resume != "last":
        return services.chat.store.get(resume).id
    found = services.chat.store.list()
    if not found:
        raise CodeFaceError("There is no conversation here yet.")
    return found[0].id


async def _ask(
    services: Services, message: str, conversation_id: str | None, place: Place | None
) -> str | None:
    """Ask and show the answer; return the conversation's id."""
    events = services.chat.send(message, conversation_id=conversation_id, place=place)
    async with aclosing(events):
        reply = await session.show(events)
    return reply.conversation_id if reply is not None else conversation_id


async def _converse(services: Services, conversation_id: str | None, place: Place | None) -> None:
    console = Console(highlight=False)
    console.print("[dim]/help lists the commands, /quit leaves.[/dim]")
    while True:
        try:
            message = console.input("[bold green]you>[/bold green] ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if message in ("/quit", "/exit"):
            return
        if message == "/help":
            console.print(_HELP, markup=False)
        elif message:
            try:
                answered = await _ask(services, message, conversation_id, place)
            except CodeFaceError as error:
                console.print(f"[red]{error.message}[/red]")
            else:
                conversation_id = None if message == "/clear" else answered
