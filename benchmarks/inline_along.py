"""Typing along a shown suggestion, against an empty handler: didChange + inlineCompletion, interleaved.

    python -m benchmarks.inline_along [--json FILE]

The suggestion comes from a model server that answers at once; only keys that are answered from memory are timed, and
the model server's log says that none of them reached it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.front_overhead import EMPTY, URI, free_port, large_file
from tests.lsp_client import LspClient, language_server

ROUNDS = 60
WORD = "value"
"""What `benchmarks.instant_server` answers."""


async def key(client: LspClient, version: int, line: int, column: int, text: str) -> tuple[float, bool]:
    """One key and its answer: seconds, and whether something was suggested."""
    started = time.perf_counter()
    client.change(URI, version, (line, column), (line, column), text)
    answer = await client.inline(URI, line, column + len(text), invoked=False)
    seconds = time.perf_counter() - started
    items = answer["items"] if isinstance(answer, dict) else answer
    return seconds, bool(items)


async def rounds(ours: LspClient, empty: LspClient, line: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {"ours": [], "empty": []}
    version, column = 1, 0
    for number in range(ROUNDS):
        start = f"a{number} = "
        for client in (ours, empty):
            await key(client, version + 1, line, column, start)
        version, column = version + 1, column + len(start)
        for sign in WORD[:-1]:
            version += 1
            for name, client in (("ours", ours), ("empty", empty)):
                seconds, shown = await key(client, version, line, column, sign)
                if name == "empty" or shown:
                    times[name].append(seconds)
            column += 1
        version, column = version + 1, column + 2
        for client in (ours, empty):
            client.change(URI, version, (line, column - 2), (line, column - 2), "e;")
    return times


async def measure(lines: int) -> dict[str, object]:
    port = free_port()
    text = "\n".join(large_file().split("\n")[:lines])
    line, text = 0, "\n" + text  # everything has to be carried along behind the cursor
    instant = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.instant_server", str(port)
    )
    endpoint = [{"name": "instant", "url": f"http://127.0.0.1:{port}", "dialect": "llama-server"}]
    environ = {"CODEFACE_ENDPOINTS": json.dumps(endpoint), "CODEFACE_COMPLETION__PREFETCH": "false"}
    with tempfile.TemporaryDirectory() as home:
        try:
            async with (
                language_server(Path(home), environ=environ) as ours,
                language_server(Path(home), command=EMPTY) as empty,
            ):
                for client in (ours, empty):
                    await client.initialize()
                    client.open(URI, text)
                    await client.inline(URI, 0, 0)
                times = await rounds(ours, empty, line)
        finally:
            instant.terminate()
            await instant.wait()
    mine, floor = (statistics.median(times[name]) * 1000 for name in ("ours", "empty"))
    return {
        "name": f"typing along, {lines:,} lines (p50, at most 1.5x)",
        "ours": round(mine, 3),
        "peer": round(floor, 3),
        "peer_name": "empty handler",
        "ratio": round(mine / floor, 3),
        "unit": "ms",
        "keys": len(times["ours"]),
        "keys_in_all": len(times["empty"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [asyncio.run(measure(lines)) for lines in (100, 1000, 10_000)]
    text = json.dumps(rows, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
