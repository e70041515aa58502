"""After the last key nothing goes on: neither in the language server nor in its engine."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psutil

from tests.lsp_client import SERVER, LspClient, language_server

URI = "file:///project/main.py"
WITHIN_S = 1.0
"""Processor time after the last answer: on a machine that does nothing else, that is a second at most."""
WINDOW_S = 0.5
QUIET_S = 0.05
"""Processor time in a window that counts as none: timers, and the kernel's accounting in ticks of 10 ms."""


def busy(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(float(each.user + each.system) for each in times)


async def type_keys(client: LspClient, keys: str, line: int, column: int) -> None:
    for number, key in enumerate(keys):
        client.change(URI, number + 2, (line, column + number), (line, column + number), key)
        await client.inline(URI, line, column + number + 1, invoked=False)


async def test_both_processes_are_idle_within_a_second_after_the_last_key(tmp_path: Path) -> None:
    environ = {"CODEFACE_ENGINE__THREADS": "1", "CODEFACE_CONTEXT__INDEX": "false"}
    async with language_server(tmp_path, environ=environ, command=SERVER) as client:
        await client.initialize()
        client.open(URI, "class Stack:\n    def __init__(self):\n        self.items = []\n\n    ")
        await client.inline(URI, 4, 4)
        await type_keys(client, "def push(self, item):", 4, 4)
        [runtime] = (tmp_path / "run").glob("engine-*.json")
        processes = [
            psutil.Process(client.process.pid),
            psutil.Process(json.loads(runtime.read_text())["pid"]),
        ]
        before = last = busy(processes)
        async with asyncio.timeout(30):
            while True:
                await asyncio.sleep(WINDOW_S)
                now = busy(processes)
                if now - last < QUIET_S:
                    break
                last = now
        assert now - before < WITHIN_S
        await asyncio.sleep(2 * WINDOW_S)
        assert busy(processes) - now < 2 * QUIET_S, "and it stays so"
