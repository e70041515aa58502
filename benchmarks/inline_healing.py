"""What token healing is worth: lines of held-out files cut inside a word, completed with and without it.

    python -m benchmarks.inline_healing DIR... [--holes N] [--json FILE]

The cursor stands after the second or a later character of a name; wanted is the rest of the line. Both ways see the
same prompt; only `heal` differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Indel

from codeface_lsp.context.parts import Budget
from codeface_lsp.endpoints.router import Router, open_endpoint
from codeface_lsp.endpoints.token_counter import open_counter
from codeface_lsp.endpoints.types import InfillRequest
from codeface_lsp.settings import Settings, load
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace

_WORD = re.compile(r"[A-Za-z_]\w{3,}")


@dataclass(slots=True)
class Cut:
    snapshot: Snapshot
    offset: int
    wanted: str

    @property
    def word(self) -> str:
        """The rest of the word that was cut."""
        match = re.match(r"\w*", self.wanted)
        return match.group() if match else ""


def cuts(root: Path, count: int, rng: random.Random) -> list[Cut]:
    files = sorted(root.rglob("*.py"))
    found: list[Cut] = []
    while len(found) < count:
        file = rng.choice(files)
        text = file.read_text("utf-8", "replace")
        words = [match for match in _WORD.finditer(text) if not _in_prose(text, match.start())]
        if not words:
            continue
        word = rng.choice(words)
        offset = rng.randint(word.start() + 2, word.end() - 1)
        end = text.find("\n", offset)
        end = len(text) if end < 0 else end
        left = text[:offset] + text[end:]
        found.append(Cut(Snapshot(file.as_uri(), str(file), "python", 0, left), offset, text[offset:end]))
    return found


def _in_prose(text: str, offset: int) -> bool:
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    return "#" in line or text.count('"""', 0, offset) % 2 == 1


async def answer(endpoint: Router, workspace: Workspace, settings: Settings, cut: Cut, *, heal: bool) -> str:
    workspace.opened(cut.snapshot)
    parts = workspace.build(cut.snapshot, cut.offset, Budget(1000, 0, 150), open_counter(settings))
    request = InfillRequest(parts, 48, stop=("\n",), heal=heal)
    pieces: list[str] = []
    async with aclosing(endpoint.infill(request)) as chunks:
        pieces = [chunk.text async for chunk in chunks]
    workspace.closed(cut.snapshot.uri)
    return "".join(pieces)


async def run(roots: list[Path], count: int, seed: int) -> dict[str, Any]:
    settings = load({"context": {"index": False}}, environ={})
    endpoint, workspace, rng = open_endpoint(settings), Workspace([], settings), random.Random(seed)
    scores: dict[bool, list[tuple[bool, bool, float]]] = {True: [], False: []}
    try:
        for cut in [cut for root in roots for cut in cuts(root, count, rng)]:
            for heal in (True, False):
                given = await answer(endpoint, workspace, settings, cut, heal=heal)
                first = re.match(r"\w*", given)
                scores[heal].append(
                    (
                        given.rstrip() == cut.wanted.rstrip(),
                        first is not None and first.group() == cut.word,
                        Indel.normalized_similarity(given, cut.wanted),
                    )
                )
    finally:
        await endpoint.aclose()
    return {("healed" if heal else "not_healed"): _summary(values) for heal, values in scores.items()}


def _summary(values: list[tuple[bool, bool, float]]) -> dict[str, float]:
    n = len(values)
    return {
        "n": n,
        "rest_of_line_exact": round(sum(v[0] for v in values) / n, 4),
        "rest_of_word_exact": round(sum(v[1] for v in values) / n, 4),
        "edit_similarity": round(sum(v[2] for v in values) / n, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("roots", nargs="+", type=Path)
    parser.add_argument("--holes", type=int, default=100, help="in each package")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = json.dumps(
        asyncio.run(run([root.resolve() for root in arguments.roots], arguments.holes, arguments.seed)),
        indent=2,
    )
    print(result)
    if arguments.json:
        arguments.json.write_text(result + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
