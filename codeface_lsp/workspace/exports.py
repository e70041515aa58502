"""What the packages of one workspace pass on: `from .core import Engine` in a package's `__init__`."""

from __future__ import annotations

from collections.abc import Sequence

from codeface_lsp.context import syntax
from codeface_lsp.context.imports import Import, imports
from codeface_lsp.workspace.modules import python_files
from codeface_lsp.workspace.reader import Reader
from codeface_lsp.workspace.sources import MaskedLines, Sources
from codeface_lsp.workspace.store import Symbol

_DEPTH = 4
_PACKAGES = ("__init__.py", "__init__.pyi", "index.ts", "index.js")


def is_package(path: str) -> bool:
    """Whether a file stands for its whole directory."""
    return path.rpartition("/")[2] in _PACKAGES


class Exports:
    """Follows re-exports in the workspace whose root has this name; remembers the imports of the files that it read."""

    def __init__(self, sources: Sources, root: str) -> None:
        self.sources = sources
        self.root = root
        self._known: dict[str, tuple[Sequence[str], list[Import]]] = {}

    def imports_of(self, path: str) -> list[Import]:
        """Imports of a Python file as it is now."""
        if not path.endswith((".py", ".pyi")):
            return []
        lines = self.sources.lines(path)
        known = self._known.get(path)
        if known is None or known[0] is not lines:
            tree = syntax.parse(lines.unmasked, "python") if isinstance(lines, MaskedLines) else None
            known = self._known[path] = (lines, [] if tree is None else imports(tree))
        return known[1]

    def definer(
        self,
        reader: Reader,
        path: str,
        symbols: Sequence[Symbol],
        given: Sequence[Import] | None = None,
        depth: int = _DEPTH,
    ) -> Symbol | None:
        """Which of some definitions of one name the package at `path` passes on, as its imports say.

        `given` are that file's imports, where they are known already.
        """
        name = symbols[0].name
        for item in self.imports_of(path) if given is None else given:
            if item.local not in (name, "*"):
                continue
            files = reader.existing(python_files(item.module, path, self.root))
            for symbol in symbols:
                if symbol.path in files:
                    return symbol
            for package in files if depth > 1 else ():
                if is_package(package) and (found := self.definer(reader, package, symbols, depth=depth - 1)):
                    return found
        return None
