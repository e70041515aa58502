"""The project's own formatter on a piece of code, where the user configured one; never in the way."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Sequence

from codeface_lsp.prompting.code_blocks import dedented, reindent

_TIME_LIMIT_S = 5

log = logging.getLogger(__name__)


def formatted(code: str, like: str, command: Sequence[str]) -> str:
    """`code` run through `command` (text on stdin and stdout), laid out like `like`; as it is if that fails."""
    if not command:
        return code
    try:
        run = subprocess.run(
            list(command),
            input=dedented(code).encode(),
            capture_output=True,
            timeout=_TIME_LIMIT_S,
            check=False,
        )
        if run.returncode == 0 and run.stdout.strip():
            return reindent(run.stdout.decode(), like)
        log.warning("the formatter ended with status %d", run.returncode)
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
        log.warning("the formatter could not be run: %s", type(error).__name__)
    return code
