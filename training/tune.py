"""Finds the weights of the cache mixture on the tuning packages: those that make the true next tokens most likely."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from codeface_lsp.inference.ngram import DOCUMENT_WEIGHTS, NEIGHBOUR_WEIGHTS, NgramIndex
from codeface_lsp.inference.token_index import LONGEST_MATCH
from training import corpus, tokenizer
from training.decoding import Vocabulary, infill_prompt
from training.places import Places
from training.systems import neighbours

SPAN = 48
STEPS = 400


class Observations:
    """For every observed token: its probability by the model and, per side and match length, count, distinct, hits."""

    def __init__(self) -> None:
        self.model: list[float] = []
        self.sides: list[list[list[tuple[int, int, int]]]] = []

    def add(self, token: int, probability: float, sides: Sequence[list[list[int]]]) -> None:
        """Keep what the model and both sides of the index thought of `token`."""
        counted = []
        for levels in sides:
            found = [(len(f), len(set(f)), f.count(token)) for f in levels]
            counted.append(found + [(0, 1, 0)] * (LONGEST_MATCH - len(found)))
        self.model.append(probability)
        self.sides.append(counted)

    def nats(self, weights: torch.Tensor) -> torch.Tensor:
        """Mean negative log-probability of the observed tokens; `weights` are (2, LONGEST_MATCH)."""
        mixed = torch.tensor(self.model)
        count, distinct, hits = torch.tensor(self.sides, dtype=torch.float32).unbind(-1)
        for n in range(LONGEST_MATCH):
            for side in (1, 0):
                taken = weights[side, n] * count[:, side, n] / (count[:, side, n] + distinct[:, side, n])
                mixed = (1 - taken) * mixed + taken * hits[:, side, n] / count[:, side, n].clamp(min=1)
        return -mixed.clamp(min=1e-9).log().mean()


@torch.no_grad()
def observe(places: Places, folder: Path, spans: int, budget: int, seed: int = 2) -> Observations:
    """Spans of tuning files, each predicted from the suffix-first prompt with the rest of the file indexed."""
    every = corpus.load(places, "tuning")
    documents = [document for document in every if len(document.text) > 2_000]
    sources = sorted({document.source for document in documents})
    vocabulary = Vocabulary(tokenizer.load(folder))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    rng = np.random.default_rng(seed)
    seen = Observations()
    for number in range(spans):
        mine = [document for document in documents if document.source == sources[number % len(sources)]]
        document = mine[int(rng.integers(len(mine)))]
        text = document.text
        start = text.rfind("\n", 0, int(rng.integers(len(text) // 4, len(text)))) + 1
        span = vocabulary.encode(text[start : start + 6 * SPAN])[:SPAN]
        below = text[start + len(vocabulary.words.decode(span, skip_special_tokens=False)) :]
        below = below[below.find("\n") + 1 :]
        prompt = infill_prompt(vocabulary, document.path, text[:start], below, budget - SPAN, heal=False)
        index = NgramIndex()
        index.set_document(
            {"prefix": vocabulary.encode(text[:start]), "suffix": vocabulary.encode(below)},
            {other.path: vocabulary.encode(other.text) for other in neighbours(every, document.path)},
        )
        logits = model(torch.tensor([prompt.ids + span]), logits_to_keep=len(span) + 1).logits[0]
        probabilities = torch.softmax(logits.float(), -1)
        for at, token in enumerate(span):
            context = [*prompt.local, *span[:at]]
            sides = index.levels(context), index.levels(context, neighbours=True)
            seen.add(token, float(probabilities[at, token]), sides)
    return seen


def best_weights(seen: Observations) -> torch.Tensor:
    """The weights that make the observations most likely, by gradient descent on their logits."""
    logits = torch.zeros(2, LONGEST_MATCH, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = seen.nats(torch.sigmoid(logits))
        loss.backward()
        optimizer.step()
    return torch.sigmoid(logits.detach())


def tune(places: Places, folder: Path, *, spans: int, budget: int) -> dict[str, object]:
    """Observe and fit; says what the mixture gains."""
    seen = observe(places, folder, spans, budget)
    best = best_weights(seen)
    document, neighbour = [[round(float(weight), 2) for weight in side] for side in best]
    result: dict[str, object] = {
        "observed_tokens": len(seen.model),
        "model_alone": float(seen.nats(torch.zeros(2, LONGEST_MATCH))),
        "document_alone": float(seen.nats(torch.stack((best[0], torch.zeros(LONGEST_MATCH))))),
        "weights_in_use": float(seen.nats(torch.tensor((DOCUMENT_WEIGHTS, NEIGHBOUR_WEIGHTS)))),
        "best_weights": float(seen.nats(best)),
        "weights": document,
        "neighbour_weights": neighbour,
    }
    print(json.dumps(result))
    return result
