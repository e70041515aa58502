"""JavaScript and TypeScript: the packages that `npm ci` installs to build the VS Code extension."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from training.places import REPOSITORY
from training.sources import Source, is_permissive

PACKAGES = REPOSITORY / "editors" / "vscode" / "node_modules"
MARK = " (npm)"
"""Behind a package's name, for there is a `semver` in every language."""

LOCK = ".package-lock.json"
"""What npm writes beside the packages it installed: each with its version and licence."""

HELD_OUT = ("commander", "semver", "@azure/msal-node")
"""Never trained on, nor any copy of them: the evaluation of JavaScript (two) and TypeScript."""

SUFFIXES = {".js", ".mjs", ".ts"}
BUILT = (".d.ts", ".min.js", ".min.mjs", ".test.js", ".test.ts")
SHARE = 1_000_000
NOT_WORTH_READING = {"node_modules", "test", "tests", "__tests__", "bench", "umd"}


def npm_packages(folder: Path = PACKAGES) -> Iterator[Source]:
    """Every package under a permissive licence, in alphabetical order.

    Raises:
        SystemExit: no packages are installed there.
    """
    if not (folder / LOCK).exists():
        raise SystemExit(f"No npm packages in '{folder}': run `npm ci --prefix editors/vscode` first.")
    packages = json.loads((folder / LOCK).read_text(encoding="utf-8"))["packages"]
    for place, package in sorted(packages.items()):
        name = place.rpartition("node_modules/")[2]
        licence = str(package.get("license", "unknown"))
        if place.count("node_modules/") > 1 or not is_permissive(licence):
            continue
        named = tuple((file.relative_to(folder).as_posix(), file) for file in _files(folder / name))
        if named:
            split = "held-out-npm" if name in HELD_OUT else "train"
            yield Source(name + MARK, package["version"], licence, split, named, SHARE)


def _files(package: Path) -> list[Path]:
    """What people wrote: the TypeScript where a package brings it, else its modules, without tests and declarations."""
    files = [
        file
        for file in sorted(package.rglob("*"))
        if file.suffix in SUFFIXES
        and not NOT_WORTH_READING & set(file.relative_to(package).parts[:-1])
        and not file.name.endswith(BUILT)
    ]
    return [file for file in files if file.suffix == ".ts"] or files
