"""How long the engine's event loop lets a client wait while the generation thread computes, against an idle engine.

    python -m benchmarks.serving_delay [--seconds 10] [--threads 1]

Delays are measured inside the engine's process, as how late a timer of 1 ms fires; idle and busy take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time

import httpx2

from codeface_lsp.serving.app import create_app
from codeface_lsp.serving.core import Core
from codeface_lsp.serving.main import listen, make_server
from codeface_lsp.settings import EngineSettings, Settings

TOKEN = "bench"
CHAT = {"messages": [{"role": "user", "content": "word " * 1200}], "max_tokens": 600, "temperature": 1}


async def delays(seconds: float) -> list[float]:
    late: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        due = time.perf_counter() + 0.001
        await asyncio.sleep(0.001)
        late.append(max(0.0, time.perf_counter() - due) * 1000)
    return late


def share(values: list[float], q: float) -> float:
    return round(sorted(values)[int(q * (len(values) - 1))], 3)


async def measure(seconds: float, threads: int) -> dict[str, object]:
    core = Core(Settings(engine=EngineSettings(threads=threads)))
    listener = listen(0)
    server = make_server(create_app(core, TOKEN, stop=lambda: None))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    idle: list[float] = []
    busy: list[float] = []
    async with httpx2.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=600
    ) as client:
        await client.post("/v1/chat/completions", json=CHAT | {"max_tokens": 2})

        async def talk() -> None:
            while True:
                async with client.stream(
                    "POST", "/v1/chat/completions", json=CHAT | {"stream": True}
                ) as answer:
                    async for _ in answer.aiter_raw():
                        pass

        for _ in range(4):
            idle += await delays(seconds / 8)
            talking = asyncio.create_task(talk())
            await asyncio.sleep(0.05)
            busy += await delays(seconds / 8)
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
            await asyncio.sleep(0.3)
    server.should_exit = True
    await serving
    return {
        "threads": threads,
        "load_average": os.getloadavg(),
        "idle_ms": {"p50": share(idle, 0.5), "p99": share(idle, 0.99)},
        "inferring_ms": {"p50": share(busy, 0.5), "p99": share(busy, 0.99)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measure(options.seconds, options.threads)), indent=2))


if __name__ == "__main__":
    main()
