"""`codeface-lsp` and `codeface lsp`: the language server.

`codeface-lsp` does not go through typer, so that an editor's start-up pays for nothing but the server.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from codeface_lsp import logs
from codeface_lsp.errors import CodeFaceError


def main() -> None:
    """Console script `codeface-lsp`: serve over stdio; `--version` and `--help` answer and leave."""
    if len(sys.argv) > 1:
        from codeface_lsp.cli.app import main as whole

        sys.argv = [sys.argv[0], "lsp", *sys.argv[1:]]
        whole()
        return
    from codeface_lsp.server import serve_stdio

    logs.configure()
    sys.exit(serve_stdio())


def lsp(
    tcp: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Listen here instead of stdio.")
    ] = None,
    stdio: Annotated[bool, typer.Option(help="Serve over stdin and stdout (the default).")] = True,
    debug: Annotated[bool, typer.Option(help="Log every request with its timings, never its text.")] = False,
) -> None:
    """Start the language server (editors do this)."""
    from codeface_lsp.server import serve_stdio, serve_tcp

    logs.configure("debug" if debug else "info")
    if tcp is None:
        raise typer.Exit(serve_stdio())
    host, _, port = tcp.rpartition(":")
    if not port.isdigit():
        raise CodeFaceError(f"`--tcp {tcp}` is not HOST:PORT; try `--tcp 127.0.0.1:7777`.")
    try:
        raise typer.Exit(serve_tcp(host or "127.0.0.1", int(port)))
    except OSError as error:
        raise CodeFaceError(f"Cannot listen on {tcp} ({error.strerror}); choose another port.") from error
