"""Linear layers with weights of 8 bits: a quarter of the memory traffic, which is what bounds decoding on a CPU.

`torch._weight_int8pack_mm` multiplies bfloat16 rows by int8 weights without unpacking them. It is a private op of
PyTorch, so it is probed before anything relies on it.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from codeface_lsp.inference import rounded

log = logging.getLogger(__name__)

MOST_PACKED_ROWS = 16
"""From so many rows on, unpacking to bfloat16 and a dense product is faster."""
KEPT_UNPACKED = 4_000_000
"""Weights of at most so many elements, those of small models, also stay unpacked for such products."""
MOST_UNEVEN = 4
"""With more than one in so many rows too uneven to be rounded, none is."""


class Int8Weight:
    """Rows of int8 with one scale each; symmetric, round to nearest."""

    def __init__(self, weight: torch.Tensor, *, rounds: bool = False) -> None:
        """Quantise a weight of shape (out, in); with `rounds` it may be multiplied by rounded rows, too."""
        # The product takes bfloat16 scales, so the weights are rounded to multiples of exactly those.
        self.scale = (weight.abs().amax(dim=1).float() / 127).clamp_min(1e-12).to(torch.bfloat16)
        self.packed = torch.empty(weight.shape, dtype=torch.int8)
        for start in range(0, len(weight), 4096):  # in strips, so that no second copy in float exists
            part = slice(start, start + 4096)
            scaled = weight[part].float() / self.scale[part, None].float()
            self.packed[part] = scaled.round_().clamp_(-127, 127).to(torch.int8)
        keeps = self.packed.numel() <= KEPT_UNPACKED
        self._unpacked = self.packed.to(torch.bfloat16) if keeps else None
        self._rounded = rounded.product_for(self.packed, self.scale) if rounds else None

    def apply(self, rows: torch.Tensor) -> torch.Tensor:
        """Product of `rows`, shape (rows, in), with the weight, shape (rows, out).

        In bfloat16; float32 rows may be rounded to 8 bits instead, their product is float32 then.
        """
        if self._rounded is None or rows.dtype != torch.float32:
            return self._weight_only(rows.to(torch.bfloat16))
        peaks = rounded.peaks_of(rows)
        left = rounded.uneven(rows, peaks)
        if len(left) * MOST_UNEVEN > len(rows):
            return self._weight_only(rows.to(torch.bfloat16))
        product = self._rounded(rows, peaks)
        if left:
            product[left] = self._weight_only(rows[left].to(torch.bfloat16)).float()
        return product

    def _weight_only(self, rows: torch.Tensor) -> torch.Tensor:
        if rows.shape[0] < MOST_PACKED_ROWS:
            return torch._weight_int8pack_mm(rows, self.packed, self.scale)
        unpacked = self.packed.to(torch.bfloat16) if self._unpacked is None else self._unpacked
        return F.linear(rows, unpacked).mul_(self.scale)

    def refine(self, product: torch.Tensor, rows: torch.Tensor, best: int) -> torch.Tensor:
        """Recompute the `best` largest entries of each row of `product` in float32.

        Rounded to bfloat16, logits near each other fall together; among the largest that would change the choice.
        `rows` are the float32 inputs; returns a float32 copy of `product`.
        """
        exact = product.float()
        at = exact.topk(min(best, exact.shape[-1])).indices
        weights = self.packed[at].float() * self.scale[at, None].float()
        return exact.scatter_(1, at, torch.bmm(weights, rows[:, :, None])[:, :, 0])

    def part(self, start: int, end: int) -> Int8Weight:
        """Some of the rows, sharing memory."""
        view = object.__new__(Int8Weight)
        view.packed, view.scale = self.packed[start:end], self.scale[start:end]
        view._rounded = None
        view._unpacked = None if self._unpacked is None else self._unpacked[start:end]
        return view


class Int8Linear(torch.nn.Module):
    """Takes the place of a `torch.nn.Linear`; input and output keep the type that the model computes in."""

    def __init__(self, weight: Int8Weight, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.int8 = weight
        self.bias = bias
        self.out_features, self.in_features = weight.packed.shape

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Apply to the last dimension."""
        flat = rows.reshape(-1, self.in_features).to(torch.bfloat16)
        product = self.int8.apply(flat).to(rows.dtype)
        if self.bias is not None:
            product += self.bias
        return product.view(*rows.shape[:-1], self.out_features)


@cache
def works() -> bool:
    """Whether this PyTorch and this processor multiply by packed int8 weights, and correctly."""
    rows = torch.linspace(-1, 1, 64, dtype=torch.bfloat16)[None]
    weight = Int8Weight(torch.linspace(-1, 1, 32 * 64).view(32, 64).sin())
    try:
        packed = torch._weight_int8pack_mm(rows, weight.packed, weight.scale)
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        log.info("int8 weights are not available here (%s); using bfloat16", error)
        return False
    exact = rows.float() @ (weight.packed.float() * weight.scale.float()[:, None]).T
    return bool(torch.allclose(packed.float(), exact, atol=0.1))


def swap(model: Any) -> int:
    """Replace every `torch.nn.Linear` of a model by int8, in place; returns how many were replaced."""
    count = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is torch.nn.Linear:
                bias = child.bias.detach() if child.bias is not None else None
                setattr(parent, name, Int8Linear(Int8Weight(child.weight.detach()), bias))
                count += 1
    return count
