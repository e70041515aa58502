"""The decode step of a model on a GPU as one captured CUDA graph over static keys and values.

A decode step is hundreds of small kernels, and launching them from Python takes longer than running them. A graph
replays them in one call, but only with the same addresses and shapes each time: so the step reads and writes an arena
of fixed size, which mirrors the sequence that decodes. What the step adds is copied to the sequence's own slabs at
once, so that these are always whole and nobody else need know of the arena.
"""

from __future__ import annotations

import logging
import weakref
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from codeface_lsp.inference.kv import SequenceCache, SlabLayer

FIRST_CAPACITY = 1024
MOST_BYTES = 2 << 30
"""Of the arena; longer sequences decode step by step."""
WARM_UPS = 3

log = logging.getLogger(__name__)


class ArenaLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer at fixed addresses, (1, heads, capacity, head size); written at `position`."""

    is_compileable = True

    def __init__(self, slab: SlabLayer, capacity: int, position: torch.Tensor) -> None:
        super().__init__()
        self.is_sliding = slab.is_sliding
        self.keys = slab.keys.new_zeros((*slab.keys.shape[:2], capacity, slab.keys.shape[3]))
        self.values = slab.values.new_zeros((*slab.values.shape[:2], capacity, slab.values.shape[3]))
        self._position = position
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing is left to be done."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the states of one token; returns the whole arena, of which the mask hides what lies behind."""
        self.keys.index_copy_(2, self._position, key_states)
        self.values.index_copy_(2, self._position, value_states)
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """The mask spans the arena."""
        return int(self.keys.shape[2]), 0

    def get_seq_length(self) -> int:
        """Tokens held: on the device, so that the graph reads it anew each time."""
        return self._position  # type: ignore[return-value]

    def get_max_length(self) -> int:
        """The arena's capacity."""
        return int(self.keys.shape[2])


@dataclass(slots=True)
class Arena:
    """Static inputs, keys and values of the step, the graph over them, and the logits that it leaves."""

    capacity: int
    layers: list[ArenaLayer]
    token: torch.Tensor
    position: torch.Tensor
    logits: torch.Tensor | None = None
    graph: torch.cuda.CUDAGraph | None = None


class CapturedStep:
    """Decodes one token at a time for any model of transformers whose cache is slabs.

    With `capture=False` the same step runs uncaptured, on any device. Where capturing fails, `takes` says no from then
    on.
    """

    def __init__(self, model: Any, device: torch.device, *, capture: bool = True) -> None:
        self._model = model
        self._device = device
        self._capture = capture
        self._works = True
        self._arena: Arena | None = None
        self._mirrored: tuple[weakref.ref[SequenceCache], int] | None = None

    def takes(self, cache: SequenceCache) -> bool:
        """Whether the next token of this sequence can be decoded here."""
        if not (self._works and cache.croppable and cache.length):  # a cache that can be cropped is all slabs
            return False
        return self._holds(cache) or _bytes(cache, _capacity(cache.length + 1)) <= MOST_BYTES

    def _holds(self, cache: SequenceCache) -> bool:
        """Whether the arena that there is has room for one more token of a sequence."""
        return self._arena is not None and cache.length < self._arena.capacity

    def forward(self, token: int, cache: SequenceCache) -> torch.Tensor | None:
        """Append `token` to `cache`; float32 logits, shape (1, vocabulary), or None where capturing failed."""
        arena = self._ready(cache)
        if arena is None:
            return None
        arena.token.fill_(token)
        arena.position.fill_(cache.length)
        if arena.graph is not None:
            arena.graph.replay()
        else:
            arena.logits = self._step(arena)
        at = cache.length
        rooms = [layer.room(1) for layer in cache.layers]
        torch._foreach_copy_(
            [room for pair in rooms for room in pair],
            [states.narrow(2, at, 1) for layer in arena.layers for states in (layer.keys, layer.values)],
        )
        cache.advanced(1)
        self._mirrored = weakref.ref(cache), cache.changes
        assert arena.logits is not None
        return arena.logits[0, -1:].float().cpu()

    def _ready(self, cache: SequenceCache) -> Arena | None:
        """The arena with the sequence in it."""
        if not self._holds(cache):
            self._arena = None  # its memory goes before that of the larger one comes
            self._arena = self._made(cache)
            self._mirrored = None
        if self._arena is not None and (
            self._mirrored is None or self._mirrored[0]() is not cache or self._mirrored[1] != cache.changes
        ):
            length = cache.length
            for mirror, layer in zip(self._arena.layers, cache.layers, strict=True):
                mirror.keys[:, :, :length].copy_(layer.keys[:, :, :length])
                mirror.values[:, :, :length].copy_(layer.values[:, :, :length])
        return self._arena

    def _made(self, cache: SequenceCache) -> Arena | None:
        position = torch.zeros(1, dtype=torch.long, device=self._device)
        capacity = _capacity(cache.length + 1)
        try:
            layers = [ArenaLayer(layer, capacity, position) for layer in cache.layers]
            token = torch.zeros((1, 1), dtype=torch.long, device=self._device)
            arena = Arena(capacity, layers, token, position)
            if self._capture:
                self._record(arena)
        except RuntimeError as error:  # out of memory, or an operation that cannot be captured
            log.warning("decode steps are not captured: %s", error)
            self._works = False
            return None
        return arena

    def _record(self, arena: Arena) -> None:
        """Capture the step, after a few runs on a stream of their own that let libraries allocate what they keep."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._step(arena)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        arena.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(arena.graph):
            arena.logits = self._step(arena)

    def _step(self, arena: Arena) -> torch.Tensor:
        output = self._model(
            input_ids=arena.token,
            position_ids=arena.position[None],
            past_key_values=Cache(layers=arena.layers),
            use_cache=True,
        )
        logits: torch.Tensor = output.logits
        return logits


def _capacity(tokens: int) -> int:
    """The smallest arena for so many tokens: few sizes, for each takes a capture."""
    capacity = FIRST_CAPACITY
    while capacity < tokens:
        capacity *= 2
    return capacity


def _bytes(cache: SequenceCache, capacity: int) -> int:
    return sum(
        states.nbytes // int(states.shape[2]) * capacity
        for layer in cache.layers
        for states in (layer.keys, layer.values)
    )
