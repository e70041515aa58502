"""Import lines at the top of an answer belong at the top of the file, not into the function that was edited."""

from __future__ import annotations

import re

from codeface_lsp.text.edits import TextEdit

_IMPORT = {
    "python": re.compile(r"^(from\s+[\w.]+\s+import\s+.+|import\s+[\w., ]+)$"),
    "javascript": re.compile(r"^(import\s.+|(const|let|var)\s.+=\s*require\(.+\);?)$"),
    "go": re.compile(r'^import\s+(\w+\s+)?".+"$'),
    "java": re.compile(r"^import\s+[\w.*]+(\s*;)?$"),
    "rust": re.compile(r"^use\s.+;$"),
    "csharp": re.compile(r"^using\s+[\w.]+;$"),
    "c": re.compile(r"^#include\s.+$"),
}
_LIKE = {
    "javascriptreact": "javascript",
    "typescript": "javascript",
    "typescriptreact": "javascript",
    "kotlin": "java",
    "scala": "java",
    "cpp": "c",
}
_GO_BLOCK = re.compile(r"^import\s*\(\n(?P<body>(?:.*\n)*?)\)", re.MULTILINE)
_HEAD = {
    "python": re.compile(
        r"\A(?:#.*\n|[ \t]*\n)*?(?:[rRuU]?(?:\"\"\"(?:.|\n)*?\"\"\"|'''(?:.|\n)*?''')[ \t]*\n)?"
        r"(?:(?:[ \t]*\n)*(?:#.*\n)+(?=[ \t]*\n))*(?:(?<=\n)[ \t]*\n)?(?:from __future__ .+\n)*"
    ),
    "javascript": re.compile(r"\A(?:#!.*\n)?(?:['\"]use strict['\"];?\n)?"),
    "go": re.compile(r"\A(?:.*\n)*?package\s+\w+[ \t]*\n"),
    "java": re.compile(r"\A(?:(?:/\*(?:.|\n)*?\*/|//.*)?\s*)*(?:package\s+[\w.]+;?[ \t]*\n)?"),
}


def split(code: str, region: str, language: str) -> tuple[list[str], str]:
    """Import lines that stand at the top of `code` and not in `region`, and the code without them."""
    pattern = _IMPORT.get(_LIKE.get(language, language))
    if pattern is None:
        return [], code
    known = {line.strip() for line in region.splitlines()}
    lines = code.splitlines(keepends=True)
    found: list[str] = []
    taken = 0
    for number, line in enumerate(lines):
        bare = line.strip()
        if not bare:
            continue
        if not pattern.match(bare) or bare in known:
            break
        found.append(bare)
        taken = number + 1
    if not found or not "".join(lines[taken:]).strip():
        return [], code  # nothing but imports: then they are what was edited
    return found, "".join(lines[taken:])


def insertion(text: str, wanted: list[str], language: str) -> TextEdit | None:
    """The edit that adds the import lines to a file, None if it has them all."""
    have = {line.strip() for line in text.splitlines()}
    missing = [line for line in dict.fromkeys(wanted) if line not in have]
    if language == "go":
        missing = [line for line in missing if line.removeprefix("import").strip() not in have]
    if not missing:
        return None
    newline = "\r\n" if "\r\n" in text else "\n"
    base = _LIKE.get(language, language)
    if base == "go" and (block := _GO_BLOCK.search(text)):
        lines = "".join(f"\t{line.removeprefix('import').strip()}{newline}" for line in missing)
        return TextEdit(block.end() - 1, block.end() - 1, lines)
    at = _place(text, base, _IMPORT[base])
    added = newline.join(missing) + newline
    if base == "go" and not _IMPORT["go"].search(text):
        added = newline + added
    return TextEdit(at, at, added)


def _place(text: str, language: str, pattern: re.Pattern[str]) -> int:
    """Before the first import of the file's top level, else behind its head (comments, docstring, package)."""
    offset = 0
    for line in text.splitlines(keepends=True):
        if pattern.match(line.rstrip()) and "__future__" not in line:
            return offset
        offset += len(line)
    head = _HEAD.get(language)
    found = head.match(text.replace("\r\n", "\n")) if head else None
    if found is None:
        return 0
    lines = found.group().count("\n")
    return sum(len(line) for line in text.splitlines(keepends=True)[:lines])
