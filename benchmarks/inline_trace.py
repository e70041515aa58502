"""A person types real functions, in real time, before the real engine: how fast, how often, at what cost.

    python -m benchmarks.inline_trace FILE... [--keys N] [--json FILE]

Every key changes the document, cancels the request before and sends a new one, as editors do. Keys come at intervals of
a log-normal distribution (median 130 ms), with longer pauses after lines and now and then. Reported: the share of
pauses of at least 150 ms that were answered within the pause, key to answer, and tokens decoded per token shown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.keystrokes import Event, keys
from codeface_lsp.assist.inline import InlineCompleter, Suggestion
from codeface_lsp.assist.inline.generation import Generation
from codeface_lsp.context import scopes, syntax
from codeface_lsp.endpoints.router import Router, open_endpoint
from codeface_lsp.endpoints.types import Chunk, InfillRequest, ModelCard
from codeface_lsp.settings import load
from codeface_lsp.text.diff import changed_span
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace

PAUSE_S = 0.15
MEDIAN_S = 0.13


@dataclass(slots=True)
class Stream:
    priority: str
    tokens: int = 0
    opened: float = 0.0
    closed: float = 0.0


class Metered:
    """The endpoint, with a record of what each stream decoded and when it was closed."""

    def __init__(self, inner: Router) -> None:
        self.inner = inner
        self.streams: list[Stream] = []

    async def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        stream = Stream(request.priority, opened=time.monotonic())
        self.streams.append(stream)
        try:
            async with aclosing(self.inner.infill(request)) as chunks:
                async for chunk in chunks:
                    stream.tokens += chunk.tokens
                    yield chunk
        finally:
            stream.closed = time.monotonic()

    async def models(self) -> list[ModelCard]:
        return await self.inner.models()


@dataclass(slots=True)
class Observed:
    outcomes: Counter[str] = field(default_factory=Counter)

    def request(self, language: str, model: str, outcome: str, latency_ms: float) -> None:
        self.outcomes[outcome] += 1

    def shown(self, suggestion: Suggestion, language: str, *, invoked: bool, latency_ms: float) -> None: ...
    def accepted(self, suggestion_id: str, chars: int, *, whole: bool) -> None: ...
    def rejected(self, suggestion_id: str) -> None: ...
    def kept(self, suggestion_id: str, after_s: int, chars: int) -> None: ...


@dataclass(slots=True)
class Key:
    pause_s: float
    answer_s: float | None = None
    superseded: bool = False


class Typist:
    def __init__(self, completer: InlineCompleter, workspace: Workspace, rng: random.Random) -> None:
        self.completer = completer
        self.workspace = workspace
        self.rng = rng
        self.keys: list[Key] = []
        self._asked: asyncio.Task[None] | None = None

    async def type(self, uri: str, events: list[Event]) -> None:
        snapshot = Snapshot(uri, uri.removeprefix("file://"), "python", 0, events[0].text)
        self.workspace.opened(snapshot)
        self.completer.opened(snapshot)
        for version, event in enumerate(events[1:], 1):
            span = changed_span(snapshot.text, event.text)
            snapshot = Snapshot(uri, snapshot.path, "python", version, event.text)
            edits = [] if span is None else [TextEdit(span[0], span[1], event.text[span[0] : span[2]])]
            key = Key(self._interval(event))
            self.keys.append(key)
            if self._asked is not None:
                self._asked.cancel()
            began = time.monotonic()
            self.workspace.changed(snapshot, edits)
            self.completer.changed(snapshot, edits)
            self._asked = asyncio.create_task(self._ask(snapshot, event.offset, key, began))
            await asyncio.sleep(key.pause_s)
        if self._asked is not None:
            with suppress(asyncio.CancelledError):
                await self._asked
        self.completer.closed(uri)
        self.workspace.closed(uri)

    async def _ask(self, snapshot: Snapshot, offset: int, key: Key, began: float) -> None:
        answer = await self.completer.complete(snapshot, offset)
        key.superseded = answer is None
        key.answer_s = time.monotonic() - began

    def _interval(self, event: Event) -> float:
        chance = self.rng.random()
        if event.kind == "enter" or chance < 0.06:
            return self.rng.uniform(0.3, 1.5)
        return min(1.0, self.rng.lognormvariate(math.log(MEDIAN_S), 0.45))


async def run(files: list[Path], count: int, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    rng = random.Random(seed)
    settings = load(options, environ={})
    endpoint = open_endpoint(settings)
    metered, observed = Metered(endpoint), Observed()
    workspace = Workspace([], settings)
    completer = InlineCompleter(metered, workspace, settings, observed)  # type: ignore[arg-type]
    generations = _record_generations(completer)
    typist = Typist(completer, workspace, rng)
    try:
        async with aclosing(endpoint.infill(_first(workspace, completer))) as chunks:
            async for _ in chunks:
                pass  # the model is loaded
        while len(typist.keys) < count:
            file = rng.choice(files)
            text = file.read_text("utf-8")
            start, end = rng.choice(functions(text))
            events = list(keys(text, start, end, seed=rng.randrange(10**6)))[: count - len(typist.keys) + 1]
            await typist.type(file.resolve().as_uri(), events)
    finally:
        await completer.aclose()
        await workspace.aclose()
        await endpoint.aclose()
    return report(typist.keys, metered.streams, observed, generations)


def _record_generations(completer: InlineCompleter) -> list[Generation]:
    """A list that gets every generation from here on."""
    found: list[Generation] = []
    begin = completer._writer.begin

    def recorded(*args: Any, **kwargs: Any) -> Generation:
        generation = begin(*args, **kwargs)
        found.append(generation)
        return generation

    completer._writer.begin = recorded  # type: ignore[method-assign]
    return found


def _first(workspace: Workspace, completer: InlineCompleter) -> InfillRequest:
    snapshot = Snapshot("file:///warm.py", None, "python", 0, "def f():\n    return ")
    return InfillRequest(completer.parts(snapshot, len(snapshot.text)), 2)


def functions(text: str) -> list[tuple[int, int]]:
    """Functions of a moderate size."""
    tree = syntax.parse(text, "python")
    stack = [] if tree is None else [tree.root]
    found: list[tuple[int, int]] = []
    while stack and tree is not None:
        node = stack.pop()
        stack.extend(node.children)
        start, end = tree.span(node)
        if (
            scopes.scope_kind(node) == "function"
            and 80 < end - start < 1200
            and not re.search('"""|#', text[start:end])
        ):
            found.append((text.rfind("\n", 0, start) + 1, end))
    return found


def report(
    typed: list[Key], streams: list[Stream], observed: Observed, generations: list[Generation]
) -> dict[str, Any]:
    pauses = [key for key in typed if key.pause_s >= PAUSE_S]
    within = [
        key
        for key in pauses
        if key.answer_s is not None and not key.superseded and key.answer_s <= key.pause_s
    ]
    times = sorted(key.answer_s * 1000 for key in typed if key.answer_s is not None and not key.superseded)
    inline = [g for g in generations if g.request.priority == "inline"]
    decoded = sum(s.tokens for s in streams if s.priority == "inline")
    shown = sum(g.kept_tokens() for g in inline if g.entry is not None and g.entry.written.text)
    filtered = sum(g.tokens for g in inline if g.entry is not None and not g.entry.written.text)
    return {
        "keys": len(typed),
        "pauses": len(pauses),
        "answered_within_pause": round(len(within) / max(1, len(pauses)), 4),
        "key_to_answer_ms": {"p50": percentile(times, 0.5), "p95": percentile(times, 0.95), "n": len(times)},
        "generations": len(inline),
        "tokens": {
            "decoded": decoded,
            "shown": shown,
            "filtered": filtered,
            "cancelled": sum(g.tokens for g in inline if g.end == "cancelled"),
            "not_asked_for_any_more": sum(
                g.tokens for g in inline if g.entry is None and g.end != "cancelled"
            ),
            "beyond_the_end": sum(
                g.tokens - g.kept_tokens() for g in inline if g.entry is not None and g.entry.written.text
            ),
            "prefetch": sum(s.tokens for s in streams if s.priority == "prefetch"),
            "decoded_per_shown": round((decoded - filtered) / max(1, shown), 3),
        },
        "ends": dict(Counter(str(g.end) for g in inline)),
        "outcomes": dict(observed.outcomes),
        "load": os.getloadavg()[0],
    }


def percentile(values: list[float], share: float) -> float | None:
    return round(values[min(len(values) - 1, int(share * len(values)))], 1) if values else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--keys", type=int, default=400)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    options = {"stats": {"enabled": False}, "context": {"index": False}}
    result = json.dumps(asyncio.run(run(arguments.files, arguments.keys, arguments.seed, options)), indent=2)
    print(result)
    if arguments.json:
        arguments.json.write_text(result + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
