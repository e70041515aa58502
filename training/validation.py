"""The loss that training watches: on packages it never sees."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer

from training import corpus
from training.model import TinyLlama
from training.places import Places

VALIDATION_TOKENS = 16_384


class Validation:
    """Loss on plain text of the tuning packages, in nats per token and per byte."""

    def __init__(self, places: Places, words: Tokenizer, length: int = 512) -> None:
        ids: list[int] = []
        for document in corpus.load(places, "tuning"):
            ids += words.encode(document.text).ids
        step = max(length, len(ids) // (VALIDATION_TOKENS // length))
        rows = [ids[at : at + length] for at in range(0, len(ids) - length, step)]
        self.rows = torch.tensor(rows)
        self.bytes = sum(len(words.decode(row[1:], skip_special_tokens=False).encode()) for row in rows)

    @torch.no_grad()
    def __call__(self, model: TinyLlama) -> dict[str, float]:
        device = model.model.embed_tokens.weight.device
        nats = 0.0
        for row in self.rows.split(8):
            with torch.autocast(device.type, dtype=torch.bfloat16):
                nats += model.loss(row[:, :-1].to(device), row[:, 1:].to(device)).item() * row[:, 1:].numel()
        return {
            "validation_nats_per_token": nats / self.rows[:, 1:].numel(),
            "validation_nats_per_byte": nats / self.bytes,
        }
