"""From a model's answer to the new text of a region: the right block, whole, in the region's own layout.

Everything that can be told to be wrong without running the code is a `Problem`, whose text the model gets to see
once and the user if it stays.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from rapidfuzz.distance import Indel

from codeface_lsp.assist.answers import Answer
from codeface_lsp.assist.edits import imports
from codeface_lsp.assist.edits.region import Region
from codeface_lsp.context import scopes, syntax
from codeface_lsp.prompting import code_blocks
from codeface_lsp.prompting.code_blocks import CodeBlock

_ELISION = re.compile(
    r"^\s*(#|//|/\*|--|<!--|;)?\s*(\.\.\.|…)\s*(\(?(rest|existing|remaining|unchanged|other|same|code|as before)\b.*)?$"
    r"|(#|//|/\*|--)\s*(\.\.\.\s*)?(the )?(rest of|existing|remaining|previous|unchanged|same as|other) (the |your )?"
    r"(code|function|method|class|file|body|implementation)",
    re.IGNORECASE | re.MULTILINE,
)
_NO_ANSWER = re.compile(r"^\s*(i('m| am) sorry|i cannot|i can't|as an ai)", re.IGNORECASE)


class Problem(Exception):
    """Why an answer cannot be used, as the rest of a sentence that begins with "the answer"."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """New text for a region, and import lines for the top of its file."""

    code: str
    imports: tuple[str, ...] = ()


def from_answer(answer: Answer, region: Region, old: str, text: str, language: str) -> Candidate:
    """The new text of `region` (whose text is `old`, in the file `text`). Raises `Problem`."""
    block = _choose(answer, old, language)
    wanted, code = imports.split(block.code, old, language)
    code = code_blocks.reindent(_only_region(code, region, old, text, language), old)
    if not code.strip():
        raise Problem("holds no code")
    if _leaves_out(code, old):
        raise Problem("leaves parts of the code out")
    if region.name and region.kind in ("function", "class") and not _mentions(code, region.name):
        raise Problem(f"no longer defines `{region.name}`")
    if twice := _defined_twice(code, old, language):
        raise Problem(f"defines `{twice}` twice")
    if code == old and not wanted:
        raise Problem("changes nothing")
    return Candidate(code, tuple(wanted))


def whole_block(answer: Answer, language: str) -> str:
    """The code of an answer that stands for itself (a new file, new tests). Raises `Problem`."""
    code = _choose(answer, "", language).code
    if not code.strip():
        raise Problem("holds no code")
    if _leaves_out(code, ""):
        raise Problem("leaves parts of the code out")
    return code if code.endswith("\n") else code + "\n"


def _choose(answer: Answer, old: str, language: str) -> CodeBlock:
    blocks = code_blocks.extract(answer.text)
    if answer.finish_reason in ("length", "time") and (not blocks or not blocks[-1].closed):
        raise Problem("was cut off before its end")
    if not blocks:
        return CodeBlock(language, _bare(answer.text, old, language), 0, len(answer.text))
    right = [block for block in blocks if code_blocks.same_language(block.language, language)]
    if not right:
        raise Problem(f"is in {blocks[0].language}, not in {language}")
    filled = [block for block in right if block.code.strip()]
    if not filled:
        raise Problem("holds no code")
    if not old:
        return max(filled, key=lambda block: len(block.code))
    return max(filled, key=lambda block: Indel.normalized_similarity(block.code.strip(), old.strip()))


def _bare(answer: str, old: str, language: str) -> str:
    """An answer without a fence is taken only if it clearly is the code itself."""
    if answer.strip() and not _NO_ANSWER.match(answer) and old:
        alike = Indel.normalized_similarity(answer.strip(), old.strip())
        if alike > 0.6 and syntax.parses(code_blocks.dedented(answer), language) is not False:
            return answer
    raise Problem("holds no code block")


def _only_region(code: str, region: Region, old: str, text: str, language: str) -> str:
    """The region's own definition, where the answer gives more of the file back than was asked for."""
    if region.kind not in ("function", "class") or not region.name:
        return code
    tree = syntax.parse(code, language)
    if tree is None:
        return code
    found = [scope for scope in definitions(tree) if scope.kind == region.kind and scope.name == region.name]
    others = {scope.name for scope in definitions(tree)} - {
        scope.name for scope in _definitions_of(old, language)
    }
    if len(found) != 1 or not any(re.search(rf"\b{re.escape(name)}\b", text) for name in others if name):
        return code
    start = code.rfind("\n", 0, found[0].start) + 1
    return code[start : found[0].end]


def _definitions_of(text: str, language: str) -> list[scopes.Scope]:
    tree = syntax.parse(code_blocks.dedented(text), language)
    return [] if tree is None else definitions(tree)


def definitions(tree: syntax.SyntaxTree) -> list[scopes.Scope]:
    """Every named function and class of a tree."""
    found: list[scopes.Scope] = []
    stack = [tree.root]
    while stack:
        node = stack.pop()
        if scopes.is_scope(tree, node) and scopes.name_of(tree, node):
            found.append(scopes.scope_of(tree, node))
        stack.extend(node.named_children)
    return found


def _mentions(code: str, name: str) -> bool:
    """Whether a name, or what it may be a misspelling of, stands in the code."""
    words = set(re.findall(r"\w+", code))
    return name in words or any(Indel.normalized_similarity(name, word) >= 0.75 for word in words)


def _defined_twice(code: str, old: str, language: str) -> str:
    """A name that the new code defines more often than the old one, twice at least; empty if there is none."""
    before = Counter(scope.name for scope in _definitions_of(old, language))
    after = Counter(scope.name for scope in _definitions_of(code, language))
    return next((name for name, count in after.items() if count > max(1, before[name])), "")


def _leaves_out(code: str, old: str) -> bool:
    return any(match.group().strip() not in old for match in _ELISION.finditer(code))
