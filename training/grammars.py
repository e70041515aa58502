"""Whether a file is well formed: Python by Python's own parser, the other languages by their tree-sitter grammars."""

from __future__ import annotations

import ast
import warnings

from tree_sitter_language_pack import SupportedLanguage, get_parser

GRAMMARS: dict[str, SupportedLanguage] = {
    "js": "javascript",
    "mjs": "javascript",
    "cjs": "javascript",
    "ts": "typescript",
    "go": "go",
}
"""By file suffix; everything else is taken for Python."""


def is_well_formed(text: str, path: str) -> bool:
    """Whether `text` parses as the language that the suffix of `path` names."""
    language = GRAMMARS.get(path.rpartition(".")[2])
    if language is not None:
        return not get_parser(language).parse(text.encode()).root_node.has_error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
