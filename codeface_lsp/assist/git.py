"""What Git knows about the user's changes, without the files that no model may see."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from codeface_lsp.errors import DocumentError
from codeface_lsp.workspace import redaction

_LIMIT_S = 10
_FILE = re.compile(r"^(?=diff --git )", re.MULTILINE)
_DIFF = "diff --no-color --no-renames --no-ext-diff --no-textconv"

Excluded = Callable[[str], str | None]
"""Why no model may see a path, None if it may."""


async def uncommitted(folder: Path, excluded: Excluded) -> str:
    """The diff of what changed below `folder` since the last commit, secrets masked.

    Raises `DocumentError` if there is none.
    """
    return _shown(await _run(folder, f"{_DIFF} --relative HEAD"), folder, excluded, "uncommitted")


async def staged(folder: Path, excluded: Excluded) -> str:
    """The diff of what is staged in the repository around `folder`, secrets masked. Raises `DocumentError`."""
    top = Path((await _run(folder, "rev-parse --show-toplevel")).strip())
    return _shown(await _run(top, f"{_DIFF} --cached"), top, excluded, "staged; stage some with `git add`")


async def subjects(folder: Path) -> str:
    """Subjects of the latest commits, a line each; empty before the first."""
    try:
        return (await _run(folder, "log -8 --no-merges --format=%s")).strip()
    except DocumentError:
        return ""


def _shown(diff: str, folder: Path, excluded: Excluded, what: str) -> str:
    files = [part for part in _FILE.split(diff) if part.strip()]
    if not files:
        raise DocumentError(f"There are no changes {what}.")
    kept = [part for part in files if excluded(str(folder / _path(part))) is None]
    if not kept:
        raise DocumentError("All that changed is in files that no model may see.", kind="excluded")
    return redaction.redact("".join(kept))


def _path(part: str) -> str:
    """The path in `diff --git a/PATH b/PATH`; both are the same without renames."""
    both = part.partition("\n")[0].removeprefix("diff --git ")
    return both[len(both) // 2 + 3 :]


async def _run(folder: Path, command: str) -> str:
    arguments = ["git", "-c", "core.quotePath=false", *command.split()]
    try:
        run = await asyncio.to_thread(
            subprocess.run, arguments, cwd=folder, capture_output=True, timeout=_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DocumentError("Git could not be run here; there is no diff to look at.") from error
    if run.returncode != 0:
        raise DocumentError("There is no Git repository with a commit here; there is no diff.")
    return run.stdout.decode("utf-8", "replace")
