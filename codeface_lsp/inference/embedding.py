"""Embeddings of texts: mean of an encoder's last hidden states, length one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import torch

from codeface_lsp.errors import InvalidRequest
from codeface_lsp.models.types import LoadedModel

BATCH_TOKENS = 2048
"""Padded tokens of one forward pass; between passes more urgent work goes first."""


def embed(model: LoadedModel, texts: Sequence[str]) -> Generator[None, None, tuple[list[list[float]], int]]:
    """Vectors of unit length, one for each text, and the number of tokens read; yields between batches.

    Texts longer than the model's context are cut at their end. Mean pooling over the tokens (Reimers and Gurevych
    2019, Sentence-BERT). Raises `InvalidRequest` for models that only continue text.
    """
    check_embeds(model)
    encode = getattr(model.tokenizer, "encode_prompt", model.tokenizer.encode)
    ids = [encode(text)[: model.context_length] or [0] for text in texts]
    vectors: list[list[float]] = [[] for _ in ids]
    for batch in _batches(ids):
        pooled = _pool(model, [ids[at] for at in batch])
        for at, vector in zip(batch, pooled.tolist(), strict=True):
            vectors[at] = vector
        yield
    return vectors, sum(map(len, ids))


def check_embeds(model: LoadedModel) -> None:
    """Refuse decoders: their hidden states are made to predict the next token, not to compare texts."""
    if model.role != "embedding" or not _encodes(model.model):
        raise InvalidRequest(
            f"{model.name} has no embeddings of texts; set an encoder such as all-MiniLM as `model.embedding`."
        )


def _encodes(model: Any) -> bool:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    encoders = {*MODEL_FOR_MASKED_LM_MAPPING_NAMES, "t5", "nomic_bert"}
    return model.config.model_type in encoders and not hasattr(model, "lm_head")


def _batches(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """Indices of texts of similar length, at most `BATCH_TOKENS` padded tokens together."""
    batches: list[list[int]] = []
    for at in sorted(range(len(ids)), key=lambda at: len(ids[at])):
        if batches and len(ids[at]) * (len(batches[-1]) + 1) <= BATCH_TOKENS:
            batches[-1].append(at)
        else:
            batches.append([at])
    return batches


def _pool(model: LoadedModel, ids: Sequence[Sequence[int]]) -> torch.Tensor:
    width = max(map(len, ids))
    pad = getattr(model.model.config, "pad_token_id", None) or 0
    tokens = torch.full((len(ids), width), pad, dtype=torch.long)
    mask = torch.zeros((len(ids), width), dtype=torch.long)
    for row, text in enumerate(ids):
        tokens[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = 1
    device = model.device
    with torch.inference_mode():
        output: Any = model.model(input_ids=tokens.to(device), attention_mask=mask.to(device))
        states = output.last_hidden_state.float().cpu()
    weights = mask[:, :, None].float()
    mean = (states * weights).sum(1) / weights.sum(1)
    return torch.nn.functional.normalize(mean, dim=-1)
