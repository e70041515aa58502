"""What serving costs: the HTTP hop against a bare echo route, and the start against transformers' own."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from codeface_lsp import paths
from codeface_lsp.inference.types import Delta, GenerationRequest, TokenLogprob, Usage
from codeface_lsp.models.types import LoadedModel, Role
from codeface_lsp.serving.app import create_app
from codeface_lsp.serving.core import Core, Parts
from codeface_lsp.serving.main import listen, make_server
from codeface_lsp.serving.mock import MockEngine, MockManager, MockTokenizer
from codeface_lsp.settings import EngineSettings, Settings

_TOKEN = "bench"
_HEADERS = {"Authorization": f"Bearer {_TOKEN}"}
_TEXT = "def total(items):\n    result = 0\n" * 300
_BODY: dict[str, Any] = {
    "input_prefix": "def total(items):\n    result = 0\n" * 80,
    "input_suffix": "\n\nprint(total([1, 2, 3]))\n" * 10,
    "input_extra": [{"filename": "shop/item.py", "text": "class Item:\n    price = 1\n" * 20}],
    "filename": "shop/cart.py",
    "stop": ["\n\n"],
    "n_predict": 64,
    "stream": True,
    "client": "bench",
}


class _InstantEngine(MockEngine):
    """Answers one token at once."""

    async def generate(self, model: LoadedModel, request: GenerationRequest) -> AsyncGenerator[Delta]:
        yield Delta(text="x", tokens=(TokenLogprob(120, -0.1),))
        yield Delta(finish_reason="eos", usage=Usage(len(request.prompt), 0, 1))


class _InstantTokenizer(MockTokenizer):
    """Tokenizing belongs to the model's work, not to the hop."""

    def encode(self, text: str) -> list[int]:
        return list(text[:64].encode())


class _InstantManager(MockManager):
    async def acquire(self, name: str | None, role: Role) -> LoadedModel:
        model = await super().acquire(name, role)
        model.tokenizer = _InstantTokenizer()
        return model


class _InstantCore(Core):
    def start(self) -> None:
        parts = Parts(_InstantManager(self.settings), _InstantEngine(self.settings))
        self._parts = asyncio.create_task(asyncio.sleep(0, parts))


@asynccontextmanager
async def _serving(app: ASGIApp) -> AsyncGenerator[str]:
    listener = listen(0)
    server = make_server(app)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 (uvicorn offers no event)
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
        listener.close()


async def _echo(request: Request) -> Response:
    return JSONResponse(await request.json())


async def measure_hop(rounds: int = 300) -> dict[str, Any]:
    """One row: p50 milliseconds of `/infill` (streamed, read to its end) and of the echo route, interleaved."""
    core = _InstantCore(Settings(engine=EngineSettings(mock=True)))
    echo = Starlette(routes=[Route("/echo", _echo, methods=["POST"])])
    async with (
        _serving(create_app(core, _TOKEN, stop=lambda: None)) as ours,
        _serving(echo) as bare,
        httpx2.AsyncClient(headers=_HEADERS, trust_env=False) as client,
    ):
        versions = itertools.count(1)

        async def ask(url: str) -> None:
            version = next(versions)
            edit = (
                {"base": version - 1, "start": 8, "end": 8, "text": "x"} if version > 1 else {"text": _TEXT}
            )
            document = {"id": "file:///shop/cart.py", "version": version, **edit}
            (await client.post(url, json=_BODY | {"document": document})).raise_for_status()

        times: dict[str, list[float]] = {f"{ours}/infill": [], f"{bare}/echo": []}
        for round_number in range(rounds + 20):
            for url, taken in times.items():
                seconds = await _timed(lambda url=url: ask(url))  # type: ignore[misc]
                if round_number >= 20:
                    taken.append(seconds * 1000)
        mine, theirs = (statistics.median(taken) for taken in times.values())
    return {
        "name": "HTTP hop of /infill",
        "ours": round(mine, 3),
        "peer": round(theirs, 3),
        "peer_name": "echo route",
        "ratio": round(mine / theirs, 3),
        "unit": "ms p50",
    }


_TRANSFORMERS = """
import sys, transformers
transformers.AutoTokenizer.from_pretrained(sys.argv[1])
transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1])
"""


async def measure_start(rounds: int = 3) -> dict[str, Any]:
    """One row: seconds from the spawn of the engine to the bundled model's first token, against a process that
    imports transformers and loads the same model; interleaved, the best of each."""
    model = str(paths.shipped("bundled") / "codeface-tiny")
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        ours.append(await _timed(_first_token))
        theirs.append(await _timed(lambda: _run("-c", _TRANSFORMERS, model)))
    return {
        "name": "start to first token, codeface-tiny",
        "ours": round(min(ours), 3),
        "peer": round(min(theirs), 3),
        "peer_name": "import transformers + from_pretrained",
        "ratio": round(min(ours) / min(theirs), 3),
        "unit": "s",
    }


async def _first_token() -> None:
    with tempfile.TemporaryDirectory() as home:
        process = await _spawn("-m", "codeface_lsp.serving", CODEFACE_HOME=home)
        try:
            file = Path(home) / "run" / "engine-1.json"
            while not file.exists():  # noqa: ASYNC110 (another process is waited for)
                await asyncio.sleep(0.01)
            found = json.loads(file.read_text(encoding="utf-8"))
            headers = {"Authorization": f"Bearer {found['token']}"}
            url = f"http://127.0.0.1:{found['port']}/infill"
            async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=120) as client:
                (await client.post(url, json=_BODY | {"n_predict": 1})).raise_for_status()
        finally:
            process.kill()
            await process.wait()


async def _run(*arguments: str) -> None:
    process = await _spawn(*arguments)
    if await process.wait() != 0:
        raise RuntimeError(f"{arguments[0]} failed")


async def _spawn(*arguments: str, **environ: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env=os.environ | environ,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started
