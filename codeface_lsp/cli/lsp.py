"""`codeface-lsp`: the language server over stdio.

It does not go through typer, so that an editor's start-up pays for nothing but the server.
"""

from __future__ import annotations

import sys
from typing import BinaryIO, cast

from codeface_lsp import logs


def main() -> None:
    """Console script `codeface-lsp`: serve over stdio; `--version` and `--help` answer and leave."""
    if len(sys.argv) > 1:
        from codeface_lsp.cli.app import main as whole

        sys.argv = [sys.argv[0], "lsp", *sys.argv[1:]]
        whole()
        return
    logs.configure()
    sys.exit(serve())


def serve() -> int:
    """Serve over stdin and stdout; the engine begins to start while the server is imported."""
    from codeface_lsp.endpoints.early import Opening

    opening = cast(BinaryIO, Opening(sys.stdin.buffer))
    from codeface_lsp.server import serve_stdio

    return serve_stdio(opening)
