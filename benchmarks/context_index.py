"""The symbol index: speed, size, lookups, and how they grow: `python -m benchmarks.context_index [--sizes 10000]`.

Makes workspaces of real installed files with about so many lines. The speed is one of wall time, as several processes
have a part in it: nothing else should run. Other times are those of the processor, and beside them stands the ratio to
parsing the same files alone, which holds on any machine. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from codeface_lsp.context import syntax
from codeface_lsp.workspace import store
from codeface_lsp.workspace.indexing import Indexer
from codeface_lsp.workspace.reader import Reader

PACKAGES = ("sympy", "transformers", "networkx", "torch", "matplotlib", "pip")


def workspace(folder: Path, lines: int) -> int:
    """Copy real files until there are `lines` lines; returns how many there are."""
    source = Path(sysconfig.get_path("purelib"))
    total = 0
    for package in PACKAGES:
        for file in sorted((source / package).rglob("*.py")):
            if file.stat().st_size > 500_000:
                continue
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
            total += file.read_bytes().count(b"\n")
            if total >= lines:
                return total
    return total


def cpu() -> float:
    mine, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime


def timed(action: Callable[[], object]) -> float:
    started = cpu()
    action()
    return cpu() - started


def quietly(action: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            action()

    return run


def parse_alone(folder: Path) -> None:
    for file in folder.rglob("*.py"):
        syntax.parse(file.read_text(encoding="utf-8", errors="replace"), "python")


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def lookups(database: Path, rng: random.Random) -> dict[str, float]:
    """Milliseconds of questions such as a completion asks: 20 names at once, one file, one search."""
    with contextlib.closing(sqlite3.connect(database)) as db:
        names = [row[0] for row in db.execute("SELECT DISTINCT name FROM symbols ORDER BY name")]
    names = rng.sample(names, min(900, len(names)))
    reader = Reader(database)
    spent: list[float] = []
    for _ in range(300):
        wanted = rng.sample(names, 20)
        started = time.thread_time()
        reader.named(wanted, 400)
        spent.append((time.thread_time() - started) * 1e3)
    searched: list[float] = []
    for _ in range(30):
        started = time.thread_time()
        reader.search([name.lower() for name in rng.sample(names, 3)])
        searched.append((time.thread_time() - started) * 1e3)
    single: list[float] = []
    for name in rng.sample(names, 300):
        started = time.thread_time()
        reader.named([name])
        single.append((time.thread_time() - started) * 1e3)
    reader.close()
    return {
        "one_name_p50_ms": round(percentile(single, 0.5), 3),
        "one_name_p95_ms": round(percentile(single, 0.95), 3),
        "20_names_p50_ms": round(percentile(spent, 0.5), 3),
        "20_names_p95_ms": round(percentile(spent, 0.95), 3),
        "search_p50_ms": round(percentile(searched, 0.5), 3),
    }


def process(folder: Path) -> tuple[float, float]:
    """Seconds from the start of the indexing process until it is ready, and peak memory of it and its workers in MB."""
    command = [sys.executable, "-m", "codeface_lsp.workspace.indexing", str(folder), "1024"]
    started = time.perf_counter()
    indexing = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.02):
            peak = max(peak, resident(psutil.Process(indexing.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert indexing.stdout is not None
    next(line for line in indexing.stdout if b'"ready"' in line)
    spent = time.perf_counter() - started
    ended.set()
    watcher.join()
    indexing.communicate()
    return round(spent, 2), round(peak / 1e6, 1)


def resident(indexing: psutil.Process) -> int:
    total = 0
    for each in (indexing, *indexing.children()):
        with contextlib.suppress(psutil.Error):  # a worker may have ended since
            total += each.memory_info().rss
    return total


def one(size: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as directory:
        home, folder = Path(directory) / "home", Path(directory) / "workspace"
        folder.mkdir()
        os.environ["CODEFACE_HOME"] = str(home)
        lines = workspace(folder, size)
        from_start, peak = process(folder)
        shutil.rmtree(home)
        indexer = Indexer(folder, 1 << 20)
        wall = time.perf_counter()
        cold = timed(quietly(indexer.scan))
        wall = time.perf_counter() - wall
        alone = timed(lambda: parse_alone(folder))
        again = timed(quietly(indexer.scan))
        file = next(
            file for file in sorted(folder.rglob("*.py")) if 200 < file.read_bytes().count(b"\n") < 600
        )
        file.write_text(file.read_text(encoding="utf-8") + "\n\ndef added():\n    pass\n", encoding="utf-8")
        saved = timed(quietly(lambda: indexer.update([str(file)])))
        database = store.path_of(folder)
        source = sum(each.stat().st_size for each in folder.rglob("*.py"))
        found = lookups(database, random.Random(1))
        return {
            "lines": lines,
            "wall_s": round(wall, 2),
            "lines_per_second": round(lines / wall),
            "from_process_start_s": from_start,
            "cpu_s": round(cold, 2),
            "lines_per_cpu_second": round(lines / cold),
            "times_parsing_alone": round(cold / alone, 2),
            "unchanged_scan_s": round(again, 3),
            "one_saved_file_ms": round(saved * 1e3, 1),
            "size_of_source": round(database.stat().st_size / source, 3),
            "peak_memory_mb": peak,
            "lookups": found,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    print(json.dumps([one(size) for size in options.sizes], indent=1))


if __name__ == "__main__":
    main()
