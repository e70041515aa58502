"""What the engine keeps for each loaded model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from codeface_lsp.inference.chunks import ChunkSizer
from codeface_lsp.inference.documents import Documents
from codeface_lsp.inference.drafting import Drafter
from codeface_lsp.inference.fused import FusedRunner
from codeface_lsp.inference.runner import Runner
from codeface_lsp.inference.runners import pick_runner
from codeface_lsp.inference.types import GenerationRequest, Sampling
from codeface_lsp.models.memory import give_back
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings

GREEDY = Sampling()
SMALL_MODEL = 300_000_000
"""Parameters up to which n-grams of the open file are mixed in, unless the settings say otherwise."""
BEAMS = 4
"""Lines that are weighed against each other, for models of that size, unless the settings say otherwise."""

_keys = itertools.count()


class ModelState:
    """A model made ready: how it is run, how large its chunks are, the documents it completes in."""

    def __init__(self, model: LoadedModel, settings: EngineSettings, runner: Runner | None = None) -> None:
        """Building the fast path takes up to seconds for a large model: do it outside the generation thread."""
        self.key = next(_keys)
        self.model = model
        self.tokenizer = model.tokenizer
        self.context_length = model.context_length
        self.runner: Runner = runner if runner is not None else pick_runner(model, settings)
        self.chunks = ChunkSizer(settings.prefill_chunk_ms / 1000, model.parameters)
        small = 0 < model.parameters <= SMALL_MODEL
        self._mixes = settings.mixture if settings.mixture is not None else small
        self._beams = settings.beams or (BEAMS if small else 1)
        self._speculates = settings.speculation
        self.documents = Documents(model.tokenizer, mixes=self._mixes)

    def beams(self, request: GenerationRequest) -> int:
        """How many beginnings of its first line a request weighs against each other; 1 is greedy."""
        plain = request.sampling == GREEDY and not request.top_logprobs
        return self._beams if request.search_line and plain and isinstance(self.runner, FusedRunner) else 1

    def drafter(self, request: GenerationRequest, prompt: Sequence[int]) -> Drafter:
        """What drafts tokens for a request; drafts nothing where drafting does not pay."""
        wanted = self._speculates and request.priority == "chat" and not request.heal
        drafts = wanted and self.runner.new_cache().croppable
        return Drafter(self.documents, request, prompt, enabled=drafts)

    def free_memory(self) -> None:
        """Give memory that nobody uses back to the system."""
        give_back()
