"""What of a model's text is shown: cut, fitted to the file, and refused where it would be in the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from codeface_lsp.assist.inline import brackets, indentation, overlap
from codeface_lsp.assist.inline.anchors import Written
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.context.syntax import SyntaxTree
from codeface_lsp.text.lines import indent_of
from codeface_lsp.workspace import redaction

Refusal = Literal["empty", "trivial", "repeats", "present", "secret", "unsure", "breaks"]

_TRIVIAL = re.compile(r"[\s)\]};,:.'\"`>]*\Z")
_LITERAL = re.compile(r"([\"'])[ \t]*\1")
_PLACEHOLDER = "REDACTED_"
_SHORTEST_REPEATED = 6


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is shown, and why."""

    reason: Refusal


@dataclass(slots=True)
class Vetting:
    """The judgement of a text for one place. `tree` is the file's as it is, None where syntax can't be told."""

    place: Place
    tree: SyntaxTree | None = None

    def judge(self, text: str) -> Written | Refused:
        """Return what is shown of `text`, or why nothing is."""
        text = self._tidied(text)
        if not text.strip():
            return Refused("empty")
        text, replaced = overlap.reconcile(overlap.without_lines_below(text, self.place), self.place)
        if not text.strip():
            return Refused("present")
        if self._trivial(text):
            return Refused("trivial")
        if self._repeats(text):
            return Refused("repeats")
        if _PLACEHOLDER in text or redaction.has_secret(self.place.before + text):
            return Refused("secret")
        return self._parsing(text, replaced)

    def _tidied(self, text: str) -> str:
        text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip()
        unit = indentation.unit_of(self.place.text, self.place.offset)
        margin = indent_of(self.place.before + text)
        if self._indents_anew(margin, unit):
            text, margin = text.lstrip(" \t"), self.place.before
        if unit is not None and "\n" in text:
            text = indentation.in_unit(text, unit, margin)
        return text

    def _indents_anew(self, margin: str, unit: str | None) -> bool:
        """Whether the text begins with an indentation although the cursor stands behind the line's already."""
        before = self.place.before
        if not before or before.strip() or len(margin) == len(before):
            return False
        return not indentation.is_level(margin, (self.place.lines_above(1) or [""])[0], unit)

    def _trivial(self, text: str) -> bool:
        """Whether the text only closes, unless it closes what was opened on this very line."""
        if not _TRIVIAL.match(text) or _LITERAL.search(text):
            return False
        line = brackets.scan(self.place.before, self.place.snapshot.language)
        return len(line.open) < len(brackets.scan(text, self.place.snapshot.language, line).closed) or not (
            line.open
        )

    def _repeats(self, text: str) -> bool:
        """Whether the text says again, word for word, the lines right above it."""
        lines = [line.strip() for line in (self.place.before + text).split("\n") if line.strip()]
        above = [line.strip() for line in reversed(self.place.lines_above(len(lines)))]
        if len("".join(lines)) < _SHORTEST_REPEATED or not above:
            return False
        return above[-len(lines) :] == lines

    def _parsing(self, text: str, replaced: str) -> Written | Refused:
        """The text, or the nearest variant of it that leaves a parsing file parsing."""
        place = self.place
        if self.tree is None or self.tree.has_error:
            return self._written(text, replaced)
        for variant in self._variants(text):
            after = self.tree.replaced(place.offset, place.offset + len(replaced), _native(variant, place))
            if after is None or not after.has_error:
                return self._written(variant, replaced)
        return Refused("breaks")

    def _variants(self, text: str) -> list[str]:
        """The text, then with its brackets closed, then with fewer lines."""
        language = self.place.snapshot.language
        line = brackets.scan(self.place.before, language)
        owed = brackets.scan(text, language, brackets.Balance(line.open)).open[len(line.open) :]
        variants = [text]
        if owed:
            variants.append(text + self._closing(text, "".join(reversed(owed))))
        lines = text.split("\n")
        variants += ["\n".join(lines[:count]).rstrip() for count in range(len(lines) - 1, 0, -1)][:4]
        return [variant for variant in variants if variant.strip() and not self._trivial(variant)]

    def _closing(self, text: str, owed: str) -> str:
        """What closes the brackets `owed`: a single one on a line of its own, where what it closes began so."""
        *above, last = (self.place.before + text).split("\n")
        inner = len(indent_of(last))
        outer = next((line for line in reversed(above) if line.strip() and len(indent_of(line)) < inner), "")
        if len(owed) == 1 and outer.rstrip().endswith(("(", "[", "{")):
            return "\n" + indent_of(outer) + owed
        return owed

    def _written(self, text: str, replaced: str) -> Written:
        place = self.place
        tail = place.suffix[len(replaced) :]
        return Written(place.prefix, _native(text, place), replaced, tail)


def _native(text: str, place: Place) -> str:
    """The text with the file's own line ends."""
    return text.replace("\n", "\r\n") if "\r\n" in place.text[:4000] else text
