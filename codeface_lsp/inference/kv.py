"""Key-value caches that grow in slabs and can be cropped."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import torch

FIRST_CAPACITY = 256
GROWTH = 1.5


class SlabLayer:
    """Keys and values of one layer in preallocated slabs of shape (1, heads, capacity, head size).

    A layer with a sliding window keeps its whole history too: the attention mask does the windowing, and the layer
    stays croppable.
    """

    is_croppable = True

    def __init__(self, *, is_sliding: bool = False) -> None:
        self.is_sliding = is_sliding
        self.is_initialized = False
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take shape, type and device from the first states."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = _slab(key_states, FIRST_CAPACITY)
        self.values = _slab(value_states, FIRST_CAPACITY)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states of shape (1, heads, new, head size); returns views of all states so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        keys, values = self.room(key_states.shape[-2])
        keys.copy_(key_states)
        values.copy_(value_states)
        return self.keys.narrow(2, 0, self.length), self.values.narrow(2, 0, self.length)

    def room(self, new: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Where the states of the next `new` tokens are to be written; they count as held from here on."""
        start, end = self.length, self.length + new
        if end > self.keys.shape[-2]:
            self.reserve(max(end, int(self.keys.shape[-2] * GROWTH)))
        self.length = end
        return self.keys.narrow(2, start, new), self.values.narrow(2, start, new)

    def reserve(self, capacity: int) -> None:
        """Move to slabs for at least `capacity` tokens."""
        keys, values = _slab(self.keys, capacity), _slab(self.values, capacity)
        keys[:, :, : self.length].copy_(self.keys[:, :, : self.length])
        values[:, :, : self.length].copy_(self.values[:, :, : self.length])
        self.keys, self.values = keys, values

    def keep(self, shared: int, places: Sequence[int]) -> None:
        """Hold the first `shared` tokens and behind them those at `places`, in that order, and no others."""
        end, chosen = shared + len(places), torch.tensor(places, dtype=torch.long, device=self.device)
        self.keys[:, :, shared:end] = self.keys.index_select(2, chosen)
        self.values[:, :, shared:end] = self.values.index_select(2, chosen)
        self.length = end

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that the next `query_length` queries see."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens held."""
        return self.length

    def get_max_length(self) -> int:
        """-1: no maximum."""
        return -1

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; `tokens_to_remove` is negative, as in transformers."""
        self.length -= abs(tokens_to_remove)


def _slab(like: torch.Tensor, capacity: int) -> torch.Tensor:
    rounded = -(-capacity // 64) * 64
    return like.new_empty((*like.shape[:-2], rounded, like.shape[-1]))


class SequenceCache:
    """The KV cache of one sequence.

    `croppable` is false where a layer keeps a state that cannot be taken back (linear attention, convolutions); such a
    cache can only be extended or copied whole.
    """

    def __init__(self, layers: list[Any], *, croppable: bool) -> None:
        self.layers = layers
        self.croppable = croppable
        self._length = 0
        self.changes = 0
        """Grows whenever what the cache holds changes."""

    @property
    def length(self) -> int:
        """Tokens that every layer holds; what an interrupted forward pass left behind does not count."""
        return self._length

    def advanced(self, tokens: int) -> None:
        """A forward pass over `tokens` tokens went through all layers."""
        self._length += tokens
        self.changes += 1

    def crop(self, length: int) -> None:
        """Roll every layer back to `length` tokens, also layers that an interrupted pass left at different lengths."""
        for layer in self.layers:
            surplus = layer.get_seq_length() - length if hasattr(layer, "get_seq_length") else 0
            if surplus > 0:
                layer.crop(-surplus)
        self._length = min(self._length, length)
        self.changes += 1

    def keep(self, shared: int, places: Sequence[int]) -> None:
        """Of a cache that branched behind `shared` tokens, keep the branch whose tokens are at `places`."""
        with torch.inference_mode():
            for layer in self.layers:
                layer.keep(shared, places)
        self._length = shared + len(places)
        self.changes += 1

    def reserve(self, capacity: int) -> None:
        """Make room once for a sequence whose length is known beforehand."""
        for layer in self.layers:
            if isinstance(layer, SlabLayer) and layer.is_initialized and layer.keys.shape[-2] < capacity:
                layer.reserve(capacity)

    def copy(self, length: int) -> Self:
        """A cache of its own with the first `length` tokens; the whole of it if it is not croppable."""
        if not self.croppable:
            return copy.deepcopy(self)
        layers = []
        for layer in self.layers:
            twin = type(layer)(is_sliding=layer.is_sliding)
            if layer.is_initialized:
                twin.lazy_initialization(layer.keys[:, :, :0], layer.values[:, :, :0])
                twin.reserve(length + FIRST_CAPACITY)
                twin.update(layer.keys[:, :, :length], layer.values[:, :, :length])
            layers.append(twin)
        twin_cache = type(self)(layers, croppable=True)
        twin_cache.advanced(length)
        return twin_cache

    @property
    def nbytes(self) -> int:
        """Bytes allocated, unused capacity included."""
        return sum(tensor.nbytes for layer in self.layers for tensor in _tensors(layer))


def _tensors(layer: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for value in vars(layer).values():
        values = value.values() if isinstance(value, dict) else [value]
        found += [item for item in values if isinstance(item, torch.Tensor)]
    return found
