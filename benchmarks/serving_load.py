"""Eight editors type into real files, in an open loop, against one engine with the model that comes with CodeFace.

    python -m benchmarks.serving_load [--seconds 60] [--editors 8] [--json FILE]

Keys follow `benchmarks/keystrokes.py` over modules of the standard library. The capacity is measured first (every
editor asks again as soon as it is answered), then half of it is offered with a chat streaming beside, then three times
of it. Every request must be answered: whole, as superseded by the same editor's next key, or as busy.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks.keystrokes import keys

FILES = ("argparse", "textwrap", "configparser", "csv", "shlex", "difflib", "optparse", "calendar")
PREFIX_CHARS = 3000
SUFFIX_CHARS = 600
N_PREDICT = 16


@dataclass
class Load:
    """What one phase saw."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    chat_tokens: int = 0

    def row(self) -> dict[str, Any]:
        ordered = sorted(self.seconds)
        share = lambda q: round(ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1000, 1)  # noqa: E731
        return {
            "outcomes": dict(self.outcomes),
            "answered_p50_ms": share(0.5) if ordered else None,
            "answered_p95_ms": share(0.95) if ordered else None,
            "chat_tokens": self.chat_tokens,
            "rss_first_mb": round(statistics.mean(self.rss[: max(1, len(self.rss) // 10)]) / 1e6, 1),
            "rss_last_mb": round(statistics.mean(self.rss[-max(1, len(self.rss) // 10) :]) / 1e6, 1),
        }


def trace(editor: int) -> Iterator[dict[str, Any]]:
    """Requests of one editor: the prompt after each key, for ever; the window's top edge moves in big steps."""
    path = Path(os.__file__).parent / f"{FILES[editor % len(FILES)]}.py"
    text = path.read_text(encoding="utf-8")
    version = 0
    for round_number in itertools.count():
        start = (len(text) // 3 + round_number * 700) % (len(text) - 2000)
        start = text.find("\n", start) + 1
        for event in keys(text, start, start + 600, seed=editor * 1000 + round_number):
            version += 1
            top = max(0, (event.offset - PREFIX_CHARS // 2) // 1500 * 1500)
            below = event.text.find("\n", event.offset) + 1 or len(event.text)
            yield {
                "input_prefix": event.text[top : event.offset],
                "input_suffix": event.text[below : below + SUFFIX_CHARS],
                "filename": path.name,
                "n_predict": N_PREDICT,
                "stop": ["\n"],
                "stream": True,
                "client": f"editor-{editor}",
                "document": {"id": path.name, "version": version},
            }


async def ask(client: httpx2.AsyncClient, body: dict[str, Any], load: Load) -> None:
    began = time.perf_counter()
    outcome = "unanswered"
    try:
        async with client.stream("POST", "/infill", json=body, timeout=120) as answer:
            if answer.status_code == 503:
                await answer.aread()
                outcome = "busy"
            elif answer.status_code != 200:
                outcome = f"HTTP {answer.status_code}"
            else:
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        event = json.loads(line[6:])
                        if event.get("stop"):
                            outcome = "superseded" if event["stop_type"] == "cancelled" else "answered"
                        elif "error" in event:
                            outcome = event["error"]["code"]
    except httpx2.HTTPError as error:
        outcome = type(error).__name__
    load.outcomes[outcome] += 1
    if outcome == "answered":
        load.seconds.append(time.perf_counter() - began)


async def closed_loop(client: httpx2.AsyncClient, editors: int, seconds: float) -> float:
    """Answered requests per second when everybody asks as soon as it can."""
    load = Load()
    until = time.perf_counter() + seconds

    async def editor(number: int) -> None:
        for body in trace(number):
            await ask(client, body, load)
            if time.perf_counter() > until:
                return

    await asyncio.gather(*(editor(number) for number in range(editors)))
    return load.outcomes["answered"] / seconds


async def open_loop(
    client: httpx2.AsyncClient,
    engine: psutil.Process,
    editors: int,
    rate: float,
    seconds: float,
    *,
    chat: bool,
) -> Load:
    """Offer `rate` requests per second in all, whether they are answered or not."""
    load = Load()
    until = time.perf_counter() + seconds
    tasks: set[asyncio.Task[None]] = set()

    async def editor(number: int) -> None:
        pause = editors / rate
        due = time.perf_counter() + pause * number / editors
        for body in trace(number):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if time.perf_counter() > until:
                return
            task = asyncio.create_task(ask(client, body, load))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due += pause

    async def watch() -> None:
        while time.perf_counter() < until:
            load.rss.append(engine.memory_info().rss)
            await asyncio.sleep(0.5)

    talking = asyncio.create_task(talk(client, load)) if chat else None
    await asyncio.gather(watch(), *(editor(number) for number in range(editors)))
    await asyncio.gather(*tasks)
    if talking is not None:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
    return load


async def talk(client: httpx2.AsyncClient, load: Load) -> None:
    messages = [{"role": "user", "content": "Explain what a list comprehension is."}]
    body = {"messages": messages, "stream": True, "max_tokens": 1000, "client": "chat"}
    while True:
        async with client.stream("POST", "/v1/chat/completions", json=body, timeout=300) as answer:
            async for line in answer.aiter_lines():
                load.chat_tokens += line.startswith("data: {")


async def measure(seconds: float, editors: int, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        environ = os.environ | {"CODEFACE_HOME": home, "CODEFACE_ENGINE__THREADS": str(threads)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "codeface_lsp.serving", env=environ
        )
        file = Path(home) / "run" / "engine-1.json"
        while not file.exists():
            assert process.returncode is None
            await asyncio.sleep(0.05)
        found = json.loads(file.read_text())
        limits = httpx2.Limits(max_connections=None)
        headers = {"Authorization": f"Bearer {found['token']}"}
        url = f"http://127.0.0.1:{found['port']}"
        engine = psutil.Process(found["pid"])
        try:
            async with httpx2.AsyncClient(
                base_url=url, headers=headers, trust_env=False, limits=limits
            ) as client:
                await closed_loop(client, editors, min(8, seconds))  # warm up
                capacity = await closed_loop(client, editors, min(15, seconds))
                each = capacity / 2 / editors
                single = await open_loop(client, engine, 1, each, min(20, seconds), chat=False)
                half = await open_loop(client, engine, editors, capacity / 2, seconds, chat=True)
                triple = await open_loop(client, engine, editors, capacity * 3, seconds, chat=True)
                after = await open_loop(client, engine, 1, each, 5, chat=False)
        finally:
            process.terminate()
            await process.wait()
    alone, shared = single.row(), half.row()
    return {
        "editors": editors,
        "seconds": seconds,
        "threads": threads,
        "load_average": os.getloadavg(),
        "capacity_per_s": round(capacity, 1),
        "single": alone,
        "half_of_capacity_with_chat": shared,
        "three_times_capacity_with_chat": triple.row(),
        "single_afterwards": after.row(),
        "p95_ratio": round(shared["answered_p95_ms"] / alone["answered_p95_ms"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--editors", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = asyncio.run(measure(options.seconds, options.editors, options.threads))
    print(json.dumps(report, indent=2))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
