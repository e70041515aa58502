"""The Llama shape (Llama, Qwen2, Mistral) as straight tensor code: what a module per operation costs is saved.

Same arithmetic as transformers' modules: RMS norm, rotary embedding, grouped-query attention, gated SiLU. The residual
stream, keys, values and attention are float32 (on a CPU, bfloat16 attention with one query is several times slower);
linear layers compute in the type of their weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from codeface_lsp.inference.interrupts import Check
from codeface_lsp.inference.kv import SequenceCache, SlabLayer
from codeface_lsp.inference.projection import Int8Projection, Projection, project
from codeface_lsp.models.types import LoadedModel

_CLASSES = ("Llama", "LlamaForCausalLM", "Qwen2ForCausalLM", "MistralForCausalLM")
_FEW = 8
"""Queries up to which attention is two plain products: the fused kernel works in blocks of many queries."""
_REFINED = 8
"""Most likely tokens whose logits are computed in full precision."""
_ROPES = ("default", "linear", "llama3", "yarn")


def fits(model: LoadedModel) -> bool:
    """Whether a model has exactly the shape that `FusedRunner` computes."""
    if type(model.model).__name__ not in _CLASSES or model.quantization or model.device.type != "cpu":
        return False
    config = model.model.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    if getattr(config, "layer_types", None) is None and window and window < model.context_length:
        return False
    if kinds != {"full_attention"} and not (window and window >= model.context_length):
        return False
    rope = model.model.model.rotary_emb.rope_type
    return config.hidden_act == "silu" and rope in _ROPES and _is_whole(model.model)


def _is_whole(model: Any) -> bool:
    """Every layer in memory, on one device, made of ordinary linear layers."""
    linears = [m for layer in model.model.layers for n, m in layer.named_modules() if n.endswith("_proj")]
    return all(type(m) is torch.nn.Linear and m.weight.device.type == "cpu" for m in linears)


@dataclass(slots=True)
class _Layer:
    qkv: Projection
    out: Projection
    gate_up: Projection
    down: Projection
    before_attention: torch.Tensor
    before_mlp: torch.Tensor


class FusedRunner:
    """Runs a model that `fits`. With `int8`, the model's own linear layers become views of the packed weights."""

    def __init__(self, model: LoadedModel, *, int8: bool) -> None:
        self.check: Check | None = None
        config = model.model.config
        body = model.model.model
        self.vocab_size = int(config.vocab_size)
        self._heads = int(config.num_attention_heads)
        self._kv_heads = int(config.num_key_value_heads)
        self._size = int(getattr(config, "head_dim", None) or config.hidden_size // self._heads)
        self._eps = float(config.rms_norm_eps)
        self._embedding: torch.Tensor = body.embed_tokens.weight
        self._layers = [_layer(layer, int8=int8) for layer in body.layers]
        self._norm = body.norm.weight.float()
        self._head = project(model.model, ["lm_head"], int8=int8)
        self._cos, self._sin = _rotations(body.rotary_emb, model.context_length + 1)
        self._scale = self._size**-0.5
        self._nothing = torch.zeros(1)

    def new_cache(self) -> SequenceCache:
        """An empty cache."""
        return SequenceCache([SlabLayer() for _ in self._layers], croppable=True)

    def forward(self, tokens: Sequence[int], cache: SequenceCache, keep: int = 1) -> torch.Tensor:
        """Append `tokens` to `cache`; float32 logits of the last `keep` of them, shape (keep, vocabulary)."""
        start, count = cache.length, len(tokens)
        return self._forward(tokens, cache, slice(start, start + count), _mask(start, count), keep)

    def branch(
        self, tokens: Sequence[int], cache: SequenceCache, shared: int, before: Sequence[Sequence[int]]
    ) -> torch.Tensor:
        """Append one token for each branch of a tree; their float32 logits, shape (branches, vocabulary).

        Branch i sees the first `shared` tokens of `cache`, those at the places `before[i]`, and its own new one. All
        branches are equally long.
        """
        position = shared + len(before[0])
        mask = _branches(shared, cache.length, before)
        return self._forward(tokens, cache, slice(position, position + 1), mask, len(tokens))

    def _forward(
        self,
        tokens: Sequence[int],
        cache: SequenceCache,
        positions: slice,
        mask: torch.Tensor | None,
        keep: int,
    ) -> torch.Tensor:
        with torch.inference_mode():
            rows = F.embedding(torch.tensor(tokens), self._embedding).float()
            rotation = self._cos[positions], self._sin[positions]
            if mask is not None and len(tokens) <= _FEW:
                mask = mask.repeat(self._heads // self._kv_heads, 1)
            for layer, slab in zip(self._layers, cache.layers, strict=True):
                self._stop()
                rows += self._attention(layer, slab, rows, rotation, mask)
                self._stop()
                rows += self._mlp(layer, rows)
            logits = self._logits(self._normed(rows[-keep:], self._norm))
        cache.advanced(len(tokens))
        return logits

    def _logits(self, rows: torch.Tensor) -> torch.Tensor:
        logits = self._head(rows)
        if isinstance(self._head, Int8Projection):
            return self._head.weight.refine(logits, rows, _REFINED)
        return logits.float()

    def _stop(self) -> None:
        if self.check is not None:
            self.check()

    def _normed(self, rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        if len(rows) > 1:
            return F.rms_norm(rows, weight.shape, weight, self._eps)
        # One row, as in decoding: on a CPU `rms_norm` is seven operations, and each costs more than its arithmetic.
        power = float(torch.linalg.vector_norm(rows)) ** 2 / rows.shape[-1]
        return torch.addcmul(self._nothing, rows, weight, value=1 / math.sqrt(power + self._eps))

    def _attention(
        self,
        layer: _Layer,
        slab: SlabLayer,
        rows: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        count, heads, groups = len(rows), self._heads, self._kv_heads
        normed = self._normed(rows, layer.before_attention)
        qkv = layer.qkv(normed).float().view(count, heads + 2 * groups, self._size)
        rotated = _rotated(qkv[:, : heads + groups], *rotation).transpose(0, 1)
        values = qkv[:, heads + groups :].transpose(0, 1)
        keys, values = slab.update(rotated[None, heads:], values[None])
        query = rotated[:heads]
        if (mask is not None and count <= _FEW) or (count == 1 and heads != groups):
            attended = self._few(query, keys[0], values[0], mask)
        else:
            attended = F.scaled_dot_product_attention(
                query[None],
                keys,
                values,
                attn_mask=mask,
                is_causal=mask is None and count > 1,
                scale=self._scale,
                enable_gqa=heads != groups,
            )[0]
        return layer.out(attended.transpose(0, 1).reshape(count, -1))

    def _few(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """A few queries for each head, shape (heads, queries, head size), as that of the result.

        Heads that share keys are rows of one product, and of `mask`.
        """
        grouped = query.reshape(self._kv_heads, -1, self._size)
        added, beta = (self._nothing, 0) if mask is None else (mask, 1)
        scores = torch.baddbmm(added, grouped, keys.transpose(1, 2), beta=beta, alpha=self._scale)
        return torch.bmm(torch.softmax(scores, dim=-1), values).view_as(query)

    def _mlp(self, layer: _Layer, rows: torch.Tensor) -> torch.Tensor:
        normed = self._normed(rows, layer.before_mlp)
        gate, up = layer.gate_up(normed).chunk(2, dim=-1)
        return layer.down(F.silu(gate).mul_(up))


def _layer(layer: Any, *, int8: bool) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    return _Layer(
        qkv=project(attention, ["q_proj", "k_proj", "v_proj"], int8=int8),
        out=project(attention, ["o_proj"], int8=int8),
        gate_up=project(mlp, ["gate_proj", "up_proj"], int8=int8),
        down=project(mlp, ["down_proj"], int8=int8),
        before_attention=layer.input_layernorm.weight.float(),
        before_mlp=layer.post_attention_layernorm.weight.float(),
    )


def _rotations(rotary: Any, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of every position, shape (length, 1, head size); the sines of the first half negated."""
    with torch.inference_mode():
        cos, sin = rotary(torch.zeros(1, dtype=torch.float32), torch.arange(length)[None])
        signed = sin[0].clone()
        signed[:, : signed.shape[-1] // 2].neg_()
        return cos[0][:, None].contiguous(), signed[:, None].contiguous()


def _rotated(rows: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding (Su et al. 2021) of shape (rows, heads, head size), with the halves as pairs."""
    return torch.addcmul(rows * cos, rows.roll(rows.shape[-1] // 2, -1), sin)


def _mask(start: int, count: int) -> torch.Tensor | None:
    """Added to the scores of `count` tokens behind `start` others; None where causality needs no mask.

    In float, made once for all layers: of a mask in bool, every layer would make one.
    """
    if count == 1 or start == 0:
        return None
    return torch.full((count, start + count), -torch.inf).triu_(start + 1)


def _branches(shared: int, start: int, before: Sequence[Sequence[int]]) -> torch.Tensor:
    """Added to the scores of one new token for each branch, shape (branches, start + branches)."""
    mask = torch.full((len(before), start + len(before)), -torch.inf)
    mask[:, :shared] = 0.0
    for row, places in enumerate(before):
        mask[row, [*places, start + row]] = 0.0
    return mask
