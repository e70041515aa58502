"""What runs a model: tokens and a cache in, logits out. One interface for the plain path and the fast ones."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch

from codeface_lsp.inference.interrupts import Check, Hooks
from codeface_lsp.inference.kv import SequenceCache
from codeface_lsp.models.types import LoadedModel

if TYPE_CHECKING:
    from codeface_lsp.inference.captured import CapturedStep


class Runner(Protocol):
    """Runs forward passes of one model, on the generation thread only."""

    vocab_size: int
    check: Check | None
    """Called between layers during a pass; what it raises leaves the pass and the cache must be rolled back."""

    def new_cache(self) -> SequenceCache:
        """An empty cache."""
        ...

    def forward(self, tokens: Sequence[int], cache: SequenceCache, keep: int = 1) -> torch.Tensor:
        """Append `tokens` to `cache`; returns float32 logits of the last `keep` of them, shape (keep, vocabulary)."""
        ...


class PlainRunner:
    """Any causal model of transformers through its own `forward`; with `captured`, single tokens as a CUDA graph."""

    def __init__(self, model: LoadedModel, *, captured: bool = False) -> None:
        self.check: Check | None = None
        self._model = model.model
        self._device = model.device
        self._hooks = Hooks(self._model, lambda: self.check)
        self._keeps = "logits_to_keep" in inspect.signature(self._model.forward).parameters
        self._config = self._model.config.get_text_config(decoder=True)
        self.vocab_size = int(self._config.vocab_size)
        self._step: CapturedStep | None = None
        if captured:
            from codeface_lsp.inference.captured import CapturedStep

            self._step = CapturedStep(self._model, self._device)

    def new_cache(self) -> SequenceCache:
        """An empty cache."""
        # Imported here, because transformers takes a second and the fused runner does not need it.
        from codeface_lsp.inference.kv_transformers import new_cache

        return new_cache(self._config)

    def forward(self, tokens: Sequence[int], cache: SequenceCache, keep: int = 1) -> torch.Tensor:
        """Append `tokens` to `cache`; float32 logits of the last `keep` of them."""
        if len(tokens) == 1 and (replayed := self._replayed(tokens[0], cache)) is not None:
            return replayed
        arguments: dict[str, Any] = {"logits_to_keep": keep} if self._keeps else {}
        with torch.inference_mode():
            ids = torch.tensor([list(tokens)], dtype=torch.long, device=self._device)
            output = self._model(input_ids=ids, past_key_values=cache, use_cache=True, **arguments)
            logits: torch.Tensor = output.logits[0, -keep:].float().cpu()
        cache.advanced(len(tokens))
        return logits

    def _replayed(self, token: int, cache: SequenceCache) -> torch.Tensor | None:
        """The logits of one more token by the captured step, None where there is none."""
        if self._step is None or not self._step.takes(cache):
            return None
        check, self.check = self.check, None  # a capture must not be left in the middle
        if check is not None:
            check()
        with torch.inference_mode():
            return self._step.forward(token, cache)
