"""Starts the engine by what `initialize` says, while most of the language server is still being imported.

The engine takes longest to come up, and only the settings are needed to start it. Whatever is wrong with the message
or the settings is told later, by the server that reads the same message again.
"""

from __future__ import annotations

import io
import json
import logging
import threading
from typing import BinaryIO

from codeface_lsp import runtime, settings
from codeface_lsp.endpoints import process
from codeface_lsp.endpoints.process import Start
from codeface_lsp.errors import CodeFaceError

_log = logging.getLogger(__name__)
_MOST_BYTES = 4 << 20
"""A longer first message is left to the server."""

_started: Start | None = None


def take() -> Start | None:
    """The engine that was started early, for the first who asks; None if there is none."""
    global _started
    started, _started = _started, None
    return started


class Opening:
    """The client's stream with its first message read ahead in a thread; a reader gets all of it nevertheless."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        # Unbuffered, so that not a byte is taken beyond the first message, and no lock of the stream is held.
        self._raw = io.FileIO(stream.fileno(), closefd=False)
        self._ahead = bytearray()
        self._given: io.BytesIO | None = None
        self._thread = threading.Thread(target=self._begin, name="first-message", daemon=True)
        self._thread.start()

    def readline(self) -> bytes:
        """The next line with its end, b"" at the end of the stream."""
        return self._first().readline() or self._stream.readline()

    def read(self, size: int) -> bytes:
        """The next `size` bytes of a message, fewer at the end of the stream."""
        return self._first().read(size) or self._stream.read(size)

    def _first(self) -> io.BytesIO:
        if self._given is None:
            self._thread.join()
            self._given = io.BytesIO(bytes(self._ahead))
        return self._given

    def _begin(self) -> None:
        global _started
        try:
            message = json.loads(self._message())
            if message["method"] == "initialize":
                _started = start(message["params"].get("initializationOptions"))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, CodeFaceError) as error:
            _log.debug("no early engine: %s", type(error).__name__)

    def _message(self) -> bytes:
        """Read the body of the first message."""
        length = 0
        while line := self._raw.readline():
            self._ahead += line
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
            if not line.strip():
                break
        if length > _MOST_BYTES:
            raise ValueError("too long")
        begin = len(self._ahead)
        while len(self._ahead) < begin + length:
            piece = self._raw.read(begin + length - len(self._ahead))
            if not piece:
                break
            self._ahead += piece
        return bytes(self._ahead[begin:])


def start(options: object) -> Start | None:
    """Start an engine if the settings want the local one and none runs. Raises `CodeFaceError` if it can't be."""
    wanted = settings.load(settings.section(options))
    if wanted.endpoints or not wanted.engine.autostart or runtime.held():
        return None
    return process.start(wanted.engine)
