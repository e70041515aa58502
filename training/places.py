"""Where training keeps its files: one folder outside the repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import platformdirs

REPOSITORY = Path(__file__).resolve().parent.parent
BUNDLED_MODEL = REPOSITORY / "bundled" / "codeface-tiny"


@dataclass(frozen=True)
class Places:
    """The files of one training home."""

    home: Path

    @property
    def documents(self) -> Path:
        """The chosen source files as JSON lines, one split a folder entry."""
        return self.home / "documents.jsonl"

    @property
    def licences(self) -> Path:
        """What was taken from whom, under which licence."""
        return self.home / "licences.json"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's folder in Hugging Face form."""
        return self.home / "tokenizer"

    @property
    def packed(self) -> Path:
        """The training split as uint16 tokens."""
        return self.home / "packed"

    def run(self, name: str) -> Path:
        """The folder of one training run: checkpoints, log, plot."""
        return self.home / "runs" / name


def default_home() -> Path:
    """The user's cache folder for training."""
    return Path(platformdirs.user_cache_dir("codeface")) / "training"
