"""One sequence, from prompt to last token, as an iterator that yields wherever another sequence may go first."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence

import torch

from codeface_lsp.errors import OutOfMemory
from codeface_lsp.inference.beams import Beam, LineSearch, Row
from codeface_lsp.inference.control import Control, Ended
from codeface_lsp.inference.fused import FusedRunner
from codeface_lsp.inference.healing import Constraint
from codeface_lsp.inference.interrupts import Interrupted
from codeface_lsp.inference.output import Emit, Output
from codeface_lsp.inference.prefix_cache import Entry, PrefixCache
from codeface_lsp.inference.sampling import Sampler, logprob
from codeface_lsp.inference.state import ModelState
from codeface_lsp.inference.token_index import LONGEST_MATCH
from codeface_lsp.inference.types import GenerationRequest, TokenLogprob, Usage

log = logging.getLogger(__name__)

Pass = Generator[None, None, torch.Tensor]
SEARCH_SHARE = 0.5
"""Of the time budget, for a search of the first line: nothing is shown while it goes on; then what is found is told."""


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
        if self._spent():
            raise Ended("time")

    def _spent(self, share: float = 1.0) -> bool:
        """Whether that share of the time budget is over."""
        budget = self._request.time_budget_s
        return budget is not None and self._control.clock() - self._control.submitted() > share * budget

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
        if (width := self._state.beams(self._request)) > 1:
            logits = yield from self._first_line(entry, logits, width)
        rows, at, draft = logits[None], 0, list[int]()
        while True:
            token = self._choose(rows[at])
            self._send(self._logprob(token))
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

    def _first_line(self, entry: Entry, logits: torch.Tensor, width: int) -> Pass:
        """Send the most probable first line, or its best beginning when time runs; returns the logits behind it."""
        blank = "\n" in self._request.stop
        search = LineSearch(width, self._state.tokenizer, self._ends, self._constraint, blank=blank)
        try:
            yield from self._search(search, entry, logits)
        except Ended as ended:
            if ended.reason != "cancelled":
                self._send_line(search, entry)
            raise
        last = self._send_line(search, entry)
        yield
        self._check()
        return (yield from self._pass(entry, [last], 1))[-1]

    def _search(self, search: LineSearch, entry: Entry, logits: torch.Tensor) -> Iterator[None]:
        runner, shared = self._state.runner, len(entry.tokens)
        assert isinstance(runner, FusedRunner)
        rows = logits[None]
        for depth in range(self._left()):
            if depth:
                yield
                self._check()
                if self._spent(SEARCH_SHARE):
                    return
                before, began = entry.cache.length, self._control.clock()
                runner.check = self._check
                rows = runner.branch(
                    [beam.ids[-1] for beam in search.live],
                    entry.cache,
                    shared,
                    [b.places for b in search.live],
                )
                runner.check = None
                search.placed(before)
                self._add(decode_s=self._control.clock() - began)
            search.grow([self._weighed(row, beam) for row, beam in zip(rows, search.live, strict=True)])
            if search.found() is not None or not search.live:
                return

    def _weighed(self, row: torch.Tensor, beam: Beam) -> tuple[Row, float]:
        if self._mixture is None:
            return beam.log_probabilities(row.numpy(), None)
        logits, log_total = self._mixture.mix([*self._sequence[-LONGEST_MATCH:], *beam.ids], row)
        return beam.log_probabilities(logits.numpy(), log_total)

    def _send_line(self, search: LineSearch, entry: Entry) -> int:
        """Send the best line and leave its tokens, but for the last, in the cache; returns the last."""
        shared, line = len(entry.tokens), search.best()
        if line is None:
            raise Ended("stop")
        entry.cache.keep(shared, line.places)
        entry.tokens.extend(line.ids[: len(line.places)])
        for token in line.tokens:
            self._constraint = self._constraint.after(token.token_id)
            self._send(token)
        return line.ids[-1]

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
        self._constraint = self._constraint.after(token)
        return token

    def _send(self, token: TokenLogprob) -> None:
        """Send on a chosen token; raises `Ended` if it is the last."""
        if token.token_id in self._ends:
            raise Ended("eos")
        self._sequence.append(token.token_id)
        self._add(completion_tokens=1)
        raw = self._state.tokenizer.token_bytes(token.token_id)
        if self._output.add(token, raw):
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
