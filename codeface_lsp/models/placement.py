"""Where a model goes and in which type: device, dtype, attention kernel, and whether it fits."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass

import psutil
import torch

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.models import sizes
from codeface_lsp.models.sizes import GIB

log = logging.getLogger(__name__)

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Placement:
    """What a model is loaded with. `device_map` is `auto` where layers spill over to CPU memory or disk."""

    device: torch.device
    dtype: torch.dtype
    attention: str
    quantization: str | None = None
    device_map: str | None = None
    offload_folder: str | None = None


def pick_device(wanted: str) -> torch.device:
    """Resolve `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; raises `ModelLoadError` (`device`) if it is not there."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device("cuda:0" if wanted == "cuda" else wanted)
    except RuntimeError as error:
        raise ModelLoadError(
            f"`{wanted}` is not a device; use auto, cpu, cuda, cuda:N or mps.", kind="device"
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        there = (
            f"{torch.cuda.device_count()} CUDA device(s)" if torch.cuda.is_available() else "no CUDA device"
        )
        raise ModelLoadError(
            f"`{wanted}` was asked for, but there is {there}; use `auto` or `cpu`.", kind="device"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ModelLoadError(
            "`mps` was asked for, but this is no Apple GPU; use `auto` or `cpu`.", kind="device"
        )
    if device.type not in ("cpu", "cuda", "mps"):
        raise ModelLoadError(
            f"`{wanted}` is not supported; use auto, cpu, cuda, cuda:N or mps.", kind="device"
        )
    return device


def pick_dtype(wanted: str, device: torch.device, parameters: int) -> torch.dtype:
    """Resolve `auto`: on a CPU float32 (attention in bfloat16 is slow there) while it takes at most half of what is
    free, bfloat16 above; on CUDA bfloat16 where the device has it; on MPS float16."""
    if wanted != "auto":
        return _DTYPES[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "mps":
        return torch.float16
    return torch.float32 if parameters * 4 <= free_bytes(device) / 2 else torch.bfloat16


def pick_attention(wanted: str, device: torch.device) -> str:
    """Resolve `auto`, and fall back quietly to SDPA where FlashAttention cannot run."""
    if wanted != "flash_attention_2":
        return "sdpa" if wanted == "auto" else wanted
    if device.type == "cuda" and importlib.util.find_spec("flash_attn") is not None:
        return wanted
    log.info("FlashAttention is not available on %s; using SDPA", device)
    return "sdpa"


def free_bytes(device: torch.device) -> int:
    """Memory that a new model could take on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def total_bytes(device: torch.device) -> int:
    """All memory of the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    return int(psutil.virtual_memory().total)


def bytes_needed(parameters: int, dtype: torch.dtype, quantization: str | None) -> int:
    """Estimate of the resident bytes of the weights; what is quantised already counts as 4 bits."""
    if quantization in ("gptq", "awq"):
        quantization = "4bit"
    return sizes.bytes_needed(parameters, quantization or str(dtype).removeprefix("torch."))


def room(device: torch.device, *, offload: bool) -> dict[int | str, int]:
    """Bytes that a model which spills over may take on each device; with `offload`, the rest goes to disk."""
    cpu = torch.device("cpu")
    share = sizes.WORKING_SHARE
    memory: dict[int | str, int] = {"cpu": int(free_bytes(cpu) / (share if offload else 1))}
    if device.type == "cuda":
        memory[device.index or 0] = int(free_bytes(device) / share)
    return memory


def check_fits(name: str, parameters: int, placement: Placement) -> None:
    """Raise `ModelLoadError` (`out_of_memory`) with what the model needs, what there is and what would fit."""
    if not parameters or placement.device_map == "auto":
        return
    needed = bytes_needed(parameters, placement.dtype, placement.quantization)
    free = free_bytes(placement.device)
    if needed <= free:
        return
    smaller = [
        label
        for label, dtype, quantization in (
            ("dtype bfloat16", torch.bfloat16, None),
            ("quantization 8bit", placement.dtype, "8bit"),
            ("quantization 4bit", placement.dtype, "4bit"),
        )
        if bytes_needed(parameters, dtype, quantization) <= free
    ]
    fitting = int(free / sizes.WORKING_SHARE / placement.dtype.itemsize / 1e6)
    hint = (
        f"{smaller[0]} would fit" if smaller else f"a model of up to {fitting:,} million parameters would fit"
    )
    raise ModelLoadError(
        f"{name} needs about {needed / GIB:.1f} GiB on {placement.device}, and {free / GIB:.1f} GiB are free; {hint}.",
        kind="out_of_memory",
    )
