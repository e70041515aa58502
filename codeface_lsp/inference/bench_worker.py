"""One engine in a process of its own, measured on command: engines loaded side by side would slow each other down.

    python -m codeface_lsp.inference.bench_worker ENGINE MODEL THREADS

`ENGINE` is codeface, codeface-plain (drafting off), float32 or bfloat16 (transformers' `generate`). `MODEL` is a folder
or `random` for a Llama of 110M parameters with random weights. Reads names of measurements from standard input, a line
each, and answers with a number, in seconds.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.threads import settle
from codeface_lsp.inference.types import Delta, GenerationRequest, Sampling, Usage
from codeface_lsp.models import loader
from codeface_lsp.models.aside import aside
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.prompting.families import FAMILIES
from codeface_lsp.settings import EngineSettings

PROMPT_TOKENS = 1000
DECODED_TOKENS = 33
CONTEXT = 2048


class _AnyText:
    """Random weights have no words: every token reads `x`, none ends the text."""

    vocab_size = 16384
    eos_ids: frozenset[int] = frozenset()
    bos_id = None
    chat_template = None

    def encode(self, text: str) -> list[int]:
        return [5] * len(text)

    def token_bytes(self, token_id: int) -> bytes:
        return b"x"


def load(source: str) -> LoadedModel:
    """The model to measure, in float32 on the CPU; nothing ends its answers early."""
    if source != "random":
        model = loader.load(Path(source), "completion", EngineSettings(device="cpu", dtype="float32"))
        return replace(model, tokenizer=_AnyText())  # type: ignore[arg-type]
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=12,
        vocab_size=16384,
        max_position_embeddings=CONTEXT,
    )
    model = transformers.LlamaForCausalLM(config).eval().requires_grad_(False)
    return LoadedModel(
        name="random-110M",
        source="random",
        role="completion",
        model=model,
        tokenizer=_AnyText(),  # type: ignore[arg-type]
        family=FAMILIES["plain"],
        context_length=CONTEXT,
        device=torch.device("cpu"),
        dtype=torch.float32,
        parameters=sum(p.numel() for p in model.parameters()),
    )


def prompt(seed: int, vocabulary: int) -> list[int]:
    """Random tokens: no prefix in common with another seed's."""
    chance = random.Random(seed)
    return [chance.randrange(10, vocabulary) for _ in range(PROMPT_TOKENS)]


class Ours:
    """CodeFace's engine, timed by its own figures."""

    def __init__(self, model: LoadedModel, threads: int, *, speculation: bool) -> None:
        self._model = model
        self._vocabulary = int(model.model.config.vocab_size)
        self._engine = Engine(
            EngineSettings(threads=threads, device="cpu", mixture=False, speculation=speculation)
        )
        self._seeds = iter(range(1_000_000))
        self._loop = asyncio.new_event_loop()
        self._typed = prompt(1_000_000, self._vocabulary)
        self._answers: dict[bool, list[int]] = {}
        self._ask(self._typed)

    def _ask(self, tokens: list[int], max_tokens: int = 1, **fields: Any) -> tuple[Usage, list[int]]:
        request = GenerationRequest(prompt=tokens, max_tokens=max_tokens, **fields)
        return self._loop.run_until_complete(self._collect(request))

    async def _collect(self, request: GenerationRequest) -> tuple[Usage, list[int]]:
        deltas: list[Delta] = [delta async for delta in self._engine.generate(self._model, request)]
        usage = deltas[-1].usage
        assert usage is not None
        return usage, [token.token_id for delta in deltas for token in delta.tokens]

    def cold(self) -> float:
        """A prompt never seen before, to its first token."""
        return self._ask(prompt(next(self._seeds), self._vocabulary))[0].prefill_s

    def key(self) -> float:
        """One token more than the prompt before, to the first token."""
        self._typed = [*self._typed[:PROMPT_TOKENS], 10 + next(self._seeds) % 5000]
        return self._ask(self._typed, priority="inline")[0].prefill_s

    def decode(self) -> float:
        """Per token, everything that the engine does for it included; the prompt is known already."""
        self._ask(self._typed, priority="inline")
        began = time.perf_counter()
        self._ask(self._typed, DECODED_TOKENS, priority="inline")
        return (time.perf_counter() - began) / (DECODED_TOKENS - 1)

    def copying(self) -> float:
        """Per token, of a chat whose answer stands in the text to draft from."""
        if True not in self._answers:
            self._answers[True] = self._ask(self._typed, 97, priority="chat")[1]
        text = self._typed[-4:] + self._answers[True]
        return self._ask(self._typed, 97, priority="chat", draft_from=text)[0].decode_s / 96

    def novel(self) -> float:
        """Per token, of a chat whose answer repeats nothing; sampled, so that random weights do not either."""
        hot = Sampling(temperature=5.0, seed=next(self._seeds))
        return self._ask(self._typed, 97, priority="chat", sampling=hot)[0].decode_s / 96

    def cancel(self) -> float:
        """From the cancellation of a cold prefill until the engine is free."""
        return self._loop.run_until_complete(self._cancelled())

    async def _cancelled(self) -> float:
        tokens = prompt(next(self._seeds), self._vocabulary)
        request = GenerationRequest(prompt=tokens, max_tokens=1)
        reading = asyncio.create_task(self._collect(request))
        # Asked without a pause, `stats` would keep its lock from the very thread that is waited for.
        while not self._engine.stats().running:  # noqa: ASYNC110
            await asyncio.sleep(0.0005)
        await asyncio.sleep(random.uniform(0.005, 0.05))
        began = time.perf_counter()
        reading.cancel()
        while self._engine.stats().running:  # noqa: ASYNC110
            await asyncio.sleep(0.0005)
        return time.perf_counter() - began

    def delay(self) -> float:
        """99th percentile of how late the event loop wakes while a chat streams."""
        return self._loop.run_until_complete(self._delays(busy=True))

    def idle_delay(self) -> float:
        """The same with nothing running."""
        return self._loop.run_until_complete(self._delays(busy=False))

    async def _delays(self, *, busy: bool) -> float:
        request = GenerationRequest(prompt=self._typed, max_tokens=900)
        streaming = asyncio.create_task(self._collect(request)) if busy else None
        late: list[float] = []
        while len(late) < 300 and not (streaming is not None and streaming.done()):
            began = time.perf_counter()
            await asyncio.sleep(0.002)
            late.append(time.perf_counter() - began - 0.002)
        if streaming is not None:
            streaming.cancel()
        return sorted(late)[int(0.99 * len(late))]


class Transformers:
    """`generate`, as one would call it."""

    def __init__(self, model: LoadedModel, threads: int, dtype: torch.dtype) -> None:
        settle(threads)  # the same priority as our generation thread: on a busy machine nothing else compares
        self._model = getattr(model.model, "whole", model.model).to(dtype)
        self._vocabulary = int(self._model.config.vocab_size)
        self._seeds = iter(range(1_000_000))
        self._generate(1)

    def _generate(self, count: int, **arguments: Any) -> None:
        ids = torch.tensor([prompt(next(self._seeds), self._vocabulary)])
        with torch.inference_mode():
            self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=count,
                min_new_tokens=count,
                do_sample=False,
                pad_token_id=0,
                **arguments,
            )

    def cold(self) -> float:
        """To the first token."""
        began = time.perf_counter()
        self._generate(1)
        return time.perf_counter() - began

    key = cold

    def decode(self) -> float:
        """Per token, between the first and the last."""
        times: list[float] = []

        class Streamer(transformers.generation.streamers.BaseStreamer):  # type: ignore[misc]
            def put(self, value: Any) -> None:
                times.append(time.perf_counter())

            def end(self) -> None:
                pass

        self._generate(DECODED_TOKENS, streamer=Streamer())
        return (times[-1] - times[1]) / (len(times) - 2)

    def cancel(self) -> float:
        """From a stopping criterion's wish in a prefill until `generate` returns."""
        wish = threading.Event()
        criteria = transformers.StoppingCriteriaList(
            [lambda ids, scores, **more: torch.full((len(ids),), wish.is_set(), dtype=torch.bool)]
        )
        running = threading.Thread(target=self._generate, args=(2,), kwargs={"stopping_criteria": criteria})
        running.start()
        time.sleep(random.uniform(0.005, 0.05))
        began = time.perf_counter()
        wish.set()
        running.join()
        return time.perf_counter() - began


def main(engine: str, source: str, threads: str) -> None:
    """Answer measurements until standard input ends."""
    transformers.utils.logging.set_verbosity_error()
    model = asyncio.run(aside(load, source))
    made: Any
    if engine.startswith("codeface"):
        made = Ours(model, int(threads), speculation=engine == "codeface")
    else:
        made = Transformers(model, int(threads), getattr(torch, engine))
    print("ready", flush=True)
    for line in sys.stdin:
        measure: Callable[[], float] = getattr(made, line.strip())
        print(measure(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
