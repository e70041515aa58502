"""Reading a workspace: which files there are, and what one file defines. Runs in the indexing process."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from codeface_lsp.context import languages, syntax, tags
from codeface_lsp.context.tags import Definition
from codeface_lsp.workspace.ignore import IgnoreRules
from codeface_lsp.workspace.store import FileEntry

MAX_FILES = 50_000
"""Of larger workspaces the files nearest to the root are indexed."""
_MAX_ENTRIES = 1_000_000
_MINIFIED = 400
"""Files whose lines are longer than this on average are generated."""
_CHUNK_LINES = 60
_MAX_WORDS = 80
_SKIPPED_NAMES = """
    .git .hg .svn node_modules __pycache__ .venv venv .tox .nox .mypy_cache .pytest_cache .ruff_cache
    .cache .eggs .gradle .idea .vs bower_components .next .nuxt .terraform .dart_tool .stack-work _build
    DerivedData
"""
_SKIPPED_DIRECTORIES = frozenset(_SKIPPED_NAMES.split())
_TEXTS = frozenset({"rst", "txt", "adoc"})
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{2,}|[\u3040-\u30ff\u4e00-\u9fff]")
"""Words of three letters or more; Chinese and Japanese have no spaces between words, so each character counts."""
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A file worth reading; `path` is relative to the root, with forward slashes."""

    path: str
    mtime_ns: int
    size: int


def files(root: Path, rules: IgnoreRules, max_bytes: int) -> Iterator[Found]:
    """Source files below `root`, breadth first; neither ignored, nor too large, nor behind a symbolic link.

    Links are not followed: what they lead to lies in the workspace already, or does not belong to it.
    """
    level = [root]
    seen = 0
    while level:
        below: list[Path] = []
        for directory in level:
            for entry in _entries(directory):
                seen += 1
                if seen > _MAX_ENTRIES:
                    return
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _SKIPPED_DIRECTORIES and not rules.ignored_directory(root, path):
                        below.append(path)
                elif is_text(entry.name) and (found := _file(root, rules, path, max_bytes)):
                    yield found
        level = below


def one(root: Path, rules: IgnoreRules, path: Path, max_bytes: int) -> Found | None:
    """A single file by the same rules; None if it is gone or not to be indexed."""
    if not path.is_relative_to(root) or not is_text(path.name):
        return None
    parts = path.relative_to(root).parts[:-1]
    if any(part in _SKIPPED_DIRECTORIES for part in parts) or not rules.shown(path):
        return None
    return _file(root, rules, path, max_bytes)


def is_text(name: str) -> bool:
    """Whether a file's name says that it can be indexed."""
    return languages.of_path(name) is not None or name.rpartition(".")[2].lower() in _TEXTS


def read(root: Path, found: Found) -> FileEntry | None:
    """Read and parse one file. None if it is binary, minified, gone or changed while it was read."""
    try:
        data = (root / found.path).read_bytes()
    except OSError:
        return None
    if b"\0" in data[:8192]:
        return None
    text = data.decode("utf-8", "replace")
    count = text.count("\n") + 1
    if len(text) > _MINIFIED * count and len(text) > 10_000:
        return None
    definitions = _definitions(text, found.path)
    if not definitions:
        definitions = _chunks(found.path, count)
    lines = text.split("\n")
    return FileEntry(
        found.path, found.mtime_ns, found.size, count, definitions, _texts(found.path, definitions, lines)
    )


def read_safely(root: Path, found: Found) -> FileEntry | None:
    """`read`, where whatever is odd about one file gives None: it must not cost the index of all others."""
    try:
        return read(root, found)
    except Exception:
        log.exception("a file of %d bytes could not be indexed", found.size)
        return None


def words_of(text: str) -> list[str]:
    """Lower-case words of a text, each once; identifiers also by their parts."""
    words: dict[str, None] = {}
    for word in dict.fromkeys(_WORD.findall(text.replace("_", " "))):
        if word.islower():
            words[word] = None
        else:
            words.update(_forms(word))
    return list(words)


@lru_cache(maxsize=50_000)
def _forms(word: str) -> dict[str, None]:
    """A word in lower case, and its parts if it is written in camel case."""
    lower = word.lower()
    parts = _PART.findall(word) if lower != word else []
    return dict.fromkeys(
        [lower, *(part.lower() for part in parts if len(part) > 2)] if len(parts) > 1 else [lower]
    )


def _definitions(text: str, path: str) -> list[Definition]:
    language = languages.of_file(path, text)
    tree = None if language is None else syntax.parse_grammar(text, language.grammar)
    found = [] if tree is None else tags.definitions(tree)
    if not found or language is None or language.grammar != "markdown":
        return found
    ends = [following.start - 1 for following in found[1:]] + [text.count("\n")]
    return [replace(heading, end=max(heading.start, end)) for heading, end in zip(found, ends, strict=True)]


def _chunks(path: str, count: int) -> list[Definition]:
    """A file without definitions, in pieces that can be found by their words."""
    name = Path(path).stem
    return [
        Definition(name, "module", "", None, start, start, min(start + _CHUNK_LINES, count) - 1)
        for start in range(0, min(count, 100 * _CHUNK_LINES), _CHUNK_LINES)
    ]


def _texts(path: str, definitions: list[Definition], lines: list[str]) -> list[str]:
    """The words of each definition, without those of the definitions inside it."""
    texts = []
    stem = path.rpartition(".")[0].replace("/", " ")
    following = [second.start for _, second in pairwise(definitions)] + [len(lines)]
    for definition, next_start in zip(definitions, following, strict=True):
        if definition.kind == "variable":
            texts.append("")
            continue
        end = (
            min(definition.end + 1, max(next_start, definition.start + 1))
            if definition.kind != "function"
            else definition.end + 1
        )
        body = "\n".join(lines[definition.start : min(end, definition.start + 80)])
        texts.append(" ".join(words_of(f"{definition.name} {definition.parent} {stem} {body}")[:_MAX_WORDS]))
    return texts


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _file(root: Path, rules: IgnoreRules, path: Path, max_bytes: int) -> Found | None:
    try:
        if path.is_symlink():
            return None
        status = path.stat()
    except OSError:
        return None
    if status.st_size > max_bytes or not path.is_file() or rules.ignored_file(root, path):
        return None
    return Found(path.relative_to(root).as_posix(), status.st_mtime_ns, status.st_size)
