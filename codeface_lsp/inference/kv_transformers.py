"""The caches of `kv` in the form that transformers' models take."""

from __future__ import annotations

from typing import Any

from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

from codeface_lsp.inference.kv import SequenceCache, SlabLayer


class TransformersLayer(SlabLayer, CacheLayerMixin):  # type: ignore[misc]
    """A layer's slabs."""


class TransformersCache(SequenceCache, Cache):  # type: ignore[misc]
    """The KV cache of one sequence."""

    def __init__(self, layers: list[Any], *, croppable: bool) -> None:
        Cache.__init__(self, layers=layers)
        SequenceCache.__init__(self, layers, croppable=croppable)


def new_cache(config: Any) -> SequenceCache:
    """An empty cache for a model's config, with slabs wherever a layer's states can be cropped."""
    layers = list(DynamicCache(config=config).layers)
    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    if not layers:
        count = getattr(config, "num_hidden_layers", None) or config.n_layer
        return TransformersCache([TransformersLayer() for _ in range(count)], croppable=True)
    if all(type(layer) in plain for layer in layers):
        slabs = [TransformersLayer(is_sliding=layer.is_sliding) for layer in layers]
        return TransformersCache(slabs, croppable=True)
    return TransformersCache(layers, croppable=False)
