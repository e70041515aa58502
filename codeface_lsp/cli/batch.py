"""`codeface batch`: many prompts at once, for throughput."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from codeface_lsp import settings
from codeface_lsp.errors import CodeFaceError

_AT_ONCE = 16
"""Prompts of one request; the engine pads them into one batch."""


def batch(
    file: Annotated[
        Path,
        typer.Argument(
            help="One prompt a line: a JSON string, an object with `prompt`, or plain text; `-` is stdin."
        ),
    ],
    model: Annotated[str | None, typer.Option(help="Model; without one, the completion model.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of each answer.")] = 128,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0 is greedy.")] = 0.0,
    stop: Annotated[list[str] | None, typer.Option(help="Stop string; may be given several times.")] = None,
) -> None:
    """Continue every prompt of a file in padded batches; prints JSON lines, and tokens/s on stderr."""
    prompts = _read(file)
    body = {"max_tokens": max_tokens, "temperature": temperature, "stop": stop or []}
    body |= {"model": model} if model is not None else {}
    started = time.perf_counter()
    tokens = asyncio.run(_run(prompts, body))
    seconds = time.perf_counter() - started
    typer.echo(
        f"{len(prompts)} prompts, {tokens} tokens in {seconds:.1f} s: {tokens / seconds:.1f} tokens/s",
        err=True,
    )


async def _run(prompts: list[str], body: dict[str, Any]) -> int:
    """Print every answer as soon as its batch is done; returns the number of tokens generated."""
    from codeface_lsp.endpoints.codeface import CodefaceServer
    from codeface_lsp.endpoints.local import LocalEngine

    engine = LocalEngine(settings.load())
    tokens = 0
    try:
        server = await engine.server()
        if not isinstance(server, CodefaceServer):
            raise CodeFaceError(
                "Batches need CodeFace's own engine; take `engine.command` out of your settings."
            )
        for start in range(0, len(prompts), _AT_ONCE):
            part = prompts[start : start + _AT_ONCE]
            answer = await server.client.post("/v1/completions", {**body, "prompt": part}, timeout_s=3600)
            tokens += int(answer["usage"]["completion_tokens"])
            for choice in sorted(answer["choices"], key=lambda choice: int(choice["index"])):
                line = {
                    "prompt": part[choice["index"]],
                    "text": choice["text"],
                    "finish_reason": choice["finish_reason"],
                }
                typer.echo(json.dumps(line, ensure_ascii=False))
    finally:
        await engine.aclose()
    return tokens


def _read(file: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CodeFaceError(
            f"{file} cannot be read as text; give a UTF-8 file with one prompt a line."
        ) from error
    prompts = [_prompt(line) for line in text.splitlines() if line.strip()]
    if not prompts:
        raise CodeFaceError(f"{file} has no prompts; write one a line.")
    return prompts


def _prompt(line: str) -> str:
    """A line as JSON if it is a string or an object with `prompt`, else as it stands."""
    try:
        data = json.loads(line)
    except ValueError:
        return line
    if isinstance(data, dict):
        data = data.get("prompt")
    return data if isinstance(data, str) else line
