"""A terminal that a test types into and looks at: tmux, on a socket of its own."""

from __future__ import annotations

import html
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import pyte

from tests.editors.conftest import ARTIFACTS, TIMEOUT, Editor, find_editor, until

COLUMNS, ROWS = 110, 32
PALETTE = {
    "black": "#1b1f27",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": "#dcdfe4",
    "default": "#dcdfe4",
}


class Terminal:
    """One program in one tmux window."""

    def __init__(self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> None:
        self._editor: Editor = find_editor("tmux")
        self._socket = Path(tempfile.mkdtemp(prefix="cf-t")) / "s"
        self._command = list(command)
        self._cwd = cwd
        self._environment = {**environment, **self._editor.environment}

    def __enter__(self) -> Self:
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(self._cwd), "--", *self._command)
        self._tmux("set", "-g", "default-terminal", "tmux-256color")
        self._tmux("set", "-g", "remain-on-exit", "on")
        self._tmux("set", "-sg", "escape-time", "10")
        self._tmux("set", "-g", "status", "off")
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")
        shutil.rmtree(self._socket.parent, ignore_errors=True)

    def type(self, text: str) -> None:
        """Type text as it stands."""
        self._tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: Escape, Enter, C-n, Tab, ..."""
        self._tmux("send-keys", *keys)

    def text(self) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p")

    def shows(self, wanted: str, again: Callable[[], object] | None = None) -> str:
        """Wait until `wanted` is on the screen; return that screen. `again` asks for it once more now and then."""

        def seen() -> str:
            text = self.text()
            return text if wanted in text else ""

        return until(seen, lambda: f"{wanted!r} on the screen:\n{self.text()}", again=again)

    def picture(self, name: str) -> None:
        """Keep the screen, with its colours, as HTML among the artefacts."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        (ARTIFACTS / f"{name}.html").write_text(
            _page(self._tmux("capture-pane", "-p", "-e")), encoding="utf-8"
        )

    def _tmux(self, *arguments: str) -> str:
        answer = subprocess.run(
            [self._editor.executable, "-S", str(self._socket), *arguments],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        return answer.stdout


def _page(ansi: str) -> str:
    screen = pyte.Screen(COLUMNS, ROWS)
    pyte.Stream(screen).feed(ansi.rstrip("\n").replace("\n", "\r\n"))
    lines = []
    for row in range(ROWS):
        cells = [screen.buffer[row][column] for column in range(COLUMNS)]
        runs = itertools.groupby(
            cells, key=lambda cell: (cell.fg, cell.bg, cell.bold, cell.italics, cell.reverse)
        )
        lines.append("".join(_run("".join(cell.data for cell in group), *style) for style, group in runs))
    body = "\n".join(lines)
    style = (
        "margin:0;display:inline-block;padding:14px;background:#1b1f27;color:#dcdfe4;"
        "font:14px/1.3 'DejaVu Sans Mono',monospace"
    )
    page = "margin:0;background:#1b1f27"
    return (
        f'<!DOCTYPE html><meta charset="utf-8"><body style="{page}"><pre style="{style}">{body}</pre></body>'
    )


def _run(text: str, fg: str, bg: str, bold: bool, italics: bool, reverse: bool) -> str:
    front, back = _colour(fg, "#dcdfe4"), _colour(bg, "")
    if reverse:
        front, back = back or "#1b1f27", front
    style = f"color:{front};" + (f"background:{back};" if back else "")
    style += ("font-weight:bold;" if bold else "") + ("font-style:italic;" if italics else "")
    return f'<span style="{style}">{html.escape(text)}</span>'


def _colour(name: str, default: str) -> str:
    if name == "default":
        return default
    plain = name.removeprefix("bright")
    return PALETTE.get(plain) or (f"#{name}" if len(name) == 6 else default)
