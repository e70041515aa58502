"""What the packages of one workspace pass on: `from .core import Engine` in a package's `__init__`."""

from __future__ import annotations

from collections.abc import Sequence

from codeface_lsp.context import syntax
from codeface_lsp.context.imports import Import, imports
from codeface_lsp.workspace.modules import python_files
from codeface_lsp.workspace.reader import Reader
from codeface_lsp.workspace.sources import Sources
from codeface_lsp.workspace.store import Symbol

_DEPTH = 4
_PACKAGES = ("__init__.py", "__init__.pyi", "index.ts", "index.js")


def is_package(path: str) -> bool:
    """Whether a file stands for its whole directory."""
    return path.rpartition("/")[2] in _PACKAGES


class Exports:
    """Follows re-exports; remembers the imports of the packages that it has read."""

    def __init__(self, reader: Reader, sources: Sources, root_name: str) -> None:
        self._reader = reader
        self._sources = sources
        self._root = root_name
        self._known: dict[str, list[Import]] = {}

    def imports_of(self, path: str) -> list[Import]:
        """Imports of a Python package's `__init__`."""
        known = self._known.get(path)
        if known is None:
            text = "\n".join(self._sources.lines(path)) if path.endswith((".py", ".pyi")) else ""
            tree = syntax.parse(text, "python") if text else None
            known = self._known[path] = [] if tree is None else imports(tree)
        return known

    def definer(self, path: str, symbols: Sequence[Symbol], depth: int = _DEPTH) -> Symbol | None:
        """Which of some definitions of one name the package at `path` passes on, as its imports say."""
        name = symbols[0].name
        for item in self.imports_of(path) if depth else ():
            if item.local not in (name, "*"):
                continue
            files = self._reader.existing(python_files(item.module, path, self._root))
            for symbol in symbols:
                if symbol.path in files:
                    return symbol
            for package in files:
                if is_package(package) and (found := self.definer(package, symbols, depth - 1)):
                    return found
        return None
