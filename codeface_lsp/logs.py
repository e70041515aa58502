"""Logging: to stderr (the editor keeps it) or to a rotating file, never with the user's text.

pygls logs every body that it sends and the initialize params at INFO, which would put code and keys into the
log, so its loggers stay at WARNING whatever the level of ours.
"""

from __future__ import annotations

import logging
import logging.handlers
from pathlib import Path

_QUIET = ("pygls", "watchfiles", "httpx2", "httpcore2", "uvicorn.access", "asyncio")


def configure(level: str = "info", file: Path | None = None) -> None:
    """Send records of `level` and above to `file` (5 MB, three kept), or to stderr without one."""
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler()
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            file, maxBytes=5_000_000, backupCount=3, encoding="utf-8"
        )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def set_level(level: str) -> None:
    """Change the level of our own loggers; libraries keep theirs."""
    logging.getLogger("codeface_lsp").setLevel(level.upper())
