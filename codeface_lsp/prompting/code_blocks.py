"""Code blocks of a Markdown answer, and fitting them to the place where they go."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from codeface_lsp.text.lines import indent_of

_FENCE = re.compile(r"^( {0,3})(`{3,}|~{3,})[ \t]*([^\s`]*)[^\n`]*$")
_ANY_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_ALIASES = {
    "py": "python",
    "python3": "python",
    "js": "javascript",
    "node": "javascript",
    "jsx": "javascriptreact",
    "ts": "typescript",
    "tsx": "typescriptreact",
    "golang": "go",
    "rs": "rust",
    "c++": "cpp",
    "cs": "csharp",
    "c#": "csharp",
    "sh": "shellscript",
    "bash": "shellscript",
    "shell": "shellscript",
    "rb": "ruby",
    "kt": "kotlin",
    "yml": "yaml",
    "md": "markdown",
}
_KNOWN = (
    "python javascript javascriptreact typescript typescriptreact go rust java c cpp csharp ruby php kotlin swift "
    "scala lua shellscript html css sql haskell julia elixir zig"
)
_PROGRAMS = frozenset(_KNOWN.split())
_SAME = (
    {"javascript", "javascriptreact", "typescript", "typescriptreact"},
    {"c", "cpp", "cuda-cpp", "objective-c"},
    {"json", "jsonc"},
    {"css", "scss", "less"},
)


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One fenced block. `language` is an LSP language id, or the tag as it stands; `start` and `end` are its place.

    `closed` is False for a block whose closing fence is missing: the answer was cut, or the model forgot it.
    """

    language: str
    code: str
    start: int
    end: int
    closed: bool = True


def extract(answer: str) -> list[CodeBlock]:
    """All fenced code blocks, in order."""
    blocks: list[CodeBlock] = []
    fence = tag = indent = ""
    body: list[str] = []
    offset = start = 0
    for line in answer.splitlines(keepends=True):
        found = _FENCE.match(line.rstrip("\r\n"))
        if not fence:
            if found:
                indent, fence, tag, start, body = found[1], found[2], found[3], offset, []
        elif found and found[2].startswith(fence) and not found[3]:
            blocks.append(CodeBlock(language_id(tag), "".join(body), start, offset + len(line)))
            fence = ""
        else:
            body.append(line.removeprefix(indent))
        offset += len(line)
    if fence:
        blocks.append(CodeBlock(language_id(tag), "".join(body), start, offset, closed=False))
    return blocks


def fence_after(fence: str, line: str) -> str:
    """The fence that is open after a line, given the one before it; empty if none is."""
    found = _ANY_FENCE.match(line.rstrip("\r\n"))
    if found is None:
        return fence
    if not fence:
        return found[1]
    return "" if found[1].startswith(fence) and not found[2].strip() else fence


def language_id(tag: str) -> str:
    """The LSP language id that a fence's tag means; unknown tags stay as they are."""
    lowered = tag.lower().strip("{}.")
    return _ALIASES.get(lowered, lowered)


def same_language(one: str, other: str) -> bool:
    """Whether a block tagged `one` may be code in `other`; only two known programming languages differ for certain."""
    if one == other or not {one, other} <= _PROGRAMS:
        return True
    return any(one in group and other in group for group in _SAME)


def reindent(code: str, like: str) -> str:
    """`code` indented so that its first line stands where the first line of `like` does, with its kind of blanks.

    Relative indentation is kept; spaces become tabs where `like` is indented by tabs only. Line ends, and blank lines
    before and behind, become those of `like`.
    """
    lines = code.expandtabs(4).split("\n") if _uses_tabs(like) else code.replace("\r\n", "\n").split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        return ""
    target, source = _indent_of_first(like), indent_of(lines[0])
    if _uses_tabs(like):
        unit = _unit(lines)
        moved = [_tabbed(line, len(source), unit, target) for line in lines]
    else:
        moved = [_moved(line, source, target) for line in lines]
    text = _blank_before(like) + "\n".join(moved) + _blank_behind(like)
    return text.replace("\n", "\r\n") if "\r\n" in like else text


def dedented(code: str) -> str:
    """`code` at the left margin, ending with a line end."""
    return reindent(code, "x\n")


def _blank_before(text: str) -> str:
    plain = text.replace("\r\n", "\n")
    head = plain[: len(plain) - len(plain.lstrip())]
    return head[: head.rfind("\n") + 1]


def _blank_behind(text: str) -> str:
    plain = text.replace("\r\n", "\n")
    tail = plain[len(plain.rstrip()) :]
    return tail[tail.index("\n") :] if "\n" in tail else ""


def _indent_of_first(text: str) -> str:
    return next((indent_of(line) for line in text.splitlines() if line.strip()), "")


def _uses_tabs(text: str) -> bool:
    indents = [indent_of(line) for line in text.splitlines() if line[:1] in " \t" and line.strip()]
    return bool(indents) and all("\t" in indent for indent in indents)


def _moved(line: str, source: str, target: str) -> str:
    if not line.strip():
        return ""
    indent = indent_of(line)
    if indent.startswith(source):
        return target + line[len(source) :]
    shift = len(target) - len(source)
    return " " * max(0, len(indent) + shift) + line[len(indent) :]


def _unit(lines: list[str]) -> int:
    depths = sorted({len(indent_of(line)) for line in lines if line.strip()})
    steps = [after - before for before, after in pairwise(depths)]
    return min(steps, default=4)


def _tabbed(line: str, source: int, unit: int, target: str) -> str:
    if not line.strip():
        return ""
    depth = len(indent_of(line)) - source
    steps, rest = divmod(max(0, depth), unit)
    return target + "\t" * steps + " " * rest + line.lstrip(" \t")
