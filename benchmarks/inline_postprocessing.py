"""What the rules after the model are worth: holes in the held-out packages, shown with and without them.

    python -m benchmarks.inline_postprocessing DIR... [--holes N] [--json FILE]

Each hole is completed once by the real engine; the same text is judged as the model gave it (cut where generation
stopped) and as it would be shown. Reported: the share that keeps a parsing file parsing, exact match of what is left
(each hole that the rules lost or won by name), how often something is shown, and the curve of the confidence bar.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codeface_lsp.assist.inline.generation import Generation
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.assist.inline.vetting import Refused, Vetting
from codeface_lsp.assist.inline.writer import Writer
from codeface_lsp.context import syntax
from codeface_lsp.endpoints.router import open_endpoint
from codeface_lsp.evaluation.holes import Hole, HoleKind, punch
from codeface_lsp.settings import load
from codeface_lsp.workspace.workspace import Workspace

KINDS: tuple[HoleKind, ...] = ("line", "rest", "block")


@dataclass(slots=True)
class Result:
    where: str
    kind: str
    parsed_before: bool
    raw_parses: bool
    raw_exact: bool
    shown: bool
    parses: bool
    exact: bool
    reason: str
    logprob: float | None


async def measure(writer: Writer, workspace: Workspace, root: Path, hole: Hole) -> Result:
    place = Place.at(hole.snapshot(root), hole.start)
    workspace.opened(place.snapshot)
    generation = writer.begin(place)
    await generation.stopped()
    if generation.error is not None:
        raise generation.error
    result = judge(workspace, hole, place, generation)
    workspace.closed(place.snapshot.uri)
    return result


def judge(workspace: Workspace, hole: Hole, place: Place, generation: Generation) -> Result:
    language = place.snapshot.language
    raw = generation.kept
    written = Vetting(place, workspace.tree(place.snapshot)).judge(raw)
    shown = not isinstance(written, Refused)
    after = place.text if isinstance(written, Refused) else written.result
    return Result(
        f"{hole.path}:{hole.start}",
        hole.kind,
        bool(syntax.parses(place.text, language)),
        bool(syntax.parses(place.prefix + raw + place.suffix, language)),
        exact(place.prefix + raw.rstrip() + place.suffix, hole),
        shown,
        bool(syntax.parses(after, language)),
        shown and exact(after, hole),
        written.reason if isinstance(written, Refused) else "",
        generation.confidence(len(raw)),
    )


def exact(after: str, hole: Hole) -> bool:
    """Whether the file is what it was, but for white space at the end of what was put in."""
    trimmed = hole.text[: hole.start] + hole.missing.rstrip() + hole.text[hole.end :]
    return after in (hole.text, trimmed)


async def run(roots: list[Path], count: int, seed: int) -> list[Result]:
    completion = {"time_budget_ms": 60_000, "min_confidence": -1000.0}  # the curve says what a bar would hide
    settings = load({"completion": completion, "context": {"index": False}}, environ={})
    endpoint = open_endpoint(settings)
    found: list[Result] = []
    try:
        for root in roots:
            workspace = Workspace([root], settings)
            writer = Writer(endpoint, workspace, settings, 60.0)
            holes = punch(root, count, KINDS, seed)
            found += [await measure(writer, workspace, root, hole) for hole in holes]
            await workspace.aclose()
    finally:
        await endpoint.aclose()
    return found


def figures(results: list[Result]) -> dict[str, Any]:
    parsed = [r for r in results if r.parsed_before]
    shown = [r for r in parsed if r.shown]
    return {
        "holes": len(results),
        "parsed_before": len(parsed),
        "shown": share(r.shown for r in results),
        "keeps_parsing": share(r.parses for r in shown),
        "keeps_parsing_raw": share(r.raw_parses for r in parsed),
        "exact": share(r.exact for r in results),
        "exact_raw": share(r.raw_exact for r in results),
        "exact_of_shown": share(r.exact for r in results if r.shown),
        "refused": dict(Counter(r.reason for r in results if not r.shown)),
        "lost": [f"{r.where} {r.kind} {r.reason}" for r in results if r.raw_exact and not r.exact],
        "won": [f"{r.where} {r.kind}" for r in results if r.exact and not r.raw_exact],
    }


def curve(results: list[Result]) -> list[dict[str, float]]:
    """For each bar: the share of holes with a suggestion, and how many of those are exactly right."""
    known = [r for r in results if r.shown and r.logprob is not None]
    points = []
    for tenth in range(1, 31):
        bar = -tenth / 10
        above = [r for r in known if r.logprob is not None and r.logprob >= bar]
        points.append(
            {
                "bar": bar,
                "shown": round(len(above) / max(1, len(results)), 4),
                "exact_of_shown": share(r.exact for r in above),
            }
        )
    return points


def share(flags: Any) -> float:
    values = list(flags)
    return round(sum(values) / len(values), 4) if values else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("roots", nargs="+", type=Path)
    parser.add_argument("--holes", type=int, default=200, help="of each kind in each package")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = asyncio.run(run([root.resolve() for root in arguments.roots], arguments.holes, arguments.seed))
    report = {
        "all": figures(results),
        **{kind: figures([r for r in results if r.kind == kind]) for kind in KINDS},
        "confidence": curve(results),
    }
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
