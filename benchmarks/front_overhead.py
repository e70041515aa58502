"""What the language server adds to a key: didChange + inlineCompletion on a 10,000-line file.

Ours, with a model server that answers at once, against an empty pygls handler and an echo over HTTP, interleaved.
Run as `python -m benchmarks.front_overhead [--json FILE]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import psutil

from tests.lsp_client import LspClient, language_server

LINES = 10_000
KEYS = 300
URI = "file:///project/large.py"
EMPTY = [sys.executable, "-m", "benchmarks.empty_server"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def large_file() -> str:
    rng = random.Random(0)
    source = Path(json.__file__).with_name("decoder.py").read_text(encoding="utf-8").split("\n")
    lines: list[str] = []
    while len(lines) < LINES:
        lines += source
        lines.append(f"MARK_{rng.randrange(10**9)} = {len(lines)}")
    return "\n".join(lines[:LINES])


async def start(client: LspClient, text: str) -> None:
    await client.initialize()
    client.open(URI, text)
    await client.inline(URI, 0, 0)


async def key(client: LspClient, number: int, line: int) -> float:
    """Type one character at the end of a statement's own line and ask; seconds until the answer."""
    started = time.perf_counter()
    client.change(URI, number + 2, (line, number), (line, number), "abcdefghij"[number % 10])
    await client.inline(URI, line, number + 1, invoked=False)
    return time.perf_counter() - started


async def echo(http: httpx2.AsyncClient, body: bytes) -> float:
    started = time.perf_counter()
    await http.post("/echo", content=body)
    return time.perf_counter() - started


def resident(client: LspClient) -> float:
    return psutil.Process(client.process.pid).memory_info().rss / 2**20


async def measure() -> list[dict[str, object]]:
    port = free_port()
    text = large_file()
    line = text[: len(text) // 2].count("\n")
    text = "\n".join([*text.split("\n")[:line], "", *text.split("\n")[line:]])
    instant = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.instant_server", str(port)
    )
    endpoint = [{"name": "instant", "url": f"http://127.0.0.1:{port}", "dialect": "llama-server"}]
    environ = {"CODEFACE_ENDPOINTS": json.dumps(endpoint), "CODEFACE_COMPLETION__PREFETCH": "false"}
    times: dict[str, list[float]] = {"ours": [], "empty": [], "echo": []}
    with tempfile.TemporaryDirectory() as home:
        try:
            async with (
                language_server(Path(home), environ=environ) as ours,
                language_server(Path(home), command=EMPTY) as empty,
                httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
            ):
                await asyncio.gather(start(ours, text), start(empty, text))
                for number in range(KEYS):
                    times["ours"].append(await key(ours, number, line))
                    times["empty"].append(await key(empty, number, line))
                    times["echo"].append(await echo(http, b"x" * 6000))
                memory = resident(ours)
        finally:
            instant.terminate()
            await instant.wait()
    ms = {name: statistics.median(values) * 1000 for name, values in times.items()}
    over = ms["ours"] - ms["empty"]
    return [
        {
            "name": "key to answer, 10,000 lines, model answers at once (p50)",
            "ours": ms["ours"],
            "peer": ms["empty"],
            "peer_name": "empty handler",
            "ratio": ms["ours"] / ms["empty"],
            "unit": "ms",
        },
        {
            "name": "front overhead without the hop (p50, at most 4)",
            "ours": over - ms["echo"],
            "peer": ms["echo"],
            "peer_name": "HTTP echo",
            "ratio": over / ms["echo"],
            "unit": "ms",
        },
        {
            "name": "resident memory of the language server",
            "ours": memory,
            "peer": 120.0,
            "peer_name": "bound",
            "ratio": memory / 120,
            "unit": "MiB",
        },
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = asyncio.run(measure())
    for row in rows:
        print(f"{row['name']}: {row['ours']:.2f} against {row['peer_name']} {row['peer']:.2f} {row['unit']}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))
