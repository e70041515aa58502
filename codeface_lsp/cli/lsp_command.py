"""`codeface lsp`: the language server, over stdio or TCP."""

from __future__ import annotations

from typing import Annotated

import typer

from codeface_lsp import logs
from codeface_lsp.errors import CodeFaceError


def lsp(
    tcp: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Listen here instead of stdio.")
    ] = None,
    stdio: Annotated[bool, typer.Option(help="Serve over stdin and stdout (the default).")] = True,
    debug: Annotated[bool, typer.Option(help="Log every request with its timings, never its text.")] = False,
) -> None:
    """Start the language server (editors do this)."""
    logs.configure("debug" if debug else "info")
    if tcp is None:
        from codeface_lsp.cli.lsp import serve

        raise typer.Exit(serve())
    host, _, port = tcp.rpartition(":")
    if not port.isdigit():
        raise CodeFaceError(f"`--tcp {tcp}` is not HOST:PORT; try `--tcp 127.0.0.1:7777`.")
    from codeface_lsp.server import serve_tcp

    try:
        raise typer.Exit(serve_tcp(host or "127.0.0.1", int(port)))
    except OSError as error:
        raise CodeFaceError(f"Cannot listen on {tcp} ({error.strerror}); choose another port.") from error
