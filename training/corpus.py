"""Chooses the documents: readable, permissively licensed, each only once, held-out packages apart."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from training.duplicates import DuplicateFilter
from training.grammars import is_well_formed
from training.npm import npm_packages
from training.places import Places
from training.sources import HELD_OUT, Source, all_sources, in_order, write_licences

SMALLEST, LARGEST = 200, 150_000
LONGEST_LINE = 300
GENERATED = re.compile(
    r"generated (by|from|automatically)|automatically generated|auto-?generated|do not edit", re.I
)


@dataclass(frozen=True)
class Document:
    """One source file."""

    source: str
    path: str
    split: str
    text: str


def is_readable(text: str, path: str) -> bool:
    """Whether a file looks written by people for people: no data tables, no generated code, well formed."""
    if not SMALLEST <= len(text) <= LARGEST or "\0" in text or GENERATED.search(text[:1500]):
        return False
    lines = text.split("\n")
    if max(map(len, lines)) > LONGEST_LINE or sum(map(len, lines)) / len(lines) > 90:
        return False
    if sum(c.isdigit() for c in text) > 0.15 * len(text) or sum(c.isascii() for c in text) < 0.97 * len(text):
        return False
    return is_well_formed(text, path)


def _in_seeded_order(source: Source) -> list[tuple[str, Path]]:
    return sorted(source.files, key=lambda file: hashlib.sha256(file[0].encode()).digest())


def choose(sources: list[Source]) -> Iterator[Document]:
    """The documents of all sources; copies of earlier ones are left out."""
    seen = DuplicateFilter()
    for source in sources:
        taken = 0
        for path, file in _in_seeded_order(source):
            if source.split == "train" and (taken >= source.most or set(HELD_OUT) & set(Path(path).parts)):
                continue
            try:
                text = file.read_text(encoding="utf-8").replace("\r\n", "\n")
            except (UnicodeDecodeError, OSError):
                continue
            if not is_readable(text, path) or not seen.accept(text, protect=source.split != "train"):
                continue
            taken += len(text)
            yield Document(source.name, path, source.split, text)


def build(places: Places) -> None:
    """Write documents and licences into the training home, and say how much there is."""
    places.home.mkdir(parents=True, exist_ok=True)
    sources = in_order([*all_sources(), *npm_packages()])
    taken: Counter[str] = Counter()
    splits: Counter[str] = Counter()
    with places.documents.open("w", encoding="utf-8") as out:
        for document in choose(sources):
            out.write(json.dumps(asdict(document)) + "\n")
            taken[document.source] += len(document.text)
            splits[document.split] += len(document.text)
    write_licences(sources, taken, places.licences)
    for name, size in taken.most_common(25):
        print(f"{size / 1e6:7.2f} MB  {name}")
    print({split: f"{size / 1e6:.2f} MB" for split, size in splits.items()})


def from_folder(folder: Path, suffix: str) -> list[Document]:
    """The readable files of any folder that end in `suffix`, each once: for asking about other languages."""
    seen, found = DuplicateFilter(), []
    for file in sorted(folder.rglob(f"*{suffix}")):
        text = file.read_text(encoding="utf-8", errors="ignore").replace("\r\n", "\n")
        longest = max(map(len, text.split("\n")))
        if 1_000 <= len(text) <= LARGEST and longest <= LONGEST_LINE and seen.accept(text):
            found.append(Document(suffix, file.relative_to(folder).as_posix(), "other", text))
    return found


def load(places: Places, split: str) -> list[Document]:
    """All documents of one split."""
    with places.documents.open(encoding="utf-8") as lines:
        documents = [Document(**json.loads(line)) for line in lines]
    return [document for document in documents if document.split == split]
