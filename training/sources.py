"""Which source code the model may see, who wrote it, and under which licence."""

from __future__ import annotations

import importlib.metadata
import json
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

HELD_OUT = ("networkx", "rich")
"""Never trained on, nor any copy of them: the evaluation's packages."""

TUNING = ("click", "jinja2", "sortedcontainers")
"""Never trained on either: weights and thresholds are tuned here."""

PERMISSIVE = (
    "mit",
    "bsd",
    "apache",
    "psf",
    "python software foundation",
    "isc",
    "hpnd",
    "zlib",
    "0bsd",
    "matplotlib",
    "cnri-python",
)
COPYLEFT = ("gpl", "mpl", "mozilla", "eupl", "cddl", "epl")

MEGABYTE = 1_000_000
DEFAULT_SHARE = 4 * MEGABYTE
SHARES = {
    "python": 14 * MEGABYTE,
    "torch": 6 * MEGABYTE,
    "transformers": 5 * MEGABYTE,
    "sympy": 5 * MEGABYTE,
    "numpy": 4 * MEGABYTE,
    "mypy": 5 * MEGABYTE // 2,
    "fonttools": 5 * MEGABYTE // 2,
    "openai": MEGABYTE // 2,
    "pygments": MEGABYTE,
}
"""Bytes read at most of the distributions that have another share than `DEFAULT_SHARE`."""

NOT_WORTH_READING = {
    "tests",
    "test",
    "testing",
    "idle_test",
    "lib2to3",
    "pydoc_data",
    "encodings",
    "__pycache__",
    "site-packages",
    "ensurepip",
    "turtledemo",
    "unicode_codes",
    "_vendor",
    "thirdparty",
}


@dataclass(frozen=True)
class Source:
    """One distribution: the top folders it installs and its licence."""

    name: str
    version: str
    licence: str
    split: str
    files: tuple[tuple[str, Path], ...]
    """(path as the model sees it, path on disk)"""

    most: int = DEFAULT_SHARE
    """Bytes read of it at most, so that no house style rules."""


def licence_of(meta: importlib.metadata.PackageMetadata) -> str:
    """The licence a distribution declares, in one line."""
    classifiers = [c.split("::")[-1].strip() for c in meta.get_all("Classifier") or [] if "License ::" in c]
    declared = meta.get("License-Expression") or "; ".join(classifiers) or meta.get("License") or "unknown"
    return " ".join(declared.split())[:120]


def is_permissive(licence: str) -> bool:
    """Whether a licence asks for no more than to be named."""
    lowered = licence.lower()
    return any(mark in lowered for mark in PERMISSIVE) and not any(mark in lowered for mark in COPYLEFT)


def split_of(name: str) -> str:
    """The split a distribution belongs to, whole."""
    lowered = name.lower()
    return "held-out" if lowered in HELD_OUT else "tuning" if lowered in TUNING else "train"


def _worth_reading(relative: Path) -> bool:
    if any(part in NOT_WORTH_READING for part in relative.parts[:-1]):
        return False
    return not relative.name.startswith(("test_", "_sysconfigdata")) and relative.name != "conftest.py"


def standard_library() -> Source:
    """The Python standard library of this interpreter, without its tests."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = sorted(root.rglob("*.py"))
    files = [(str(p.relative_to(root)), p) for p in paths if _worth_reading(p.relative_to(root))]
    return Source(
        "python", sysconfig.get_python_version(), "PSF-2.0", "train", tuple(files), SHARES["python"]
    )


def installed_packages() -> Iterator[Source]:
    """Every installed distribution under a permissive licence, in alphabetical order."""
    found = {d.metadata["Name"].lower(): d for d in importlib.metadata.distributions()}
    for name in sorted(found):
        distribution = found[name]
        licence = licence_of(distribution.metadata)
        if name == "codeface-lsp" or not is_permissive(licence):
            continue
        files = []
        for entry in distribution.files or []:
            relative = Path(str(entry))
            if relative.suffix == ".py" and ".." not in relative.parts and _worth_reading(relative):
                files.append((relative.as_posix(), Path(str(distribution.locate_file(entry)))))
        if files:
            most = SHARES.get(name, DEFAULT_SHARE)
            yield Source(name, distribution.version, licence, split_of(name), tuple(sorted(files)), most)


def in_order(sources: Iterable[Source]) -> list[Source]:
    """Held-out first, then tuning, then training, so that copies are dropped from the later split."""
    order = {"held-out": 0, "held-out-npm": 0, "tuning": 1, "train": 2}
    return sorted(sources, key=lambda source: (order[source.split], source.name))


def all_sources() -> list[Source]:
    """The standard library and every installed distribution, in order."""
    return in_order([standard_library(), *installed_packages()])


def write_licences(sources: list[Source], taken: dict[str, int], path: Path) -> None:
    """List who was read, and how much of them, as JSON."""
    rows = [
        {key: value for key, value in asdict(source).items() if key not in ("files", "most")}
        | {"bytes": taken.get(source.name, 0)}
        for source in sources
    ]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
