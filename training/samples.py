"""Training sequences from packed documents: fill-in-the-middle in the engine's form, made afresh at every step."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training import skills
from training.holes import cut, line_end, line_start
from training.packing import Packed

IGNORED = -100
SMALLEST_ROOM = 96
DEFINITION = re.compile(
    r"^(?:export )?(?:default )?(?:abstract )?(?:async )?(?:class|def|function|interface|type|const) (\w{3,})",
    re.M,
)
NAME = re.compile(r"\b[A-Za-z_]\w{3,}")


@dataclass(frozen=True)
class Mixture:
    """Shares of the kinds of sample; what is left over is plain text."""

    suffix_first: float = 0.8
    prefix_first: float = 0.0
    extra_context: float = 0.0
    header: float = 0.75
    skills: float = 0.0


class Sampler:
    """Deterministic source of training rows: the same seed and step give the same rows."""

    def __init__(self, packed: Packed, tokenizer: Tokenizer, mixture: Mixture, *, seed: int = 1) -> None:
        self.packed = packed
        self.tokenizer = tokenizer
        self.mixture = mixture
        self.seed = seed
        self.ids = {token.content: index for index, token in tokenizer.get_added_tokens_decoder().items()}
        self._definitions: dict[str, dict[str, list[int]]] = {}
        self._siblings: dict[str, list[int]] = defaultdict(list)
        for index, path in enumerate(packed.paths):
            self._siblings[path.split("/")[0] if "/" in path else "python"].append(index)

    def batch(
        self, step: int, rows: int, length: int, first: int = 0
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Inputs and labels of rows `first` and on of a step, each (rows, length); padding is labelled `IGNORED`."""
        filled = np.full((rows, length + 1), self.ids["<fim_pad>"], dtype=np.int64)
        for row in range(rows):
            rng = np.random.default_rng([self.seed, step, first + row])
            at = 0
            while length + 1 - at >= SMALLEST_ROOM:
                sample = self.sample(rng, length + 1 - at)
                filled[row, at : at + len(sample)] = sample
                at += len(sample)
        labels = filled[:, 1:].copy()
        labels[labels == self.ids["<fim_pad>"]] = IGNORED
        return filled[:, :-1], labels

    def sample(self, rng: np.random.Generator, room: int) -> list[int]:
        """One sample of at most `room` tokens."""
        position = int(rng.integers(len(self.packed.tokens)))
        document = self.packed.document_at(position)
        kind = rng.random()
        if kind >= 1 - self.mixture.skills and (talk := self._conversation(document, rng, room)):
            return talk
        if kind >= self.mixture.suffix_first + self.mixture.prefix_first:
            return self._plain(document, position, room)
        header = self._header(document) if rng.random() < self.mixture.header else []
        if header and room > 400 and rng.random() < self.mixture.extra_context:
            header = self._extra(document, position, rng, room // 3) + header
        body = self._infill(document, position, room - len(header), rng, kind < self.mixture.suffix_first)
        return (header + body)[:room]

    def _conversation(self, document: int, rng: np.random.Generator, room: int) -> list[int]:
        """A conversation about a function of the document; empty where there is none that fits."""
        text = self.text_of(int(self.packed.starts[document]), int(self.packed.starts[document + 1]))
        found = skills.functions(text)
        told = [function for function in found if function.sentence]
        turns: list[skills.Turn] | None = None
        if told and rng.random() < 0.6:
            turns = skills.explain(told[int(rng.integers(len(told)))], self.packed.paths[document], rng)
        elif found:
            turns = skills.fix(found[int(rng.integers(len(found)))], self.packed.paths[document], rng)
        ids: list[int] = []
        for turn in turns or ():
            ids += [self.ids[f"<|{turn.role}|>"], *self.encode("\n" + turn.content), self.ids["<|end|>"]]
            ids += self.encode("\n")
        return ids if len(ids) <= room else []

    def encode(self, text: str) -> list[int]:
        """Ordinary text to token ids; special tokens in it stay ordinary text."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids) if text else []

    def text_of(self, start: int, end: int) -> str:
        """The text of a run of packed tokens."""
        return self.tokenizer.decode(self.packed.tokens[start:end].tolist(), skip_special_tokens=False)

    def _header(self, document: int) -> list[int]:
        return [self.ids["<file_sep>"], *self.encode(self.packed.paths[document] + "\n")]

    def _plain(self, document: int, position: int, room: int) -> list[int]:
        start, end = int(self.packed.starts[document]), int(self.packed.starts[document + 1])
        header = self._header(document)
        begin = max(start, min(position, end - (room - len(header) - 1)))
        body = self.packed.tokens[begin : begin + room - len(header) - 1].tolist()
        finished = begin + len(body) == end
        return (header + body + ([self.ids["<|endoftext|>"]] if finished else []))[:room]

    def _infill(
        self, document: int, position: int, room: int, rng: np.random.Generator, spm: bool
    ) -> list[int]:
        start, end = int(self.packed.starts[document]), int(self.packed.starts[document + 1])
        before = self.text_of(max(start, position - room), position)
        after = self.text_of(position, min(end, position + room))
        if position - room > start:
            before = before[before.find("\n") + 1 :]
        hole = cut(before + after, len(before), rng)
        suffix = self.encode(hole.suffix)[: int(room * rng.uniform(0.0, 0.4))]
        left = room - len(suffix) - 4
        pre, mid, suf, eot = (
            self.ids[t] for t in ("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<|endoftext|>")
        )
        if spm:
            joined = self._fit_end(hole.prefix, hole.middle, left)
            return [pre, suf, *suffix, mid, *joined, eot]
        middle = self.encode(hole.middle)[: left // 2]
        prefix = self._fit_end(hole.prefix, "", left - len(middle))
        return [pre, *prefix, suf, *suffix, mid, *middle, eot]

    def _fit_end(self, prefix: str, middle: str, room: int) -> list[int]:
        """Tokens of prefix + middle, the prefix shortened at its front by whole lines until they fit."""
        for _ in range(4):
            ids = self.encode(prefix + middle)
            if len(ids) <= room:
                return ids
            surplus = int(len(prefix + middle) * (1 - room / len(ids))) + 1
            prefix = prefix[line_end(prefix, min(surplus, len(prefix))) + 1 :]
        return ids[len(ids) - room :]

    def _extra(self, document: int, position: int, rng: np.random.Generator, room: int) -> list[int]:
        """Excerpts of sibling files: definitions of names used near `position`, or any others."""
        package = (
            self.packed.paths[document].split("/")[0] if "/" in self.packed.paths[document] else "python"
        )
        known = self._definitions_of(package)
        near = self.text_of(max(int(self.packed.starts[document]), position - 200), position + 100)
        wanted = [at for name in dict.fromkeys(NAME.findall(near)) for at in known.get(name, ())]
        wanted = [at for at in wanted if self.packed.document_at(at) != document]
        rng.shuffle(wanted)
        ids: list[int] = []
        for at in wanted[: int(rng.integers(1, 4))]:
            other = self.packed.document_at(at)
            text = self.text_of(at, min(at + int(rng.integers(40, 160)), int(self.packed.starts[other + 1])))
            text = text.lstrip("\n")
            excerpt = self.encode(f"{self.packed.paths[other]}\n{text[: line_start(text, len(text))]}")
            if len(ids) + len(excerpt) + 1 <= room:
                ids += [self.ids["<file_sep>"], *excerpt]
        return ids

    def _definitions_of(self, package: str) -> dict[str, list[int]]:
        """Top-level names of a package and the tokens near which their definitions start; read when first asked for."""
        if package not in self._definitions:
            found: dict[str, list[int]] = defaultdict(list)
            for document in self._siblings[package][:400]:
                start, end = int(self.packed.starts[document]), int(self.packed.starts[document + 1])
                encoding = self.packed.tokens[start:end].tolist()
                text = self.tokenizer.decode(encoding, skip_special_tokens=False)
                matches = list(DEFINITION.finditer(text))
                if not matches:
                    continue
                ends = np.cumsum([len(piece) for piece in self._pieces(encoding)])
                for match in matches:
                    found[match.group(1)].append(
                        start + int(np.searchsorted(ends, match.start(), side="right"))
                    )
            self._definitions[package] = dict(found)
        return self._definitions[package]

    def _pieces(self, ids: list[int]) -> list[str]:
        return [self.tokenizer.id_to_token(token) for token in ids]
