"""The same questions, answered by the real engine over HTTP as the language server asks it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from codeface_lsp import settings
from codeface_lsp.context.parts import Parts
from codeface_lsp.endpoints.local import LocalEngine
from codeface_lsp.endpoints.types import DocumentText, InfillRequest, Neighbours
from codeface_lsp.workspace.neighbours import LONGEST_FILE, MOST_CHARS, nearest
from training import packing, tokenizer
from training.corpus import Document
from training.decoding import Completion, Vocabulary
from training.evaluate import LOSS_TOKENS, LOSS_WINDOW, loss_per_byte
from training.judging import Answer, judge, keep, rows
from training.places import Places
from training.questions import Question, questions
from training.systems import MOST_TOKENS, Systems, corpus_ngrams, neighbours

SUFFIX_SHARE = 0.25


@dataclass(frozen=True)
class Variant:
    """Settings of the engine, and whether it is told of the files next to the open one."""

    engine: dict[str, Any] = field(default_factory=dict)
    neighbours: bool = True


VARIANTS = {
    "engine, int8, cache mixture": Variant(),
    "engine, int8, mixture of the open file alone": Variant(neighbours=False),
    "engine, int8, cache mixture, greedy": Variant({"beams": 1}),
    "engine, int8, no mixture": Variant({"mixture": False}),
    "engine, fp32, cache mixture": Variant({"int8": False, "dtype": "float32"}),
}
LANGUAGES = {"py": "python", "js": "javascript", "ts": "typescript", "go": "go"}


@contextmanager
def own_home() -> Iterator[None]:
    """A home of its own for the engine, so that nobody else's is found, stopped or configured."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("CODEFACE_HOME")
        os.environ["CODEFACE_HOME"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["CODEFACE_HOME"]
            else:
                os.environ["CODEFACE_HOME"] = before


def window(vocabulary: Vocabulary, question: Question, budget: int) -> tuple[str, str]:
    """The prefix's end and the suffix's beginning, in whole lines, that fit a budget in tokens."""
    below = _lines_that_fit(
        vocabulary, question.suffix.removeprefix("\n"), int(budget * SUFFIX_SHARE), from_end=False
    )
    left = budget - len(vocabulary.words.encode(below).ids) - 32
    return _lines_that_fit(vocabulary, question.prefix, left, from_end=True), below


def _lines_that_fit(vocabulary: Vocabulary, text: str, room: int, *, from_end: bool) -> str:
    lines = text.splitlines(keepends=True)
    kept: list[str] = []
    for line in reversed(lines) if from_end else lines:
        room -= len(vocabulary.words.encode(line).ids) + 1
        if room < 0:
            break
        kept.append(line)
    return "".join(reversed(kept) if from_end else kept)


def beside(documents: Sequence[Document], path: str) -> Neighbours:
    """The files next to one, chosen and bounded as the language server does where nothing else is open."""
    texts = {other.path: other.text[:LONGEST_FILE] for other in neighbours(documents, path)}
    kept: dict[str, str] = {}
    for neighbour in nearest(path, Path(), (), (), texts, lambda _: True):
        if sum(map(len, kept.values())) + len(texts[neighbour.name]) <= MOST_CHARS:
            kept[neighbour.name] = texts[neighbour.name]
    return Neighbours(kept)


async def _complete(
    engine: LocalEngine, vocabulary: Vocabulary, question: Question, budget: int, around: Neighbours | None
) -> Completion:
    prefix, suffix = window(vocabulary, question, budget)
    language = LANGUAGES.get(question.path.rpartition(".")[2], "")
    request = InfillRequest(
        parts=Parts(path=question.path, language=language, prefix=prefix, line_suffix="", suffix=suffix),
        max_tokens=MOST_TOKENS[question.kind],
        stop=() if question.kind == "block" else ("\n",),
        document=DocumentText(question.path, hash(question), question.prefix + question.suffix, around),
    )
    if around is not None:  # an earlier key in the file told the engine of its neighbours
        async for _ in engine.infill(replace(request, max_tokens=1)):
            pass
        await (await engine.engine()).told()
    text, tokens, logprob = "", 0, 0.0
    async for chunk in engine.infill(request):
        text += chunk.text
        tokens += chunk.tokens
        logprob += chunk.logprob or 0.0
    return Completion(text, logprob / tokens if tokens else -20.0)


async def _ask_all(
    name: str, folder: Path, documents: Sequence[Document], asked: Sequence[Question], budget: int
) -> list[Answer]:
    variant, vocabulary = VARIANTS[name], Vocabulary(tokenizer.load(folder))
    overrides = variant.engine
    chosen = settings.load(
        {"engine": {"idle_stop_minutes": 1} | overrides, "model": {"completion": str(folder)}}
    )
    for key, value in overrides.items():
        os.environ[f"CODEFACE_ENGINE__{key.upper()}"] = str(value).lower()
    engine = LocalEngine(chosen)
    try:
        answers = []
        for question in asked:
            around = beside(documents, question.path) if variant.neighbours else None
            answers.append(
                judge(name, question, await _complete(engine, vocabulary, question, budget, around))
            )
        return answers
    finally:
        server = await engine.engine()
        await server.client.post("/codeface/stop", {})
        await engine.aclose()
        for key in overrides:
            del os.environ[f"CODEFACE_ENGINE__{key.upper()}"]


def evaluate(
    places: Places,
    folder: Path,
    *,
    documents: list[Document],
    split: str,
    count: int,
    budget: int,
    seed: int,
    kinds: Sequence[str],
    variants: Sequence[str] = (),
) -> dict[str, Any]:
    """Ask every variant of the engine the same `count` questions of each kind."""
    asked = [question for kind in kinds for question in questions(documents, kind, count, seed)]
    vocabulary = Vocabulary(tokenizer.load(folder))
    baselines = Systems(
        None, vocabulary, budget, documents, corpus_ngrams(packing.open_packed(places.packed))
    )
    answers = [answer for question in asked for answer in baselines.baselines(question)]
    for name in variants or VARIANTS:
        with own_home():
            answers += asyncio.run(_ask_all(name, folder.resolve(), documents, asked, budget))
    keep(answers, places, split)
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return {
        "split": split,
        "count": count,
        "budget": budget,
        "seed": seed,
        "foreign": False,
        "through": "the engine over HTTP (`/infill`)",
        "loss": loss_per_byte(plain, vocabulary, documents, LOSS_WINDOW, LOSS_TOKENS),
        "rows": rows(answers),
    }
