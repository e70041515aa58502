"""Where CodeFace keeps its files.

Everything persistent lives under one directory, `CODEFACE_HOME` if it is set. Files that mean "this process
is running on this host" (lock, port, token) live in the host's runtime directory, so that a home directory
shared over a network never makes one host talk to another's engine.
"""

from __future__ import annotations

import os
import warnings
from importlib import resources
from pathlib import Path

from platformdirs import PlatformDirs

_DIRS = PlatformDirs("codeface", appauthor=False)


def home() -> Path:
    """The one directory for state and caches (`CODEFACE_HOME`, or the platform's data directory)."""
    override = os.environ.get("CODEFACE_HOME")
    return Path(override) if override else _DIRS.user_data_path


def config_file() -> Path:
    """The user's settings file; it need not exist."""
    override = os.environ.get("CODEFACE_HOME")
    return (Path(override) if override else _DIRS.user_config_path) / "config.yaml"


def prompts_dir() -> Path:
    """The user's own prompt templates, which override the shipped ones file by file."""
    return config_file().parent / "prompts"


def cache_dir() -> Path:
    """What can be deleted at any time: symbol indexes, response caches."""
    override = os.environ.get("CODEFACE_HOME")
    return Path(override) / "cache" if override else _DIRS.user_cache_path


def log_dir() -> Path:
    """Log files of the engine and the language server."""
    return home() / "logs"


def runtime_dir() -> Path:
    """Lock and runtime file of the engine; created with mode 0700, and never one that somebody else made.

    Without `XDG_RUNTIME_DIR` platformdirs falls back to a name under /tmp that another user could have taken.
    """
    if "CODEFACE_HOME" in os.environ:
        path = home() / "run"
    else:
        with warnings.catch_warnings(action="ignore"):
            path = _DIRS.user_runtime_path
        if path.exists() and hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
            path = home() / "run"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def shipped(name: str) -> Path:
    """Return a directory that comes with CodeFace: `prompts`, `config` or `bundled`.

    In a wheel they lie in `codeface_lsp/_data`; in a checkout, beside the package.
    """
    package = Path(str(resources.files("codeface_lsp")))
    packaged = package / "_data" / name
    return packaged if packaged.is_dir() else package.parent / name
