"""Context recall: how often the definition that a line needs is in its prompt. Needs no model.

The line that uses the name is taken out, from the use on (`at="use"`: the cursor stands before the name, the case that
completion is for) or from its first character on (`at="line"`), or behind the name (`at="name"`: what comes next
are its arguments).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from codeface_lsp.context.parts import Budget, Parts, TokenCounter
from codeface_lsp.evaluation.crossfile import Tree, Use, UseKind
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace

At = Literal["line", "use", "name"]
KINDS: tuple[UseKind, ...] = ("imported", "module", "method", "other_method")


@dataclass(frozen=True, slots=True)
class Recall:
    """How many uses were looked at, in how many the definition was there, and in how many at least the name was."""

    n: int
    found: int
    named: int
    tokens: int

    @property
    def share(self) -> float:
        """Share of the uses whose definition was in the prompt."""
        return self.found / self.n if self.n else 0.0


def sample(tree: Tree, count: int, seed: int) -> dict[UseKind, list[Use]]:
    """`count` uses of each kind, the same for the same seed."""
    uses = tree.uses()
    chosen: dict[UseKind, list[Use]] = {}
    for kind in KINDS:
        of_kind = sorted((use for use in uses if use.kind == kind), key=lambda u: (u.path, u.line, u.column))
        chosen[kind] = random.Random(f"{seed}{kind}").sample(of_kind, min(count, len(of_kind)))
    return chosen


def snapshot_of(root: Path, use: Use, text: str, at: At) -> tuple[Snapshot, int]:
    """The document with a hole where the use is, and the cursor."""
    lines = text.split("\n")
    line = lines[use.line]
    start = {"line": len(line) - len(line.lstrip()), "use": use.column, "name": use.end}[at]
    lines[use.line] = line[:start]
    offset = sum(len(above) + 1 for above in lines[: use.line]) + start
    file = root / use.path
    return Snapshot(file.as_uri(), str(file), "python", 0, "\n".join(lines)), offset


def holds(parts: Parts, use: Use) -> bool:
    """Whether the prompt has the definition of a use, from the file that defines it."""
    name = re.escape(use.name)
    pattern = re.compile(
        rf"^\s*(?:async\s+)?(?:def|class)\s+{name}\b|^\s*(?:\w+\s*=\s*)*{name}\s*[:=]", re.MULTILINE
    )
    return any(chunk.filename == use.definer and pattern.search(chunk.text) for chunk in parts.extra)


def measure(
    workspace: Workspace,
    root: Path,
    uses: Iterable[Use],
    budget: Budget,
    counter: TokenCounter,
    at: At = "use",
    built: Callable[[Parts], None] | None = None,
) -> Recall:
    """Build the prompt of every use and look for its definition."""
    n = found = named = tokens = 0
    texts: dict[str, str] = {}
    for use in uses:
        text = texts.setdefault(use.path, (root / use.path).read_text(encoding="utf-8"))
        snapshot, offset = snapshot_of(root, use, text, at)
        workspace.opened(snapshot)
        parts = workspace.build(snapshot, offset, budget, counter)
        workspace.closed(snapshot.uri)
        n += 1
        found += holds(parts, use)
        named += bool(re.search(rf"\b{re.escape(use.name)}\b", _prompt(parts)))
        tokens += sum(chunk.tokens for chunk in parts.extra)
        if built is not None:
            built(parts)
    return Recall(n, found, named, tokens)


def _prompt(parts: Parts) -> str:
    pieces: Sequence[str] = [*(chunk.text for chunk in parts.extra), parts.prefix, parts.suffix]
    return "\n".join(pieces)
