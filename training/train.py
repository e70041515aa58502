"""The training loop: resumable, the same on a CPU, on several processes of one core each, and on one GPU."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from training import packing, plan, team, tokenizer
from training.places import Places
from training.samples import IGNORED, Sampler
from training.state import Options, Training
from training.team import Team
from training.validation import Validation

VALIDATE_EVERY = 100
LOG_EVERY = 10
SAVE_EVERY_SECONDS = 240
CUDA_WORKERS = 8
SHARES = 4
"""Into so many shares the rows of a step are cut where several processes work on it."""

Batch = tuple[torch.Tensor, torch.Tensor]


class Rows(Dataset[Batch]):
    """Item i is the whole batch of step i."""

    def __init__(self, sampler: Sampler, phase: plan.Phase, rows: int, first: int, count: int) -> None:
        self.sampler, self.phase, self.rows, self.first, self.count = sampler, phase, rows, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Batch:
        if index >= self.count:
            raise IndexError(index)
        return self.share(self.first + index, 0, 1)

    def share(self, step: int, share: int, of: int) -> Batch:
        """One of `of` equal shares of a step's rows."""
        size = self.rows // of
        ids, labels = self.sampler.batch(step, size, self.phase.length, first=share * size)
        return torch.from_numpy(ids.copy()), torch.from_numpy(labels)

    def steps(self, members: Team, workers: int) -> Iterator[Iterator[Batch]]:
        """For every step, the batches that fall to this member."""
        if members.size == 1:
            yield from (iter([batch]) for batch in DataLoader(self, batch_size=None, num_workers=workers))
            return
        of = min(SHARES, self.rows)
        for step in range(self.first, self.first + self.count):
            yield (self.share(step, share, of) for share in members.shares(step, of))


class Clock:
    """Says when this call's time is over, or the process was asked to stop, and when to save."""

    def __init__(self, minutes: float) -> None:
        self.began = self.last = self.saved = time.monotonic()
        self.minutes = minutes
        self.asked_to_stop = False

    def tick(self) -> float:
        """Seconds since the last tick."""
        now = time.monotonic()
        passed, self.last = now - self.last, now
        return passed

    def is_over(self) -> bool:
        return self.asked_to_stop or self.last - self.began > self.minutes * 60

    def is_time_to_save(self) -> bool:
        due = self.last - self.saved > SAVE_EVERY_SECONDS
        if due:
            self.saved = self.last
        return due


@contextmanager
def stopping(clock: Clock) -> Iterator[None]:
    """A SIGTERM lets the step in progress end and the checkpoint be written."""

    def stop(*_: object) -> None:
        clock.asked_to_stop = True

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def train(places: Places, options: Options) -> Path:
    """Train until the minutes, the steps or the decay are over, or a SIGTERM comes; returns the run's folder."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    team.together(_train, options.processes, places, options)
    return places.run(options.run)


def _train(members: Team, places: Places, options: Options) -> None:
    words = tokenizer.load(places.tokenizer)
    phase = plan.PHASES[options.phase]
    training = Training(places, options)
    sampler = Sampler(packing.open_packed(places.packed), words, phase.mixture, seed=options.seed)
    rows = Rows(sampler, phase, options.rows or phase.rows, training.step, training.steps_to_do())
    workers = CUDA_WORKERS if options.device == "cuda" else 0
    loss_of = torch.compile(training.model.loss) if options.compile else training.model.loss
    leads = members.rank == 0
    validate = Validation(places, words) if leads else None
    clock = Clock(options.minutes)
    losses: list[float] = []
    with stopping(clock):
        for batches in rows.steps(members, workers):
            learnt, nats = 0, 0.0
            for ids, labels in batches:
                with torch.autocast(options.device, dtype=torch.bfloat16):
                    loss = loss_of(ids.to(options.device), labels.to(options.device))
                count = int((labels != IGNORED).sum())
                (loss * count).backward()
                learnt, nats = learnt + count, nats + loss.item() * count
            total = members.meet(training.model, torch.tensor([learnt, nats, leads and clock.is_over()]))
            training.update()
            passed = clock.tick()
            training.count(rows.rows * phase.length, passed)
            losses.append(float(total[1] / total[0]))
            if leads and training.step % LOG_EVERY == 0:
                speed = round(rows.rows * phase.length / passed)
                training.log({"loss": sum(losses) / len(losses), "tokens_per_second": speed})
                losses.clear()
            if validate and training.step % VALIDATE_EVERY == 0:
                training.log(validate(training.model))
            if leads and clock.is_time_to_save():
                training.save()
            if total[2]:
                break
    if validate:
        training.save()
        training.log(validate(training.model))
