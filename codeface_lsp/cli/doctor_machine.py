"""The checks of `codeface doctor` that need no settings: interpreter, installation, directories, memory."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from codeface_lsp import paths, runtime
from codeface_lsp.cli.doctor_check import Check


def python() -> Iterator[Check]:
    """The interpreter that runs the server."""
    where = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    yield Check("Python", "ok", f"{where}, {platform.system()} {platform.machine()}.")


def installation() -> Iterator[Check]:
    """The distribution and its console script."""
    script = shutil.which("codeface-lsp")
    beside = Path(sys.executable).with_name("codeface-lsp.exe" if os.name == "nt" else "codeface-lsp")
    version = runtime.own_version()
    if script is None:
        step = f"Add {beside.parent} to the PATH, or give editors the whole path {beside}."
        yield Check(
            "installation", "warning", f"codeface-lsp {version}, which editors do not find on the PATH.", step
        )
    elif Path(script).resolve() != beside.resolve() and beside.exists():
        step = f"Remove one of the two, or give editors the path {beside}."
        yield Check(
            "installation",
            "warning",
            f"codeface-lsp {version}, but the PATH has another one: {script}.",
            step,
        )
    else:
        yield Check("installation", "ok", f"codeface-lsp {version} at {script}.")


def files() -> Iterator[Check]:
    """Directories must be writable and have room."""
    for name, folder in (
        ("state", paths.home()),
        ("cache", paths.cache_dir()),
        ("runtime", paths.runtime_dir()),
    ):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if not os.access(existing, os.W_OK):
            step = f"Make {existing} writable, or set CODEFACE_HOME to a directory that is."
            yield Check("files", "error", f"The {name} directory {folder} cannot be written.", step)
            return
    free = (
        shutil.disk_usage(next(p for p in (paths.home(), *paths.home().parents) if p.exists())).free / 2**30
    )
    if free < 2:
        yield Check(
            "files", "warning", f"{free:.1f} GiB are free.", "Make room: models take 0.1 to 20 GiB each."
        )
    else:
        yield Check("files", "ok", f"State in {paths.home()}, {free:.0f} GiB free.")


def memory() -> Iterator[Check]:
    """Total and free memory of the machine."""
    if not hasattr(os, "sysconf"):
        return
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES") / 2**30
    available = _available_gib()
    shown = f"{total:.0f} GiB" + (f", {available:.0f} GiB available" if available is not None else "")
    if available is not None and available < 1:
        yield Check("memory", "warning", f"{shown}.", "Close something, or lower engine.max_cached_models.")
    else:
        yield Check("memory", "ok", f"{shown}, {os.cpu_count()} processors.")


def _available_gib() -> float | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", text)
    return int(found[1]) / 2**20 if found else None
