"""What can be asked of an edit: the prompt of each task, and what its answer must keep to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from codeface_lsp.context import languages
from codeface_lsp.text.snapshot import Snapshot

TaskName = Literal["fix", "fix_all", "docstring", "tests", "refactor", "simplify", "complete_stub"]

TITLES: dict[TaskName, str] = {
    "fix": "fix",
    "fix_all": "fix all problems",
    "docstring": "write documentation",
    "tests": "write tests",
    "refactor": "refactor",
    "simplify": "simplify",
    "complete_stub": "complete",
}

_STYLES = {
    "python": "of this file's own docstrings, else Google's (PEP 257)",
    "javascript": "JSDoc",
    "typescript": "TSDoc",
    "java": "Javadoc",
    "kotlin": "KDoc",
    "go": "of Go doc comments (a sentence that begins with the name)",
    "rust": "of rustdoc (`///`)",
    "csharp": "of XML documentation comments",
    "c": "Doxygen",
    "cpp": "Doxygen",
    "ruby": "YARD",
    "php": "PHPDoc",
}


@dataclass(frozen=True, slots=True)
class Problemed:
    """A diagnostic, from any server: `[start, end)` and one line that says everything it says."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class EditRequest:
    """One edit to make. An empty range means the smallest whole scope around it."""

    task: TaskName
    snapshot: Snapshot
    start: int
    end: int
    diagnostics: Sequence[Problemed] = ()
    instruction: str = ""


def variables(
    request: EditRequest, code: str, path: str, context: Sequence[Any]
) -> tuple[str, dict[str, Any]]:
    """Name of the prompt and its variables, `tests` apart."""
    language = request.snapshot.language
    common: dict[str, Any] = {"path": path, "language": language, "code": code, "context": context}
    match request.task:
        case "fix" | "fix_all":
            lines = [problem.text for problem in request.diagnostics]
            return "fix", common | {"diagnostics": lines, "instruction": request.instruction}
        case "docstring":
            return "docstring", common | {
                "style": _STYLES.get(language, "that is usual for the language"),
                "example": _example(request.snapshot.text, language, code),
            }
        case "refactor":
            return "refactor", common | {"instruction": request.instruction}
        case "simplify":
            return "simplify", common
        case _:
            asked = request.instruction or "it is a stub, or has a TODO"
            return "complete_stub", common | {"instruction": asked}


def _example(text: str, language: str, code: str) -> str:
    """A documentation comment of the same file, as a model of its style."""
    if language == "python":
        found = re.finditer(r'^[ \t]*(?:"""(?:.|\n)*?"""|\'\'\'(?:.|\n)*?\'\'\')', text, re.MULTILINE)
    else:
        known = languages.by_id(language)
        if known is None or known.line_comment != "//":
            return ""
        found = re.finditer(r"^[ \t]*(?:/\*\*(?:.|\n)*?\*/|(?:///?[^\n]*\n)+)", text, re.MULTILINE)
    candidates = [match.group().strip() for match in found if match.group().strip() not in code]
    return max((c for c in candidates if len(c) <= 800), key=len, default="")
