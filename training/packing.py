"""The training split as one array of uint16 tokens, small enough to carry to any machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.corpus import Document

MOST_TOKENS = 14_900_000
"""So that the file stays under 30 MB."""
SEED = 20_260_102


@dataclass(frozen=True)
class Packed:
    """Documents end to end: document i is `tokens[starts[i]:starts[i + 1]]`, known to the model as `paths[i]`."""

    tokens: NDArray[np.uint16]
    starts: NDArray[np.int64]
    paths: list[str]

    def document_at(self, position: int) -> int:
        """The index of the document that holds token `position`."""
        return int(np.searchsorted(self.starts, position, side="right")) - 1


def pack(
    documents: list[Document], tokenizer: Tokenizer, folder: Path, most_tokens: int = MOST_TOKENS
) -> Packed:
    """Tokenize the documents in a seeded order, up to `most_tokens`, and write them to `folder`."""
    order = np.random.default_rng(SEED).permutation(len(documents))
    chosen = [documents[i] for i in order]
    pieces, starts, paths = [], [0], []
    for document, encoding in zip(chosen, tokenizer.encode_batch([d.text for d in chosen]), strict=True):
        if starts[-1] + len(encoding.ids) > most_tokens:
            break
        pieces.append(np.array(encoding.ids, dtype=np.uint16))
        starts.append(starts[-1] + len(encoding.ids))
        paths.append(document.path)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "tokens.npy", np.concatenate(pieces))
    (folder / "documents.json").write_text(json.dumps({"starts": starts, "paths": paths}), encoding="utf-8")
    return open_packed(folder)


def open_packed(folder: Path) -> Packed:
    """The packed split, mapped into memory."""
    described = json.loads((folder / "documents.json").read_text(encoding="utf-8"))
    tokens = np.load(folder / "tokens.npy", mmap_mode="r")
    return Packed(tokens, np.array(described["starts"], dtype=np.int64), described["paths"])
