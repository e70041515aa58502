"""What models take, and giving it back."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import psutil
import torch

_M_ARENA_MAX = -8


def tensor_bytes(model: torch.nn.Module) -> int:
    """Bytes of the storages behind a model's parameters and buffers, shared ones counted once."""
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in _tensors(model)
    }
    return sum(storages.values())


def resident_bytes() -> int:
    """Resident memory of this process."""
    return int(psutil.Process().memory_info().rss)


def taken_bytes(device: str) -> int:
    """Bytes that this process holds on a device: allocated on CUDA, resident elsewhere."""
    return int(torch.cuda.memory_allocated(device)) if device.startswith("cuda") else resident_bytes()


def used_share(device: torch.device) -> float:
    """Share of the device's memory in use by anyone, 0 to 1."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return 1 - free / total
    memory = psutil.virtual_memory()
    return float(1 - memory.available / memory.total)


def give_back() -> None:
    """Return freed memory to the system: collect cycles, empty CUDA's cache, trim the C heap."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim()


def trim() -> None:
    """Return what lies free in the C heap to the system; takes milliseconds, and no interpreter lock."""
    malloc_trim = _malloc_trim()
    if malloc_trim is not None:
        malloc_trim(0)


@cache
def few_arenas() -> None:
    """Let all threads of this process share two C heaps: each more keeps some of what a load left behind in it."""
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 2)


def unmap(model: torch.nn.Module) -> None:
    """Copy what is left of a model's weights out of the mapped file, so that the pages of the replaced ones go."""
    for tensor in _tensors(model):
        tensor.data = tensor.data.clone()
    give_back()


def _tensors(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    yield from model.parameters()
    yield from model.buffers()


@cache
def _malloc_trim() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
