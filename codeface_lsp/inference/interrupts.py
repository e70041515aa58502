"""Stops a forward pass between two layers: the only way to be quick when one pass takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Check = Callable[[], None]

_MLPS = ("mlp", "ffn", "feed_forward")


class Interrupted(Exception):
    """A forward pass was left between two layers; the cache must be rolled back to where the pass began."""


class Hooks:
    """Calls the current check, if there is one, before every decoder layer and every MLP of a transformers model."""

    def __init__(self, model: Any, current: Callable[[], Check | None]) -> None:
        self._current = current
        self._handles = [module.register_forward_pre_hook(self._before) for module in _stops(model)]

    def _before(self, module: Any, arguments: Any) -> None:
        check = self._current()
        if check is not None:
            check()

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()


def _stops(model: Any) -> list[Any]:
    """The repeated blocks of a model and their MLPs, whatever the architecture calls them."""
    found: list[Any] = []
    for module in model.modules():
        if (
            isinstance(module, torch.nn.ModuleList)
            and len(module)
            and any(True for _ in module[0].children())
        ):
            for block in module:
                found.append(block)
                found += [child for name, child in block.named_children() if name in _MLPS]
    return found
