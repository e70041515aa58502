"""Several processes that train one model together, each on one core, sharing the rows of every step as they can.

On a machine whose cores are wanted by others, threads inside one process wait for the slowest at every operation. Here
a process takes the next share of the step's rows when it is done with the last, and they meet once a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Team:
    """One member's view of the team; a team of one needs no store."""

    rank: int = 0
    size: int = 1
    store: dist.Store | None = None

    def shares(self, step: int, count: int) -> Iterator[int]:
        """The shares of a step that fall to this member: each of `count` goes to exactly one."""
        if self.store is None:
            yield from range(count)
            return
        while (share := self.store.add(f"step {step}", 1) - 1) < count:
            yield share

    def meet(self, model: nn.Module, sums: torch.Tensor) -> torch.Tensor:
        """Add up everyone's gradients and `sums`; gradients are divided by the first sum (the tokens learnt from)."""
        parameters = list(model.parameters())
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([*(g.flatten() for g in gradients), sums.to(gradients[0])])
        if self.size > 1:
            dist.all_reduce(flat)
        total = flat[-len(sums) :].cpu()
        pieces = (flat[: -len(sums)] / total[0].clamp(min=1)).split([p.numel() for p in parameters])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)
        return total


@contextmanager
def joined(rank: int, size: int, store: dist.Store) -> Iterator[Team]:
    """Membership in a team of several processes of one thread each."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.PrefixStore("group", store), rank=rank, world_size=size)
    try:
        yield Team(rank, size, store)
    finally:
        dist.destroy_process_group()


def together(work: Callable[..., None], size: int, *arguments: object) -> None:
    """Run `work(team, *arguments)` in `size` processes; this one is the first. Returns when all are done."""
    if size == 1:
        work(Team(), *arguments)
        return
    store = dist.TCPStore(HOST, 0, size, is_master=True, wait_for_workers=False)
    context = torch.multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_member, args=(work, rank, size, store.port, *arguments), daemon=True)
        for rank in range(1, size)
    ]
    for other in others:
        other.start()
    with joined(0, size, store) as team:
        work(team, *arguments)
    for other in others:
        other.join()


def _member(work: Callable[..., None], rank: int, size: int, port: int, *arguments: object) -> None:
    store = dist.TCPStore(HOST, port, size, is_master=False)
    with joined(rank, size, store) as team:
        work(team, *arguments)
