"""One sequence, from prompt to last token, as an iterator that yields wherever another sequence may go first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import torch

from codeface_lsp.errors import OutOfMemory
from codeface_lsp.inference.healing import Constraint
from codeface_lsp.inference.interrupts import Interrupted
from codeface_lsp.inference.output import Emit, Output
from codeface_lsp.inference.prefix_cache import Entry, PrefixCache
from codeface_lsp.inference.sampling import Sampler, logprob
from codeface_lsp.inference.state import ModelState
from codeface_lsp.inference.types import FinishReason, GenerationRequest, TokenLogprob, Usage

log = logging.getLogger(__name__)

Pass = Generator[None, None, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Control:
    """What a sequence asks the scheduler: should it end, should it step aside."""

    cancelled: Callable[[], bool]
    preempted: Callable[[], bool]
    clock: Callable[[], float]
    submitted: Callable[[], float]


class Ended(Exception):
    """The sequence ends here."""

    def __init__(self, reason: FinishReason) -> None:
        super().__init__(reason)
        self.reason: FinishReason = reason


class Generation:
    """The generation loop of one request."""

    def __init__(
        self, state: ModelState, request: GenerationRequest, cache: PrefixCache, control: Control, emit: Emit
    ) -> None:
        self._state = state
        self._request = request
        self._cache = cache
        self._control = control
        self._output = Output(emit, request.stop, len(request.heal))
        self._sampler = Sampler(request.sampling)
        self._constraint = Constraint(state.tokenizer, request.heal)
        room = max(1, state.context_length - 1)
        self._prompt = request.prompt[-room:]
        self._sequence = list(self._prompt)
        self._ends = state.tokenizer.eos_ids | request.stop_ids
        self._mixture = state.documents.mixture(request, self._prompt)
        self._drafter = state.drafter(request, self._prompt)
        self._usage = Usage(
            prompt_tokens=len(self._prompt), truncated=len(self._prompt) < len(request.prompt)
        )
        self._log_total: float | None = None
        self._decoding = False
        self._memory_freed = False
        self._entry: Entry | None = None

    def steps(self) -> Iterator[None]:
        """Advance by one prefill chunk or one token at a time; always sends a last delta unless it raises."""
        started = self._control.clock()
        self._add(queue_s=started - self._control.submitted())
        try:
            try:
                self._check()
                self._entry = self._cache.take(self._state.key, self._prompt, self._state.runner.new_cache())
                self._add(cached_tokens=len(self._entry.tokens))
                logits = yield from self._prefill(self._entry)
                self._decoding = True
                yield from self._decode(self._entry, logits)
            except Ended as ended:
                self._output.finish(ended.reason, self._usage)
        finally:
            self._state.runner.check = None
            if self._entry is not None:
                self._cache.give_back(self._entry)

    def _add(self, **figures: float) -> None:
        for name, more in figures.items():
            setattr(self._usage, name, getattr(self._usage, name) + more)

    def _check(self) -> None:
        if self._control.cancelled():
            raise Ended("cancelled")
        budget = self._request.time_budget_s
        if budget is not None and self._control.clock() - self._control.submitted() > budget:
            raise Ended("time")

    def _prefill(self, entry: Entry) -> Pass:
        prompt = self._prompt
        logits = entry.prompt_logits if len(entry.tokens) == len(prompt) else None
        if logits is None:
            entry.cache.reserve(len(prompt) + min(self._request.max_tokens, 256))
        while len(entry.tokens) < len(prompt):
            start = len(entry.tokens)
            rows = yield from self._pass(entry, prompt[start : start + self._state.chunks.size], 1)
            logits = rows[-1]
            if len(entry.tokens) < len(prompt):
                yield
                self._check()
        assert logits is not None
        entry.prompt_length, entry.prompt_logits = len(prompt), logits
        if not entry.cache.croppable:
            self._cache.snapshot(entry)
        return logits

    def _decode(self, entry: Entry, logits: torch.Tensor) -> Iterator[None]:
        if self._request.max_tokens < 1:
            raise Ended("length")
        rows, at, draft = logits[None], 0, list[int]()
        while True:
            token = self._choose(rows[at])
            self._send(token)
            if at < len(draft) and draft[at] == token:
                at += 1
                self._add(accepted_tokens=1)
            else:
                if at < len(draft):
                    entry.crop(len(entry.tokens) - (len(draft) - at))
                if draft:
                    self._drafter.learned(len(draft), at)
                room = self._left() - 1
                draft = self._drafter.draft(self._sequence, room) if room > 0 else []
                yield
                self._check()
                self._add(drafted_tokens=len(draft))
                rows = yield from self._pass(entry, [token, *draft], 1 + len(draft))
                at = 0

    def _left(self) -> int:
        """Tokens that may still be generated."""
        done = self._usage.completion_tokens
        return min(self._request.max_tokens - done, self._state.context_length - len(self._sequence))

    def _choose(self, row: torch.Tensor) -> int:
        logits, self._log_total = row, None
        if self._mixture is not None:
            logits, self._log_total = self._mixture.mix(self._sequence, logits)
        self._scored = logits
        logits = self._sampler.penalize(logits, self._sequence, len(self._prompt))
        allowed = self._constraint.allowed()
        if allowed is None:
            return self._sampler.draw(logits)
        if not len(allowed):
            raise Ended("stop")
        ids = torch.from_numpy(allowed)
        self._scored = torch.full_like(self._scored, -torch.inf).index_copy(0, ids, self._scored[ids])
        self._log_total = None
        token = int(ids[self._sampler.draw(logits[ids])])
        self._constraint.take(token)
        return token

    def _send(self, token: int) -> None:
        """Send on a chosen token; raises `Ended` if it is the last."""
        if token in self._ends:
            raise Ended("eos")
        self._sequence.append(token)
        self._add(completion_tokens=1)
        raw = self._state.tokenizer.token_bytes(token)
        if self._output.add(self._logprob(token), raw):
            raise Ended("stop")
        if self._left() <= 0:
            raise Ended("length")

    def _logprob(self, token: int) -> TokenLogprob:
        return logprob(self._scored, token, self._request.top_logprobs, self._log_total)

    def _pass(self, entry: Entry, tokens: Sequence[int], keep: int) -> Pass:
        """One forward pass; steps aside once for something more urgent, and tries smaller when memory runs out."""
        runner, clock = self._state.runner, self._control.clock
        may_step_aside = len(tokens) > 1 and entry.cache.croppable
        while True:

            def check(may_step_aside: bool = may_step_aside) -> None:
                self._check()
                if may_step_aside and self._control.preempted():
                    raise Interrupted

            start, began = len(entry.tokens), clock()
            runner.check = check
            try:
                rows = runner.forward(tokens, entry.cache, keep)
            except Interrupted:
                self._roll_back(entry, start)
                may_step_aside = False
                yield
                self._check()
                continue
            except Ended:
                self._roll_back(entry, start)
                raise
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                self._roll_back(entry, start)
                if not is_out_of_memory(error):
                    raise
                if not self._memory_freed:
                    self._free_memory()
                    continue
                if keep > 1 or len(tokens) < 2:
                    raise OutOfMemory(
                        "Memory ran out on this request; use a smaller model or a shorter context."
                    ) from error
                half = len(tokens) // 2
                self._state.chunks.limit(half)
                yield from self._pass(entry, tokens[:half], 1)
                return (yield from self._pass(entry, tokens[half:], 1))
            finally:
                runner.check = None
                spent = clock() - began
                self._add(**{"decode_s" if self._decoding else "prefill_s": spent})
            entry.tokens.extend(tokens)
            self._state.chunks.measured(len(tokens), spent)
            return rows

    def _free_memory(self) -> None:
        """Once for each sequence: drop what is kept for later ones."""
        log.warning("memory ran out; dropping cached sequences")
        self._cache.shrink(0)
        self._state.free_memory()
        self._memory_freed = True

    def _roll_back(self, entry: Entry, length: int) -> None:
        if entry.cache.croppable:
            entry.crop(length)
        else:
            entry.tokens.clear()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch means that memory ran out; on a CPU it is an ordinary RuntimeError."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
