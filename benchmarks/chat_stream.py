"""How long a streamed token takes from the model server to the editor, against a plain client of the same stream.

A scripted model server sends one piece at a time; each is timed to its `$/progress` in a language client and, in turn,
to its event in an HTTP client. First tokens are those of a conversation each.
python -m benchmarks.chat_stream [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from benchmarks.report import Row, report
from tests.e2e.scripted_chat import ScriptedModel
from tests.http_servers import serve
from tests.lsp_client import LspClient, language_server

PIECES = 8
Delays = dict[str, list[float]]


async def through_codeface(client: LspClient, model: ScriptedModel, number: int, delays: Delays) -> None:
    """One conversation: seconds from each piece's sending to its arrival in the editor."""
    token, before = f"t{number}", len(model.sent_at)
    steps = client.notifications["$/progress"]
    _, answer = client.start("codeface/chat", {"message": "go", "partialResultToken": token})
    for piece in range(PIECES):
        model.let(1)
        await client.until(lambda piece=piece: sum(p["token"] == token for p in steps) > piece)
        delay = time.perf_counter() - model.sent_at[before + piece]
        delays["ours first" if piece == 0 else "ours later"].append(delay)
    await answer
    steps.clear()


async def through_http(http: httpx2.AsyncClient, model: ScriptedModel, delays: Delays) -> None:
    """The same stream as a plain client has it."""
    before, piece = len(model.sent_at), 0
    model.let(1)
    body = {"messages": [{"role": "user", "content": "go"}], "stream": True}
    async with http.sse("/v1/chat/completions", method="POST", json=body) as events:
        async for event in events:
            if event.data == "[DONE]" or not json.loads(event.data)["choices"][0]["delta"]:
                continue
            delay = time.perf_counter() - model.sent_at[before + piece]
            delays["echo first" if piece == 0 else "echo later"].append(delay)
            piece += 1
            model.let(piece < PIECES)


@asynccontextmanager
async def window(url: str) -> AsyncIterator[LspClient]:
    """A language server on that model server."""
    endpoint = {"name": "scripted", "url": url, "dialect": "openai", "model": "scripted"}
    with tempfile.TemporaryDirectory() as home:
        async with language_server(Path(home)) as client:
            await client.initialize(options={"endpoints": [endpoint], "context": {"index": False}})
            yield client


async def measure(rounds: int) -> list[Row]:
    model = ScriptedModel(lambda messages: ["word "] * PIECES, held=True)
    delays: Delays = {f"{who} {which}": [] for who in ("ours", "echo") for which in ("first", "later")}
    async with (
        serve(model.app()) as url,
        window(url) as client,
        httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60) as http,
    ):
        for number in range(rounds):
            await through_codeface(client, model, number, delays)
            await through_http(http, model, delays)
    return [row(which, quantile, delays) for which in ("first", "later") for quantile in (50, 95)]


def row(which: str, quantile: int, delays: Delays) -> Row:
    """One figure in milliseconds, ours and the plain client's."""
    ours, echo = (
        statistics.quantiles(delays[f"{who} {which}"], n=100)[quantile - 1] * 1000 for who in ("ours", "echo")
    )
    return {
        "name": f"{which} token, model server to editor (p{quantile}, at most 10)",
        "ours": round(ours, 2),
        "peer": round(echo, 2),
        "peer_name": "plain HTTP client",
        "ratio": round(ours / echo, 1),
        "unit": "ms",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report(asyncio.run(measure(options.rounds)), options.json)
