"""From spawn to the answer to `initialize`, ours against an empty pygls server, interleaved; and resident memory.

Run as `python -m benchmarks.startup`.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.front_overhead import EMPTY, resident
from tests.lsp_client import language_server

ROUNDS = 7


async def spawn(home: Path, command: list[str] | None) -> tuple[float, float]:
    """Seconds until `initialize` is answered, and MiB resident shortly after."""
    environ = {"CODEFACE_ENGINE__AUTOSTART": "false"}
    started = time.perf_counter()
    async with language_server(home, environ=environ, command=command) as client:
        await client.initialize()
        elapsed = time.perf_counter() - started
        memory = resident(client)
        await client.shutdown()
    return elapsed, memory


async def measure() -> list[dict[str, object]]:
    ours, empty = [], []
    with tempfile.TemporaryDirectory() as home:
        for _ in range(ROUNDS):
            ours.append(await spawn(Path(home), None))
            empty.append(await spawn(Path(home), EMPTY))
    rows = []
    for index, (name, unit) in enumerate(
        (("initialize after spawn", "s"), ("resident after initialize", "MiB"))
    ):
        mine = statistics.median(sample[index] for sample in ours)
        floor = statistics.median(sample[index] for sample in empty)
        rows.append(
            {
                "name": name,
                "ours": mine,
                "peer": floor,
                "peer_name": "empty pygls",
                "ratio": mine / floor,
                "unit": unit,
            }
        )
    return rows


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure()), indent=2))
