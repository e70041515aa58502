"""How much memory the weights of a model take, by how they are held."""

from __future__ import annotations

GIB = 1024**3
BYTES_PER_PARAMETER = {
    "float32": 4.0,
    "bfloat16": 2.0,
    "float16": 2.0,
    "8bit": 1.03,
    "4bit": 0.56,
}
"""bitsandbytes' weights are counted with their scales (int8, and NF4 with double quantisation)."""
WORKING_SHARE = 1.1
"""Weights plus what a load needs beside them."""


def bytes_needed(parameters: int, held_as: str) -> int:
    """Estimate of the resident bytes; `held_as` is a key of `BYTES_PER_PARAMETER`, others count as float16."""
    return int(parameters * BYTES_PER_PARAMETER.get(held_as, 2.0) * WORKING_SHARE)
