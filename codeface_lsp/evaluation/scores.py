"""Scores of one completion against what stood there, and their means with 95 % intervals."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_KEYWORD_LIST = """
    and as assert async await break class const continue def del do elif else except export extends final finally fn
    for from func function if import in interface is let match new not null None or pass private public raise return
    self static struct super switch this throw try type typeof var void while with yield True False true false
"""
_KEYWORDS = frozenset(_KEYWORD_LIST.split())


def exact_match(given: str, wanted: str) -> float:
    """1 if they are the same but for white space at both ends."""
    return float(given.strip() == wanted.strip())


def edit_similarity(given: str, wanted: str) -> float:
    """1 minus the Levenshtein distance over the longer length."""
    return Levenshtein.normalized_similarity(given.strip(), wanted.strip())


def identifier_f1(given: str, wanted: str) -> float | None:
    """F1 over identifiers as multisets; None if there are none to find."""
    expected = Counter(name for name in _IDENTIFIER.findall(wanted) if name not in _KEYWORDS)
    if not expected:
        return None
    found = Counter(name for name in _IDENTIFIER.findall(given) if name not in _KEYWORDS)
    hits = (expected & found).total()
    return 2 * hits / (expected.total() + found.total())


def mean(values: Sequence[float]) -> float:
    """Mean, 0 of nothing."""
    return statistics.fmean(values) if values else 0.0


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean: Wilson's for shares of yes and no, the normal one for other values."""
    n = len(values)
    if n == 0:
        return 0.0, 1.0
    z, average = 1.96, mean(values)
    if all(value in (0.0, 1.0) for value in values):
        centre = (average + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(average * (1 - average) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    else:
        centre = average
        half = z * (statistics.stdev(values) if n > 1 else 0.5) / math.sqrt(n)
    return max(0.0, centre - half), min(1.0, centre + half)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie; 0 of nothing."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0
