"""Whether a file is well formed: Python by Python's own parser, the other languages by their tree-sitter grammars."""

from __future__ import annotations

import ast
import warnings

from codeface_lsp.context import languages, syntax


def is_well_formed(text: str, path: str) -> bool:
    """Whether `text` parses as the language that the name of `path` says; Python where it says none."""
    language = languages.id_of_path(path)
    if language not in ("python", "plaintext"):
        return syntax.parses(text, language) is True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
