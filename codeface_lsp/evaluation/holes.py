"""Holes in the files of a repository: the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from codeface_lsp.context import languages, sites, syntax
from codeface_lsp.evaluation import crossfile
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace import scanning
from codeface_lsp.workspace.ignore import IgnoreRules

HoleKind = Literal["line", "rest", "block", "cross-file"]
KINDS: tuple[HoleKind, ...] = ("line", "rest", "block", "cross-file")

_MAX_FILES = 400
_MAX_BYTES = 400_000
_LEAST_CHARS = 6
_BLOCK_LINES = (2, 12)
_PER_FILE = 20


@dataclass(frozen=True, slots=True)
class Hole:
    """`text[start:end)` of a file is missing."""

    kind: HoleKind
    path: str
    text: str
    start: int
    end: int

    @property
    def missing(self) -> str:
        """What stood in the hole."""
        return self.text[self.start : self.end]

    def snapshot(self, root: Path) -> Snapshot:
        """The document with the hole; the cursor is at `start`."""
        file = root / self.path
        return Snapshot(
            file.as_uri(),
            str(file),
            languages.id_of_path(file),
            0,
            self.text[: self.start] + self.text[self.end :],
        )


def punch(root: Path, count: int, kinds: tuple[HoleKind, ...], seed: int) -> list[Hole]:
    """`count` holes of each kind, spread over the code files below `root`; fewer if there are not so many places."""
    files = _files(root, seed)
    holes: list[Hole] = []
    for kind in kinds:
        rng = random.Random(f"{seed}{kind}")
        if kind == "cross-file":
            holes += _cross_file(root, count, rng)
            continue
        found: list[Hole] = []
        for path, text in files:
            places = [Hole(kind, path, text, start, end) for start, end in _places(kind, path, text, rng)]
            found += rng.sample(places, min(_PER_FILE, len(places)))
        holes += rng.sample(found, min(count, len(found)))
    return holes


def _files(root: Path, seed: int) -> list[tuple[str, str]]:
    found = sorted(each.path for each in scanning.files(root, IgnoreRules([root]), _MAX_BYTES))
    code = [
        path for path in found if (language := languages.of_path(path)) is not None and not language.prose
    ]
    chosen = sorted(random.Random(seed).sample(code, min(_MAX_FILES, len(code))))
    return [
        (path, text) for path in chosen if "\0" not in (text := (root / path).read_text("utf-8", "replace"))
    ]


def _places(kind: HoleKind, path: str, text: str, rng: random.Random) -> Iterator[tuple[int, int]]:
    if kind == "block":
        yield from _blocks(path, text)
        return
    language = languages.of_path(path)
    comment = language.line_comment if language else "#"
    tree = syntax.parse(text, languages.id_of_path(path))
    at = 0
    for line in text.split("\n"):
        start = at + len(line) - len(line.lstrip())
        end = at + len(line.rstrip())
        at += len(line) + 1
        if end - start < _LEAST_CHARS or (comment and line.lstrip().startswith(comment)):
            continue
        if tree is not None and (sites.in_comment(tree, end) or sites.in_string(tree, start)):
            continue
        if kind == "rest":
            cut = rng.randrange(start + 1, end - 1)
            if text[cut:end].strip():
                yield cut, end
        else:
            yield start, end


def _blocks(path: str, text: str) -> Iterator[tuple[int, int]]:
    """Bodies of functions, loops and conditions of a few lines."""
    tree = syntax.parse(text, languages.id_of_path(path))
    stack = [tree.root] if tree is not None else []
    while stack:
        node = stack.pop()
        stack.extend(node.named_children)
        body = node.child_by_field_name("body") or node.child_by_field_name("consequence")
        if tree is None or body is None:
            continue
        start, end = tree.span(body)
        start += len(text[start:end]) - len(text[start:end].lstrip(" \n{"))
        end = start + len(text[start:end].rstrip(" \n\t}"))
        if _BLOCK_LINES[0] <= text.count("\n", start, end) + 1 <= _BLOCK_LINES[1]:
            yield start, end


def _cross_file(root: Path, count: int, rng: random.Random) -> list[Hole]:
    """Lines of Python files that use a name that another file defines."""
    tree = crossfile.Tree(root)
    lines = sorted({(use.path, use.line) for use in tree.uses() if use.kind != "other_method"})
    holes = []
    for path, number in rng.sample(lines, min(count, len(lines))):
        text = "\n".join(tree.modules[path].lines)
        line = tree.modules[path].lines[number]
        at = sum(len(above) + 1 for above in tree.modules[path].lines[:number])
        holes.append(
            Hole("cross-file", path, text, at + len(line) - len(line.lstrip()), at + len(line.rstrip()))
        )
    return holes
