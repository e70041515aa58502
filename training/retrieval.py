"""Extra context for the evaluation: definitions, in other files of a package, of the names in sight."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from training.corpus import Document
from training.questions import Question

DEFINITION = re.compile(r"^(?:class|def|async def) (\w{3,})", re.M)
NAME = re.compile(r"\b[A-Za-z_]\w{2,}")
IN_SIGHT = 1_200
EXCERPT_LINES = 14
MOST_EXCERPTS = 4


class Definitions:
    """Top-level definitions of every package among some documents."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._found: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
        for document in documents:
            lines = document.text.split("\n")
            for match in DEFINITION.finditer(document.text):
                at = document.text.count("\n", 0, match.start())
                excerpt = "\n".join(lines[at : at + EXCERPT_LINES]).rstrip() + "\n"
                self._found[document.source][match.group(1)].append((document.path, excerpt))

    def elsewhere(self, question: Question, name: str) -> list[tuple[str, str]]:
        """Where other files of the package define a name: (path, excerpt)."""
        return [found for found in self._found[question.source].get(name, ()) if found[0] != question.path]

    def is_foreign(self, question: Question) -> bool:
        """Whether the missing text uses a name that the file itself imports and another file defines."""
        own = set(DEFINITION.findall(question.prefix + question.suffix))
        imported = set(
            re.findall(r"\w+", " ".join(re.findall(r"^\s*(?:from|import) .*", question.prefix, re.M)))
        )
        used = set(NAME.findall(question.truth)) & imported - own
        return any(self.elsewhere(question, name) for name in used)

    def excerpts(self, question: Question) -> list[tuple[str, str]]:
        """Definitions of imported names and of those near the cursor, the nearest last."""
        imported = NAME.findall(" ".join(re.findall(r"^\s*from .*", question.prefix, re.M)))
        near = NAME.findall(question.prefix[-IN_SIGHT:])
        names = dict.fromkeys([*reversed(near), *imported])
        found = [place for name in names for place in self.elsewhere(question, name)[:1]]
        return found[:MOST_EXCERPTS][::-1]
