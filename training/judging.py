"""Judges answers against the truth and sums them up with intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rapidfuzz import fuzz

from training.decoding import Completion
from training.grammars import is_well_formed
from training.places import Places
from training.questions import Question

RESAMPLES = 2_000


@dataclass(frozen=True)
class Answer:
    """One system's answer to one question, judged."""

    system: str
    kind: str
    source: str
    exact: bool
    similarity: float
    parses: bool
    confidence: float


def keep(answers: Sequence[Answer], places: Places, name: str) -> None:
    """Keep the single answers in the training home."""
    with (places.home / f"answers-{name}.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(asdict(answer)) + "\n" for answer in answers)


def judge(system: str, question: Question, completion: Completion) -> Answer:
    """Compare with the truth, blanks at the ends aside, and parse the file with the answer in the hole."""
    text = completion.text
    if question.kind == "block":
        text = cut_block(text, question)
    guess, truth = text.strip(), question.truth.strip()
    similarity = fuzz.ratio(guess, truth) / 100
    well_formed = parses(question, text)
    return Answer(
        system, question.kind, question.source, guess == truth, similarity, well_formed, completion.confidence
    )


def parses(question: Question, text: str) -> bool:
    """Whether the file is well formed with `text` in the hole."""
    return is_well_formed(question.prefix + text.rstrip() + question.suffix, question.path)


def cut_block(text: str, question: Question) -> str:
    """The generated lines down to the first that leaves the block."""
    width = len(question.prefix) - question.prefix.rfind("\n") - 1
    lines = text.split("\n")
    for at, line in enumerate(lines[1:], 1):
        if line.strip() and len(line) - len(line.lstrip()) < width:
            return "\n".join(lines[:at])
    return text


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """Mean and the bounds of its 95 % bootstrap interval."""
    array = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(len(array), size=(RESAMPLES, len(array)))
    low, high = np.percentile(array[drawn].mean(axis=1), [2.5, 97.5])
    return float(array.mean()), float(low), float(high)


def confident_quarter(answers: Sequence[Answer]) -> float:
    """Exact matches among the quarter that the system was surest of."""
    ordered = sorted(answers, key=lambda answer: -answer.confidence)
    return float(np.mean([answer.exact for answer in ordered[: max(1, len(ordered) // 4)]]))


def rows(answers: Sequence[Answer]) -> list[dict[str, object]]:
    """One row for each kind and system."""
    table = []
    for kind in dict.fromkeys(answer.kind for answer in answers):
        for system in dict.fromkeys(answer.system for answer in answers):
            mine = [answer for answer in answers if (answer.kind, answer.system) == (kind, system)]
            table.append(
                {
                    "kind": kind,
                    "system": system,
                    "exact": interval([answer.exact for answer in mine]),
                    "similarity": interval([answer.similarity for answer in mine]),
                    "parses": interval([answer.parses for answer in mine]),
                    "confident_quarter": confident_quarter(mine),
                }
            )
    return table


def as_markdown(result: dict[str, Any]) -> str:
    """The table for people."""
    lines = [
        "| hole | system | exact match | edit similarity | parses | exact in the surest quarter |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        cells = [
            f"{100 * mean:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
            for mean, low, high in (row["exact"], row["similarity"], row["parses"])
        ]
        sure = "–" if row["system"] == "copy" else f"{100 * row['confident_quarter']:.0f} %"
        lines.append(f"| {row['kind']} | {row['system']} | " + " | ".join(cells) + f" | {sure} |")
    return "\n".join(lines)
