"""The phases of a training: how long the rows are and what is in them."""

from __future__ import annotations

from dataclasses import dataclass

from training.samples import Mixture


@dataclass(frozen=True)
class Phase:
    """One kind of training rows, and how many make a step."""

    length: int
    rows: int
    mixture: Mixture


PHASES = {
    "short": Phase(512, 16, Mixture(suffix_first=0.8)),
    "long": Phase(2048, 4, Mixture(suffix_first=0.6, prefix_first=0.15, extra_context=0.4, skills=0.08)),
}
"""Short rows first, in the suffix-first form alone: it ends in the prefix, and so is learnt first. Then the whole
context, with neighbouring files, prefix-first samples and the two skills."""

WARM_UP_STEPS = 40
EMA_DECAY = 0.995


def rate(step: int, decay_steps: int, decay_done: int) -> float:
    """Share of the full learning rate: warm-up, constant, and in a decaying run down to zero in a straight line."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return warm if not decay_steps else warm * max(0.0, 1 - decay_done / decay_steps)
