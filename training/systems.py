"""The systems that the evaluation compares: baselines, the model, the model with the cache mixture."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import AutoModelForCausalLM

from codeface_lsp.inference.ngram import NgramIndex
from codeface_lsp.inference.token_index import LONGEST_MATCH, LONGEST_PART
from training.corpus import Document
from training.decoding import Completion, Decoder, Prompt, Vocabulary, infill_prompt
from training.judging import Answer, judge
from training.packing import Packed
from training.questions import Question
from training.retrieval import Definitions

MOST_TOKENS = {"whole line": 40, "second half": 30, "block": 160}
MOST_LINES = 12
NEIGHBOUR_CHARACTERS = 200_000
CORPUS_TOKENS = 6_000_000
"""Tokens of the training corpus that the n-gram baseline knows."""
CORPUS_WEIGHTS = (0.8,) * LONGEST_MATCH
"""Nothing stands below the corpus but chance, so it may take nearly everything."""


def copied(question: Question) -> Completion:
    """Baseline: what followed the same start of a line (or, for a whole line, the same line) earlier in the file."""
    if question.kind == "second half":
        key = question.prefix[question.prefix.rfind("\n") + 1 :].lstrip()
    else:
        key = "\n".join(question.prefix.rstrip(" ").rstrip("\n").split("\n")[-1:]) + "\n"
    body = (
        question.prefix[: -len(key)]
        if question.prefix.endswith(key)
        else question.prefix[: question.prefix.rfind(key)]
    )
    at = body.rfind(key) if key.strip() else -1
    if at < 0:
        return Completion("", -20.0)
    following = body[at + len(key) :]
    lines = question.truth.count("\n") + 1
    return Completion("\n".join(following.split("\n")[:lines]), 0.0)


def corpus_ngrams(packed: Packed) -> NgramIndex:
    """An index of the training corpus as the neighbour of every file."""
    index = NgramIndex(neighbour_weights=CORPUS_WEIGHTS)
    for start in range(0, min(len(packed.tokens), CORPUS_TOKENS), LONGEST_PART):
        index.update(f"corpus {start}", packed.tokens[start : start + LONGEST_PART].tolist(), neighbour=True)
    return index


def neighbours(documents: Sequence[Document], path: str) -> list[Document]:
    """The other files of the folder, as an editor might have them open."""
    folder = path.rpartition("/")[0]
    found, size = [], 0
    for document in documents:
        if document.path.rpartition("/")[0] == folder and document.path != path:
            size += len(document.text)
            if size > NEIGHBOUR_CHARACTERS:
                break
            found.append(document)
    return found


class Systems:
    """The systems under test; one prefill of the model serves all that use it."""

    def __init__(
        self,
        model: AutoModelForCausalLM | None,
        vocabulary: Vocabulary,
        budget: int,
        documents: list[Document],
        corpus: NgramIndex,
        *,
        with_excerpts: bool = False,
    ) -> None:
        self.with_model, self.without_model = Decoder(model, vocabulary), Decoder(None, vocabulary)
        self.vocabulary, self.budget, self.documents = vocabulary, budget, documents
        self.corpus = corpus
        self.definitions, self.with_excerpts = Definitions(documents), with_excerpts

    def _with_corpus(self, question: Question) -> NgramIndex:
        """The n-gram model of the training corpus, nested under the cache of the file."""
        for part, text in (("prefix", question.prefix), ("suffix", question.suffix)):
            self.corpus.update(part, self.vocabulary.encode(text))
        return self.corpus

    def _index(self, question: Question, *, with_neighbours: bool) -> NgramIndex:
        encode = self.vocabulary.encode
        others = neighbours(self.documents, question.path) if with_neighbours else []
        index = NgramIndex()
        index.set_document(
            {"prefix": encode(question.prefix), "suffix": encode(question.suffix)},
            {other.path: encode(other.text) for other in others},
        )
        return index

    def _prompt(self, question: Question, extra: list[tuple[str, str]] | None = None) -> Prompt:
        below = question.suffix.removeprefix("\n")
        return infill_prompt(self.vocabulary, question.path, question.prefix, below, self.budget, extra)

    def baselines(self, question: Question) -> list[Answer]:
        """What there is to beat: copying, the n-gram cache, and n-grams of the training corpus under that cache."""
        prompt = self._prompt(question)
        start = self.without_model.prefill(prompt)

        def by(index: NgramIndex) -> Completion:
            return self.without_model.complete(prompt, start, index, *limits(question))

        made = {
            "copy": copied(question),
            "n-gram cache alone": by(self._index(question, with_neighbours=False)),
            "corpus n-grams + cache": by(self._with_corpus(question)),
        }
        return [judge(name, question, completion) for name, completion in made.items()]

    def answers(self, question: Question) -> list[Answer]:
        """The baselines' answers and those of the model, alone and with the mixture."""
        prompt = self._prompt(question)
        start = self.with_model.prefill(prompt)
        folder = self._index(question, with_neighbours=True)
        indices = {
            "model": None,
            "model + cache of the file": self._index(question, with_neighbours=False),
            "model + cache of file and folder": folder,
        }
        made = {
            name: self.with_model.complete(prompt, start, index, *limits(question))
            for name, index in indices.items()
        }
        if self.with_excerpts:
            longer = self._prompt(question, self.definitions.excerpts(question))
            start = self.with_model.prefill(longer)
            made["model, with excerpts"] = self.with_model.complete(longer, start, None, *limits(question))
            made["all of it"] = self.with_model.complete(longer, start, folder, *limits(question))
        return self.baselines(question) + [
            judge(name, question, completion) for name, completion in made.items()
        ]


def limits(question: Question) -> tuple[int, int]:
    """The most tokens and lines of an answer."""
    return MOST_TOKENS[question.kind], 1 if question.kind != "block" else MOST_LINES
