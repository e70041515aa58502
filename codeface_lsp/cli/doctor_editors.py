"""The check of `codeface doctor` on the editors of this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

from codeface_lsp.cli.doctor_check import Check

_EDITORS = {
    "Visual Studio Code": ("code", (1, 105)),
    "Neovim": ("nvim", (0, 10)),
    "Helix": ("hx", (24, 3)),
    "Emacs": ("emacs", (29, 1)),
    "Vim": ("vim", (8, 2)),
    "Kate": ("kate", (21, 12)),
    "Zed": ("zed", (0, 150)),
}

_EXTENSION = "codeface-lsp.codeface"


def editors() -> Iterator[Check]:
    """Editors on the PATH: their versions, and whether VS Code has the extension."""
    seen = False
    for name, (command, oldest) in _EDITORS.items():
        program = shutil.which(command)
        if program is None:
            continue
        seen = True
        version = _version(program)
        if version and version < oldest:
            wanted = ".".join(map(str, oldest))
            step = f"Update {name} to {wanted} or later."
            yield Check("editors", "warning", f"{name} {'.'.join(map(str, version))} is too old.", step)
        elif command == "code" and _EXTENSION not in _output([program, "--list-extensions"]).lower():
            step = f"code --install-extension {_EXTENSION}"
            yield Check("editors", "warning", "Visual Studio Code has no CodeFace extension.", step)
        else:
            yield Check(
                "editors", "ok", f"{name} {'.'.join(map(str, version)) if version else ''} at {program}."
            )
    if not seen:
        yield Check("editors", "ok", "none of the known ones is on the PATH; any LSP client will do.")


def _version(program: str) -> tuple[int, ...] | None:
    found = re.search(r"\d+(?:\.\d+)+", _output([program, "--version"]))
    return tuple(int(part) for part in found[0].split(".")) if found else None


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
