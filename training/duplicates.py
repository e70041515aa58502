"""Exact and near duplicates among source files, by hashed word shingles (Broder 1997, MinHash)."""

from __future__ import annotations

import hashlib
import re
import zlib

import numpy as np
from numpy.typing import NDArray

Shingles = NDArray[np.uint64]

WORD = re.compile(r"\w+|[^\w\s]")
SHINGLE_WORDS = 7
HASHES = 64
BANDS = 16
NEAR = 0.7
"""Estimated Jaccard similarity from which a file counts as a copy."""
COPIED = 0.3
"""Share of a file's shingles found in a held-out package from which it is refused."""

_random = np.random.default_rng(20_260_101)
_MULTIPLIERS = _random.integers(1, 2**63, HASHES, dtype=np.uint64) | np.uint64(1)
_OFFSETS = _random.integers(0, 2**63, HASHES, dtype=np.uint64)


def shingles(text: str) -> Shingles:
    """The distinct hashed runs of seven words; white space and layout do not count."""
    words = np.fromiter((zlib.crc32(w.encode()) for w in WORD.findall(text)), dtype=np.uint64)
    if len(words) < SHINGLE_WORDS:
        return np.unique(words)
    count = len(words) - SHINGLE_WORDS + 1
    rolled = np.zeros(count, dtype=np.uint64)
    for offset in range(SHINGLE_WORDS):
        rolled = rolled * np.uint64(0x9E3779B97F4A7C15) + words[offset : offset + count]
    return np.unique(rolled ^ (rolled >> np.uint64(29)))


def signature(found: Shingles) -> NDArray[np.uint64]:
    """MinHash signature: `HASHES` minima, equal in two files with the probability of their Jaccard similarity."""
    return np.array(
        [((found * m + o) >> np.uint64(16)).min() for m, o in zip(_MULTIPLIERS, _OFFSETS, strict=True)],
        dtype=np.uint64,
    )


class DuplicateFilter:
    """Remembers what it has accepted and refuses copies of it.

    Files of a protected split (`protect=True`) are also remembered shingle by shingle: a later file
    that contains a good part of one is refused even when it is mostly something else.
    """

    def __init__(self) -> None:
        self._exact: set[bytes] = set()
        self._buckets: dict[tuple[int, bytes], list[NDArray[np.uint64]]] = {}
        self._protected: list[Shingles] = []
        self._protected_union: Shingles | None = None

    def accept(self, text: str, *, protect: bool = False) -> bool:
        """Remember `text` and return True, or return False where it copies something remembered."""
        digest = hashlib.sha256(" ".join(text.split()).encode()).digest()
        if digest in self._exact:
            return False
        found = shingles(text)
        if len(found) == 0 or (not protect and self.copied_share(found) >= COPIED):
            return False
        mine = signature(found)
        rows = HASHES // BANDS
        keys = [(band, mine[band * rows : (band + 1) * rows].tobytes()) for band in range(BANDS)]
        for key in keys:
            if any((mine == other).mean() >= NEAR for other in self._buckets.get(key, ())):
                return False
        for key in keys:
            self._buckets.setdefault(key, []).append(mine)
        self._exact.add(digest)
        if protect:
            self._protected.append(found)
            self._protected_union = None
        return True

    def copied_share(self, found: Shingles) -> float:
        """Share of `found` that some protected file contains."""
        if not self._protected:
            return 0.0
        if self._protected_union is None:
            self._protected_union = np.unique(np.concatenate(self._protected))
        places = np.searchsorted(self._protected_union, found)
        places[places == len(self._protected_union)] = 0
        return float((self._protected_union[places] == found).mean())
