"""The bar of confidence below which a completion is better not shown, found on the tuning packages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from training.judging import Answer
from training.places import Places

KINDS = ("whole line", "second half")
SYSTEM = "engine, int8, cache mixture"
"""What the engine does by default."""
LEAST_SHOWN = 0.25
PRECISION = 1 / 3


def find(places: Places, folder: Path, *, in_force: bool) -> dict[str, dict[str, float]]:
    """Find the bar on the kept tuning answers and apply it to the held-out ones; `in_force` puts it into the model."""
    found = bar(read_answers(places.home / "answers-tuning.jsonl", SYSTEM))
    if in_force:
        file = folder / "codeface.json"
        told = json.loads(file.read_text(encoding="utf-8")) | {"min_confidence": found["min_confidence"]}
        file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    held_out = read_answers(places.home / "answers-held-out.jsonl", SYSTEM)
    return {"tuning": found, "held_out": shown_by(held_out, found["min_confidence"])}


def read_answers(file: Path, system: str) -> list[Answer]:
    """The kept answers of one system to questions about lines."""
    answers = [Answer(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    return [answer for answer in answers if answer.system == system and answer.kind in KINDS]


def bar(answers: Sequence[Answer]) -> dict[str, float]:
    """The lowest confidence from which on at least a third of the answers shown are exactly right.

    At least a quarter of all is shown, whatever their precision.
    """
    ordered = sorted(answers, key=lambda answer: -answer.confidence)
    least = max(1, round(LEAST_SHOWN * len(ordered)))
    right = [sum(answer.exact for answer in ordered[:n]) for n in range(len(ordered) + 1)]
    shown = max((n for n in range(least, len(ordered) + 1) if right[n] / n >= PRECISION), default=least)
    return {
        "min_confidence": round(ordered[shown - 1].confidence, 3),
        "shown": shown / len(ordered),
        "exact_among_shown": right[shown] / shown,
    }


def shown_by(answers: Sequence[Answer], min_confidence: float) -> dict[str, float]:
    """What a bar lets through on other answers."""
    shown = [answer for answer in answers if answer.confidence >= min_confidence]
    return {
        "min_confidence": min_confidence,
        "shown": len(shown) / len(answers),
        "exact_among_shown": sum(answer.exact for answer in shown) / max(1, len(shown)),
    }
