"""The state of a training run: model, optimizers, average of the weights, and their checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from training import optimizer, plan
from training.model import SHAPES, TinyLlama
from training.places import Places

CHECKPOINT = "checkpoint.pt"
MADE = "training.json"
"""Beside exported weights: the run, its steps and tokens."""
LOG = "log.jsonl"
MOST_GRADIENT = 1.0


@dataclass
class Options:
    """What one call of the training loop is asked to do."""

    run: str = "main"
    start_from: str | None = None
    phase: str = "short"
    size: str = "6m"
    minutes: float = 9.0
    steps: int = 10**9
    decay_steps: int = 0
    rows: int | None = None
    processes: int = 1
    seed: int = 1
    compile: bool = True
    device: str = field(default_factory=lambda: "cuda" if torch.cuda.is_available() else "cpu")


class Training:
    """A model, its optimizers, the average of its weights, and how far it has come."""

    def __init__(self, places: Places, options: Options) -> None:
        torch.manual_seed(options.seed)
        self.folder = places.run(options.run)
        self.options = options
        self.shape_name = options.size
        self.step, self.tokens, self.decay_done, self.seconds = 0, 0, 0, 0.0
        self.began = 0
        state = self._saved(places)
        if state:
            self.shape_name = state["size"]
        self.model = TinyLlama(SHAPES[self.shape_name]).to(options.device)
        self.optimizers = optimizer.build(self.model)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        if state:
            self._restore(state)
        self.folder.mkdir(parents=True, exist_ok=True)

    def _saved(self, places: Places) -> dict[str, Any] | None:
        for run in (self.options.run, self.options.start_from):
            if run and (places.run(run) / CHECKPOINT).exists():
                state = torch.load(
                    places.run(run) / CHECKPOINT, map_location=self.options.device, weights_only=True
                )
                if run != self.options.run:
                    state["decay_done"] = 0
                return state
        if self.options.start_from:
            return self._exported(Path(self.options.start_from))
        return None

    def _exported(self, folder: Path) -> dict[str, Any]:
        """The state of a model that was exported: its weights and counts; the optimizers begin anew."""
        if not (folder / MADE).exists():
            raise SystemExit(f"'{folder}' is neither a run with a checkpoint nor an exported model.")
        made = json.loads((folder / MADE).read_text(encoding="utf-8"))
        weights = {
            name: value.float()
            for shard in sorted(folder.glob("*.safetensors"))
            for name, value in load_file(shard, device=self.options.device).items()
        }
        return {
            "size": made["size"],
            "model": weights,
            "average": {name: value.clone() for name, value in weights.items()},
            "optimizers": None,
            "began": made["step"],
            "step": made["step"],
            "tokens": made["tokens"],
            "decay_done": 0,
            "seconds": made["hours"] * 3600,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        for own, saved in zip(self.optimizers, state["optimizers"] or (), strict=False):
            own.load_state_dict(saved)
        self.step, self.tokens, self.decay_done = state["step"], state["tokens"], state["decay_done"]
        self.began, self.seconds = state["began"], state["seconds"]

    def save(self) -> None:
        """Write the checkpoint; the one before stays whole until the new one is."""
        state = {
            "size": self.shape_name,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [own.state_dict() for own in self.optimizers],
            "began": self.began,
            "step": self.step,
            "tokens": self.tokens,
            "decay_done": self.decay_done,
            "seconds": self.seconds,
        }
        torch.save(state, self.folder / (CHECKPOINT + ".new"))
        (self.folder / (CHECKPOINT + ".new")).replace(self.folder / CHECKPOINT)

    def log(self, record: dict[str, float]) -> None:
        """Append one line to the run's log."""
        measured = {key: round(value, 4) for key, value in record.items()}
        record = {"step": self.step, "tokens": self.tokens, "seconds": round(self.seconds, 1), **measured}
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
        print(record, flush=True)

    def count(self, tokens: int, seconds: float) -> None:
        """Add what a step has seen and taken."""
        self.tokens += tokens
        self.seconds += seconds

    def steps_to_do(self) -> int:
        """How many steps this call may take at most."""
        return self.options.decay_steps - self.decay_done if self.options.decay_steps else self.options.steps

    def update(self) -> None:
        """Clip, set the rate, step the optimizers and the average."""
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MOST_GRADIENT)
        share = plan.rate(self.step - self.began, self.options.decay_steps, self.decay_done)
        for own in self.optimizers:
            for group in own.param_groups:
                group["lr"] = group["base_lr"] * share
            own.step()
        self.model.zero_grad(set_to_none=True)
        taken = self.step - self.began
        keep = min(plan.EMA_DECAY, (taken + 1) / (taken + 20))
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)
        self.step += 1
        self.decay_done += bool(self.options.decay_steps)
