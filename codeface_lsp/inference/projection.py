"""Several linear layers over the same input, applied together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812

from codeface_lsp.inference.int8 import Int8Linear, Int8Weight


class Projection(Protocol):
    """Rows of shape (rows, in), of any float type, to one tensor of shape (rows, all outs), of any other."""

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Apply to all rows."""
        ...


class DenseProjection:
    """The model's own weights, as they are; nothing is copied."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self._layers = [(layer.weight, layer.bias) for layer in layers]
        self._dtype: torch.dtype = layers[0].weight.dtype

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Apply in the weights' type."""
        rows = rows.to(self._dtype)
        products = [F.linear(rows, weight, bias) for weight, bias in self._layers]
        return products[0] if len(products) == 1 else torch.cat(products, dim=-1)


class Int8Projection:
    """Weights of all layers in one int8 matrix."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self.weight = Int8Weight(torch.cat([layer.weight.detach() for layer in layers]), rounds=True)
        biases = [layer.bias for layer in layers if layer.bias is not None]
        self._bias = torch.cat(biases).to(torch.bfloat16) if biases else None
        if biases and len(biases) < len(layers):
            raise ValueError("either all layers of a projection have a bias or none")

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Apply; best to float32 rows."""
        product = self.weight.apply(rows)
        return product if self._bias is None else product.add_(self._bias)


def project(parent: Any, names: Sequence[str], *, int8: bool) -> Projection:
    """The named linear layers of `parent` as one projection; with `int8`, they are replaced by views of it."""
    layers = [getattr(parent, name) for name in names]
    if not int8:
        return DenseProjection(layers)
    joined = Int8Projection(layers)
    start = 0
    for name, layer in zip(names, layers, strict=True):
        end = start + layer.out_features
        setattr(parent, name, Int8Linear(joined.weight.part(start, end), layer.bias))
        start = end
    return joined
