"""Self-made conversations: a function and the first sentence of its docstring, a broken function and the mended one.

They are written with the prompts that the assistant really sends, in the chat format of codeface-tiny.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from dataclasses import dataclass

import numpy as np

from codeface_lsp.prompting import templates

SHORTEST, LONGEST = 3, 25
SENTENCE = re.compile(r"\A(.{15,160}?[.!])(?:\s|\Z)", re.S)


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True)
class Function:
    """A function without its docstring, and the docstring's first sentence where it has a good one."""

    code: str
    sentence: str


def functions(text: str) -> list[Function]:
    """The functions of a file that are short enough to be shown whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            return []
    lines = text.split("\n")
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        docstring = ast.get_docstring(node)
        shown = lines[first:last]
        if docstring is not None:
            if len(node.body) == 1:
                continue
            literal = node.body[0]
            shown = lines[first : literal.lineno - 1] + lines[literal.end_lineno or literal.lineno : last]
        if SHORTEST <= len(shown) <= LONGEST:
            match = SENTENCE.match(docstring or "")
            sentence = " ".join(match.group(1).split()) if match else ""
            found.append(Function(textwrap.dedent("\n".join(shown)), sentence))
    return found


def _conversation(rng: np.random.Generator, question: str, answer: str) -> list[Turn]:
    turns = [Turn("user", question), Turn("assistant", answer)]
    if rng.random() < 0.5:
        turns.insert(0, Turn("system", templates.render("system", language="Python", answer_language="")))
    return turns


def explain(function: Function, path: str, rng: np.random.Generator) -> list[Turn]:
    """A question about a function, answered by its docstring's first sentence."""
    question = templates.render(
        "explain", path=path, language="Python", code=function.code, context=[], question="", facts=""
    )
    return _conversation(rng, question, function.sentence)


def fix(function: Function, path: str, rng: np.random.Generator) -> list[Turn] | None:
    """A broken function with its error, answered by the whole one; None where it could not be broken."""
    damaged = damage(function.code, rng)
    if damaged is None:
        return None
    broken, report = damaged
    question = templates.render(
        "fix", path=path, language="Python", code=broken, context=[], diagnostics=[report], instruction=""
    )
    return _conversation(rng, question, templates.fenced(function.code, "python"))


def damage(code: str, rng: np.random.Generator) -> tuple[str, str] | None:
    """Take one character away, or misspell one name: the damaged code and what a checker says about it."""
    if rng.random() < 0.3:
        return _misspell(code, rng)
    places = [at for at, character in enumerate(code) if character in "()[]{}:'\""]
    for at in rng.permutation(places)[:6].tolist():
        broken = code[:at] + code[at + 1 :]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                compile(broken, "<code>", "exec")
            except SyntaxError as error:
                return broken, f"line {error.lineno}: SyntaxError: {error.msg}"
            except ValueError:
                continue
    return None


def _misspell(code: str, rng: np.random.Generator) -> tuple[str, str] | None:
    tree = ast.parse(code)
    used = [
        n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and len(n.id) > 3
    ]
    if not used:
        return None
    node = used[int(rng.integers(len(used)))]
    at = int(rng.integers(1, len(node.id) - 1))
    wrong = node.id[:at] + node.id[at + 1] + node.id[at] + node.id[at + 2 :]
    if wrong == node.id or not node.id.isascii():
        return None
    lines = code.split("\n")
    line = lines[node.lineno - 1]
    column = len(line.encode()[: node.col_offset].decode())
    lines[node.lineno - 1] = line[:column] + wrong + line[column + len(node.id) :]
    return "\n".join(lines), f"line {node.lineno}: undefined name '{wrong}'"
