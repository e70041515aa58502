"""Vectors of definitions as float16. Imported only where a model for embeddings is set: numpy takes 0.1 s to load."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pack(vector: Sequence[float]) -> bytes:
    """A vector scaled to length 1, as float16."""
    values = np.asarray(vector, np.float32)
    return (values / max(float(np.linalg.norm(values)), 1e-9)).astype(np.float16).tobytes()


def unpack(blob: bytes, rows: int, size: int) -> NDArray[np.float32]:
    """Packed vectors as a matrix of shape (rows, size); of no rows if the blob is of another model."""
    if len(blob) != rows * size * 2:
        return np.zeros((0, size), np.float32)
    return np.frombuffer(blob, np.float16).reshape(rows, size).astype(np.float32)


def nearest(matrix: NDArray[np.float32], vector: Sequence[float], most: int) -> list[int]:
    """Rows by cosine similarity to `vector`, the most similar first."""
    values = np.asarray(vector, np.float32)
    similarity = matrix @ (values / max(float(np.linalg.norm(values)), 1e-9))
    return [int(row) for row in np.argsort(-similarity)[:most]]
