"""Holes in the held-out packages, filled by several systems, in one table with 95 % intervals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from training import packing, tokenizer
from training.corpus import Document
from training.decoding import Vocabulary
from training.judging import Answer, keep, rows
from training.places import Places
from training.questions import KINDS, questions
from training.systems import Systems, corpus_ngrams

LOSS_WINDOW, LOSS_TOKENS = 1024, 60_000


@torch.no_grad()
def loss_per_byte(
    model: AutoModelForCausalLM, vocabulary: Vocabulary, documents: Sequence[Document], length: int, most: int
) -> dict[str, float]:
    """Mean loss on plain text in windows of `length` tokens, no overlap, in nats per token and per byte."""
    nats, tokens, size = 0.0, 0, 0
    rng = np.random.default_rng(0)
    for at in rng.permutation(len(documents)):
        ids = vocabulary.words.encode(documents[at].text).ids
        for start in range(0, len(ids) - 1, length):
            window = torch.tensor([ids[start : start + length + 1]])
            logits = model(window[:, :-1]).logits
            nats += torch.nn.functional.cross_entropy(
                logits[0].float(), window[0, 1:], reduction="sum"
            ).item()
            tokens += window.shape[1] - 1
            size += sum(len(vocabulary.bytes[token]) for token in window[0, 1:].tolist())
        if tokens >= most:
            break
    return {"nats_per_token": nats / tokens, "nats_per_byte": nats / size, "tokens": tokens, "window": length}


def evaluate(
    places: Places,
    folder: Path,
    *,
    documents: list[Document],
    split: str,
    count: int,
    budget: int,
    seed: int,
    kinds: Sequence[str] = KINDS,
    foreign: bool = False,
) -> dict[str, Any]:
    """Ask `count` questions of each kind about `documents`; the single answers are kept in the training home.

    With `foreign` only lines are asked that use names from other files, and excerpts of those are shown as well.
    """
    vocabulary = Vocabulary(tokenizer.load(folder))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    corpus = corpus_ngrams(packing.open_packed(places.packed))
    systems = Systems(model, vocabulary, budget, documents, corpus, with_excerpts=foreign)
    wanted = systems.definitions.is_foreign if foreign else None
    answers: list[Answer] = []
    began = time.monotonic()
    for kind in kinds:
        for question in questions(documents, kind, count, seed, wanted):
            answers += systems.answers(question)
        print(f"{kind}: {time.monotonic() - began:.0f} s", flush=True)
    keep(answers, places, f"{split}{'-foreign' * foreign}-plain")
    window = min(budget, LOSS_WINDOW)
    return {
        "split": split,
        "count": count,
        "budget": budget,
        "seed": seed,
        "foreign": foreign,
        "through": "`training/decoding.py`",
        "loss": None if foreign else loss_per_byte(model, vocabulary, documents, window, LOSS_TOKENS),
        "rows": rows(answers),
    }
