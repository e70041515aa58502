"""The engine's figures against transformers' `generate`.

Same weights and prompts, one process per engine, interleaved.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any

from codeface_lsp import paths

Row = dict[str, Any]
"""`{"name", "ours", "peer", "peer_name", "ratio", "unit"}`; `ratio` is ours / peer."""

OURS = "codeface"
PLAIN = "codeface-plain"
PEERS = ("float32", "bfloat16")
RANDOM = "random"
BUDGET_S = 40.0
"""After so long no further round of a comparison begins."""
PAUSE_S = 0.05
"""OpenMP's threads of the engine before spin for milliseconds, on the processors that the next one wants."""


class Worker:
    """A process with one engine in it."""

    def __init__(self, command: Sequence[str], threads: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._line()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        with self._process:
            pass

    def measure(self, what: str) -> float:
        """Seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError("a benchmark process ended early; what it printed above says why")
        return line.strip()


def command(engine: str, model: str, threads: int) -> list[str]:
    """What starts the worker of our engine or of transformers."""
    return [sys.executable, "-m", "codeface_lsp.inference.bench_worker", engine, model, str(threads)]


def rows(*, quick: bool = False) -> Iterator[Row]:
    """One more key, decoding, cancellation and speculation; `quick` leaves the 110M model out."""
    bundled = str(paths.shipped("bundled") / "codeface-tiny")
    for label, model in (("codeface-tiny", bundled), ("110M", RANDOM))[: 1 if quick else 2]:
        yield from keys(label, model, rounds=3 if quick else 7)
        yield from decode(label, model, rounds=3 if quick else 7)
        yield from cancel(label, model, rounds=3 if quick else 9)
    yield from speculation("codeface-tiny", bundled, rounds=3 if quick else 7)


def keys(label: str, model: str, rounds: int = 7, threads: int = 0) -> Iterator[Row]:
    """First token after one more key on 1,000 tokens, and after a prompt never seen."""
    taken = interleaved(model, (OURS, *PEERS), ("key", "cold"), rounds, threads)
    ours, baseline = taken[OURS], min(PEERS, key=lambda peer: statistics.median(taken[peer]["key"]))
    yield row(f"one more key on 1,000 tokens, {label}", ours["key"], ours["cold"], "the same engine, cold")
    yield row(
        f"one more key on 1,000 tokens, {label}", ours["key"], taken[baseline]["key"], _generate(baseline)
    )
    yield row(
        f"cold prefill of 1,000 tokens, {label}", ours["cold"], taken[baseline]["cold"], _generate(baseline)
    )


def decode(label: str, model: str, rounds: int = 7, threads: int = 0) -> Iterator[Row]:
    """Tokens per second behind 1,000 tokens."""
    taken = interleaved(model, (OURS, *PEERS), ("decode",), rounds, threads)
    baseline = min(PEERS, key=lambda peer: statistics.median(taken[peer]["decode"]))
    yield rate(
        f"decoding behind 1,000 tokens, {label}",
        taken[OURS]["decode"],
        taken[baseline]["decode"],
        _generate(baseline),
    )


def cancel(label: str, model: str, rounds: int = 9, threads: int = 0) -> Iterator[Row]:
    """Until the engine is free after a cancellation in a prefill, and how late its event loop wakes."""
    taken = interleaved(model, (OURS, PEERS[1]), ("cancel",), rounds, threads)
    peer = taken[PEERS[1]]["cancel"]
    yield row(f"cancelling a prefill, {label}", taken[OURS]["cancel"], peer, _generate(PEERS[1]))
    yield row(
        f"cancelling a prefill, slowest of {rounds}, {label}",
        [max(taken[OURS]["cancel"])],
        [max(peer)],
        _generate(PEERS[1]),
    )
    late = interleaved(model, (OURS,), ("delay", "idle_delay"), max(3, rounds // 3), threads)[OURS]
    yield row(f"event loop late while decoding, p99, {label}", late["delay"], late["idle_delay"], "idle")


def speculation(label: str, model: str, rounds: int = 7, threads: int = 0) -> Iterator[Row]:
    """Tokens per second of a chat with drafts against without, where the answer copies and where it does not."""
    taken = interleaved(model, (OURS, PLAIN), ("copying", "novel"), rounds, threads)
    for what, name in (("copying", "an answer that copies"), ("novel", "an answer that repeats nothing")):
        yield rate(f"drafting for {name}, {label}", taken[OURS][what], taken[PLAIN][what], "no drafting")


def interleaved(
    model: str,
    engines: Sequence[str],
    measures: Sequence[str],
    rounds: int,
    threads: int = 0,
    others: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> dict[str, dict[str, list[float]]]:
    """Seconds by engine and measurement; the engines take turns, so that a busy moment hits all of them.

    `others` are further engines, each with the command that starts a worker of the same protocol.
    On a slow or busy machine there are fewer rounds, at least one, so that all of it ends within minutes.
    """
    until = time.monotonic() + BUDGET_S
    count = threads or max(1, min(2, os.cpu_count() or 1))
    with ExitStack() as stack:
        commands = {engine: command(engine, model, count) for engine in engines} | dict(others)
        workers = {name: stack.enter_context(Worker(started, count)) for name, started in commands.items()}
        taken: dict[str, dict[str, list[float]]] = {name: {m: [] for m in measures} for name in workers}
        for done in range(rounds):
            if done and time.monotonic() > until:
                break
            for measure in measures:
                for engine, worker in workers.items():
                    time.sleep(PAUSE_S)
                    taken[engine][measure].append(worker.measure(measure))
        return taken


def row(name: str, ours: Sequence[float], peer: Sequence[float], peer_name: str) -> Row:
    """Medians in milliseconds; a ratio below 1 is faster."""
    mine, theirs = statistics.median(ours) * 1000, statistics.median(peer) * 1000
    return {
        "name": name,
        "ours": round(mine, 3),
        "peer": round(theirs, 3),
        "peer_name": peer_name,
        "ratio": round(mine / theirs, 4),
        "unit": "ms",
    }


def rate(name: str, ours: Sequence[float], peer: Sequence[float], peer_name: str) -> Row:
    """Medians in tokens per second; a ratio above 1 is faster."""
    mine, theirs = 1 / statistics.median(ours), 1 / statistics.median(peer)
    return {
        "name": name,
        "ours": round(mine, 1),
        "peer": round(theirs, 1),
        "peer_name": peer_name,
        "ratio": round(mine / theirs, 3),
        "unit": "tokens/s",
    }


def _generate(dtype: str) -> str:
    return f"transformers generate, {dtype}"
