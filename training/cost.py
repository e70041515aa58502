"""What mixing the n-grams in costs, beside a decode step of the engine's own runner, step by step in one process."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from codeface_lsp.inference.documents import Mixture
from codeface_lsp.inference.ngram import NgramIndex
from codeface_lsp.inference.runners import pick_runner
from codeface_lsp.inference.sampling import logprob
from codeface_lsp.inference.types import TokenLogprob
from codeface_lsp.models.loader import load
from codeface_lsp.settings import EngineSettings
from training.corpus import Document

PROMPT, STEPS, RUN = 500, 400, 20
"""Tokens before, decode steps, and how many of those in a row are chosen one way: caches are warm as in an answer."""
THREADS = 1


def measure(folder: Path, documents: list[Document]) -> dict[str, float]:
    """Median milliseconds of a decode step and of a mixing, and how much slower decoding is with it."""
    torch.set_num_threads(THREADS)
    model = load(folder, "completion", EngineSettings())
    runner = pick_runner(model, EngineSettings())
    largest = sorted(documents, key=lambda document: -len(document.text))[:2]
    ids = model.tokenizer.encode(largest[0].text)
    index = NgramIndex()
    index.set_document({"file": ids}, {"neighbour": model.tokenizer.encode(largest[1].text)})
    mixture = Mixture(index)
    cache = runner.new_cache()
    logits = runner.forward(ids[:PROMPT], cache)
    sequence = list(ids[:PROMPT])
    steps: list[float] = []
    choices: tuple[list[float], list[float]] = ([], [])
    for at in range(PROMPT, PROMPT + STEPS):
        mixes = at // RUN % 2
        began = time.perf_counter()
        _choose(logits[-1], mixture if mixes else None, sequence)
        chosen = time.perf_counter()
        logits = runner.forward(ids[at : at + 1], cache)
        sequence.append(ids[at])
        choices[mixes].append(chosen - began)
        steps.append(time.perf_counter() - chosen)
    step, plain, mixed = (1000 * float(np.median(times)) for times in (steps, *choices))
    return {
        "step_ms": step + plain,
        "mixing_ms": mixed - plain,
        "share": (mixed - plain) / (step + plain),
        "indexed_tokens": len(index),
    }


def _choose(logits: torch.Tensor, mixture: Mixture | None, sequence: list[int]) -> TokenLogprob:
    """The most likely token and its log-probability, as the generation loop finds them."""
    total = None
    if mixture is not None:
        logits, total = mixture.mix(sequence, logits)
    return logprob(logits, int(logits.numpy().argmax()), 0, total)
