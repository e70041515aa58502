"""One evaluation: fills holes with a model, scores them, and measures context recall beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from codeface_lsp.assist import services
from codeface_lsp.context import syntax
from codeface_lsp.context.parts import Budget
from codeface_lsp.endpoints.token_counter import open_counter
from codeface_lsp.errors import EndpointError
from codeface_lsp.evaluation import crossfile, recall, scores
from codeface_lsp.evaluation.holes import Hole, HoleKind, punch
from codeface_lsp.settings import Settings
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace

_MOST_FAILURES = 5
_RECALL_KINDS = ("imported", "module", "method")


@dataclass(slots=True)
class Scores:
    """Scores of one kind of hole, one value per hole."""

    exact: list[float] = field(default_factory=list)
    similarity: list[float] = field(default_factory=list)
    f1: list[float] = field(default_factory=list)
    parses: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)

    def add(self, hole: Hole, given: str, milliseconds: float) -> None:
        """Score one answer."""
        wanted = hole.missing
        if "\n" not in wanted:
            given = given.split("\n", 1)[0] if given.strip("\n") else ""
        self.exact.append(scores.exact_match(given, wanted))
        self.similarity.append(scores.edit_similarity(given, wanted))
        f1 = scores.identifier_f1(given, wanted)
        if f1 is not None:
            self.f1.append(f1)
        parsed = syntax.parses(
            hole.text[: hole.start] + given + hole.text[hole.end :], hole.snapshot(Path("/")).language
        )
        if parsed is not None:
            self.parses.append(float(parsed))
        self.latency_ms.append(milliseconds)

    def summary(self) -> dict[str, Any]:
        """The figures of the JSON report."""
        return {
            "n": len(self.exact),
            "exact_match": round(scores.mean(self.exact), 4),
            "edit_similarity": round(scores.mean(self.similarity), 4),
            "identifier_f1": round(scores.mean(self.f1), 4),
            "parses": round(scores.mean(self.parses), 4),
            "latency_ms": {
                "p50": round(scores.percentile(self.latency_ms, 0.5), 1),
                "p95": round(scores.percentile(self.latency_ms, 0.95), 1),
            },
        }


@dataclass(slots=True)
class Evaluation:
    """Result of a run."""

    model: str
    context: Literal["on", "off"]
    kinds: dict[HoleKind, Scores]
    recall: dict[str, recall.Recall]

    def as_json(self) -> dict[str, Any]:
        """The report that `codeface eval --json` writes; shares from 0 to 1."""
        n = sum(each.n for each in self.recall.values())
        tokens = sum(each.tokens for each in self.recall.values())
        context_recall: dict[str, Any] = {
            kind: {"n": each.n, "recall": round(each.share, 4)} for kind, each in self.recall.items()
        }
        context_recall["tokens_mean"] = round(tokens / n, 1) if n else 0
        return {
            "model": self.model,
            "context": self.context,
            "kinds": {kind: each.summary() for kind, each in self.kinds.items()},
            "context_recall": context_recall,
        }


async def evaluate(
    settings: Settings,
    root: Path,
    count: int,
    kinds: tuple[HoleKind, ...],
    seed: int,
    told: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Fill `count` holes of each kind below `root`. Raises `EndpointError` if no model answers at all."""
    holes = punch(root, count, kinds, seed)
    found = await _fill(settings, root, holes, kinds, told)
    context: Literal["on", "off"] = "on" if settings.context.enabled else "off"
    return Evaluation(_model(settings), context, found, await measure_recall(settings, root, count, seed))


async def measure_recall(settings: Settings, root: Path, count: int, seed: int) -> dict[str, recall.Recall]:
    """Context recall of Python's cross-file uses, `count` of each kind."""
    chosen = recall.sample(crossfile.Tree(root), count, seed)
    total = settings.context.budget_tokens
    budget = Budget(
        total, int(total * settings.context.extra_share), int(total * settings.context.suffix_share)
    )
    workspace = Workspace([root], settings)
    try:
        await workspace.start()
        counter = open_counter(settings)
        return {
            kind: recall.measure(workspace, root, uses, budget, counter)
            for kind, uses in chosen.items()
            if kind in _RECALL_KINDS
        }
    finally:
        await workspace.aclose()


async def _fill(
    settings: Settings,
    root: Path,
    holes: list[Hole],
    kinds: tuple[HoleKind, ...],
    told: Callable[[str, int, int], None] | None,
) -> dict[HoleKind, Scores]:
    found: dict[HoleKind, Scores] = {kind: Scores() for kind in kinds}
    if not holes:
        return found
    built = services.build(_for_scores(settings), [root])
    try:
        await built.workspace.start()
        await _warm(built, holes[0].snapshot(root), holes[0].start)
        failures = 0
        for number, hole in enumerate(holes, 1):
            snapshot = hole.snapshot(root)
            built.document_opened(snapshot)
            started = time.perf_counter()
            try:
                answer = await built.completer.complete(snapshot, hole.start, invoked=True)
            except EndpointError:
                failures += 1
                if failures > _MOST_FAILURES:
                    raise
                answer = None
            spent = (time.perf_counter() - started) * 1e3
            built.document_closed(snapshot.uri)
            found[hole.kind].add(hole, _text(snapshot.text, hole.start, answer or []), spent)
            if told is not None:
                told(hole.kind, number, len(holes))
    finally:
        await built.aclose()
    return found


async def _warm(built: services.Services, snapshot: Snapshot, offset: int) -> None:
    """Load the model with a completion that does not count. Raises `EndpointError` if there is none to load."""
    built.document_opened(snapshot)
    await built.completer.complete(snapshot, offset, invoked=True)
    built.document_closed(snapshot.uri)


def _text(text: str, offset: int, answer: list[Any]) -> str:
    """What the first suggestion puts at the cursor; it may replace what stands before it on the line."""
    if not answer:
        return ""
    first = answer[0]
    before = text[first.start : offset]
    return str(first.text.removeprefix(before))


def _for_scores(settings: Settings) -> Settings:
    """One suggestion each, nothing prefetched, nothing counted as the user's own."""
    completion = settings.completion.model_copy(
        update={"alternatives": 1, "prefetch": False, "time_budget_ms": 60_000}
    )
    stats = settings.stats.model_copy(update={"enabled": False})
    return settings.model_copy(update={"completion": completion, "stats": stats})


def _model(settings: Settings) -> str:
    named = next((e.model or e.name for e in settings.endpoints if "completion" in e.roles), None)
    return named or settings.model.completion
