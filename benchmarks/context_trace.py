"""How many prompt tokens a key makes the engine compute again: `python -m benchmarks.context_trace`.

Types parts of real files again (`benchmarks.keystrokes`), builds the prompt at each key and counts the tokens after the
longest common prefix with the sequences an engine would hold (the last one, and for jumps the last few). The prompt is
rendered as `extra + suffix + prefix`. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from benchmarks.keystrokes import Event, keys
from codeface_lsp import paths
from codeface_lsp.context.languages import id_of_path
from codeface_lsp.context.parts import Budget, Parts
from codeface_lsp.settings import Settings
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace

BUDGET = Budget(1500, 600, 225)
_HELD = 8
"""Sequences whose KV the engine still holds."""


class _Counter:
    def __init__(self, encoder: Tokenizer) -> None:
        self._encoder = encoder

    def count(self, text: str) -> int:
        return len(self._encoder.encode(text, add_special_tokens=False).ids)


def tokenizer(files: Sequence[Path]) -> Tokenizer:
    """The bundled tokenizer, or a byte-level BPE of 8,192 tokens trained on the given files."""
    bundled = next(iter(sorted(paths.shipped("bundled").rglob("tokenizer.json"))), None)
    if bundled is not None:
        return Tokenizer.from_str(bundled.read_text(encoding="utf-8"))
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8192, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator((file.read_text(encoding="utf-8", errors="replace") for file in files), trainer)
    return made


def render(parts: Parts) -> str:
    """The suffix-first form, with spelled-out separators in place of special tokens."""
    extra = "".join(f"\x01{chunk.filename}\n{chunk.text}" for chunk in parts.extra)
    return f"{extra}\x01{parts.path}\n\x02{parts.fim_suffix}\x03{parts.prefix}"


@dataclass
class Trace:
    """Sequences held, and figures by kind of event."""

    encoder: Tokenizer
    held: list[list[int]] = field(default_factory=list)
    recomputed: dict[str, list[int]] = field(default_factory=dict)
    reused: int = 0
    total: int = 0
    longest: int = 0
    extra_tokens: list[int] = field(default_factory=list)
    build_ms: list[float] = field(default_factory=list)

    def add(self, parts: Parts, kind: str) -> None:
        ids = self.encoder.encode(render(parts), add_special_tokens=False).ids
        self.longest = max(self.longest, len(ids))
        self.extra_tokens.append(sum(chunk.tokens for chunk in parts.extra))
        best = max(range(len(self.held)), key=lambda i: common(ids, self.held[i]), default=None)
        shared = 0 if best is None else common(ids, self.held[best])
        if best is not None and (kind not in ("jump", "return", "start") or shared > len(ids) // 2):
            self.held.pop(best)
        self.held = [*self.held[-_HELD + 1 :], ids]
        self.recomputed.setdefault(kind, []).append(len(ids) - shared)
        if kind not in ("jump", "return", "start"):
            self.reused += shared
            self.total += len(ids)


def common(a: Sequence[int], b: Sequence[int]) -> int:
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))


def events(text: str, count: int, rng: random.Random) -> Iterator[Event]:
    """Keys at two places of a file, with jumps away and back every 150 keys or so."""
    lines = [0, *(index + 1 for index, char in enumerate(text) if char == "\n")]
    first = lines[len(lines) // 3]
    last = lines[min(len(lines) - 2, len(lines) // 3 + 60)]
    for emitted, event in enumerate(keys(text, first, last, rng.randrange(1 << 30)), 1):
        yield event
        if emitted % 150 == 0 and event.kind == "key":
            away = lines[rng.randrange(len(lines))]
            yield Event(event.text, min(away, len(event.text)), "jump")
            yield Event(event.text, event.offset, "return")
        if emitted >= count:
            return


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def run(root: Path, files: Sequence[Path], per_file: int, seed: int) -> dict[str, object]:
    rng = random.Random(seed)
    encoder = tokenizer(files)
    counter = _Counter(encoder)
    trace = Trace(encoder)
    workspace = Workspace([root], Settings())
    await workspace.start()
    for file in files:
        text = file.read_text(encoding="utf-8")
        for version, event in enumerate(events(text, per_file, rng)):
            snapshot = Snapshot(file.as_uri(), str(file), id_of_path(file), version, event.text)
            started = time.thread_time()
            workspace.changed(snapshot, ())
            parts = workspace.build(snapshot, event.offset, BUDGET, counter)
            trace.build_ms.append((time.thread_time() - started) * 1e3)
            trace.add(parts, event.kind)
        workspace.closed(file.as_uri())
    await workspace.aclose()
    plain = [
        n
        for kind, values in trace.recomputed.items()
        if kind not in ("jump", "return", "start")
        for n in values
    ]
    return {
        "keys": len(plain),
        "recomputed_tokens": {
            "mean": round(statistics.mean(plain), 2),
            **{f"p{share}": percentile(plain, share / 100) for share in (50, 95, 99)},
            "max": max(plain),
        },
        "share_above_32": round(sum(n > 32 for n in plain) / len(plain), 5),
        "kv_reused": round(trace.reused / trace.total, 4),
        "longest_prompt": trace.longest,
        "extra_tokens_mean": round(statistics.mean(trace.extra_tokens)),
        "by_kind": {
            kind: {"n": len(values), "median": statistics.median(values), "max": max(values)}
            for kind, values in sorted(trace.recomputed.items())
        },
        "build_ms": {
            f"p{share}": round(percentile(trace.build_ms, share / 100), 2) for share in (50, 95, 99)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).parent.parent / "codeface_lsp")
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--keys", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    root = options.root.resolve()
    sizes = {file: file.stat().st_size for file in sorted(root.rglob("*.py"))}
    files = sorted((file for file, size in sizes.items() if 5_000 < size < 200_000), key=lambda f: -sizes[f])
    chosen = random.Random(options.seed).sample(files, min(options.files, len(files)))
    per_file = -(-options.keys // len(chosen))
    print(json.dumps(asyncio.run(run(root, chosen, per_file, options.seed)), indent=2))


if __name__ == "__main__":
    main()
