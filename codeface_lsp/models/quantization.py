"""Quantised weights: bitsandbytes at load time, and checkpoints that are quantised already."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch

from codeface_lsp.errors import ModelLoadError

METHODS = ("8bit", "4bit", "gptq", "awq")
_PACKAGES = {"gptq": ("gptqmodel", "optimum"), "awq": ("gptqmodel",), "bitsandbytes": ("bitsandbytes",)}
_GPU_ONLY = ("gptq", "awq")

Installed = Callable[[str], bool]


def installed(package: str) -> bool:
    """Whether a package could be imported."""
    return importlib.util.find_spec(package) is not None


def check(
    wanted: str | None, stored: str | None, device: torch.device, has: Installed = installed
) -> str | None:
    """The quantisation a model ends up with; raises `ModelLoadError` (`quantization`) for what cannot be.

    `wanted` comes from the registry or the settings, `stored` is the method a checkpoint was saved with.
    """
    if wanted is not None and wanted not in METHODS:
        raise ModelLoadError(
            f"Quantisation `{wanted}` is not known; use 8bit, 4bit, gptq, awq or none.", kind="quantization"
        )
    if stored is not None:
        return _check_stored(wanted, stored, device, has)
    if wanted in ("gptq", "awq"):
        raise ModelLoadError(
            f"This checkpoint is not quantised with {wanted}; name its {wanted.upper()} version, or use 8bit or 4bit.",
            kind="quantization",
        )
    if wanted is not None:
        if device.type == "mps":
            raise ModelLoadError(
                "bitsandbytes does not run on Apple GPUs; load this model in float16, or on the CPU.",
                kind="quantization",
            )
        _need("bitsandbytes", wanted, has)
    return wanted


def config_for(quantization: str | None, dtype: torch.dtype) -> Any:
    """The `quantization_config` for `from_pretrained`, None if nothing is quantised at load time."""
    if quantization not in ("8bit", "4bit"):
        return None
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _check_stored(wanted: str | None, stored: str, device: torch.device, has: Installed) -> str:
    if wanted is not None and wanted != stored and stored != "bitsandbytes":
        raise ModelLoadError(
            f"This checkpoint is already quantised with {stored}; leave `quantization` out for it.",
            kind="quantization",
        )
    if stored in _GPU_ONLY and device.type != "cuda":
        raise ModelLoadError(
            f"{stored.upper()} weights need a CUDA device, and this is {device.type}; "
            "use the unquantised model with quantization 4bit.",
            kind="quantization",
        )
    _need(stored, stored, has)
    return stored


def _need(method: str, label: str, has: Installed) -> None:
    missing = [package for package in _PACKAGES.get(method, ()) if not has(package)]
    if missing:
        raise ModelLoadError(
            f"Quantisation {label} needs the package {' and '.join(missing)}; "
            f"install it beside codeface-lsp (pip install {' '.join(missing)}).",
            kind="quantization",
        )
