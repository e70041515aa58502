"""Names that a Python file uses and another file of the same tree defines, found with Python's own `ast`.

Deliberately independent of the symbol index that it is used to judge.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, field
from io import IOBase
from logging import Logger
from pathlib import Path
from re import Match, Pattern
from typing import Literal

UseKind = Literal["imported", "module", "method", "other_method"]
_NOT_OURS = frozenset(
    name
    for kind in (str, bytes, list, dict, set, float, IOBase, Path, Logger, Pattern, Match)
    for name in dir(kind)
)
"""Attributes of common types of the standard library: `x.join` is a string's, whatever class defines one, too."""
_DEPTH = 6
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Use:
    """`name` of `definer` is used in `path`: its text stands at `[column, end)` of `line` (from 0, code points)."""

    kind: UseKind
    path: str
    line: int
    column: int
    end: int
    name: str
    definer: str


@dataclass(slots=True)
class _Module:
    path: str
    tree: ast.Module
    lines: list[str]
    defined: set[str] = field(default_factory=set)
    methods: set[str] = field(default_factory=set)
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """Local name -> (path of a module of this tree, name in it or None for the module itself)."""
    foreign: set[str] = field(default_factory=set)
    """Local names of what is imported from elsewhere: `json` in `json.loads` is no object with a method of ours."""


class Tree:
    """All modules below a directory. Files that do not parse are left out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules: dict[str, _Module] = {}
        for file in sorted(root.rglob("*.py")):
            if "__pycache__" not in file.parts and file.stat().st_size < _MAX_BYTES:
                self._read(file)
        for module in self.modules.values():
            self._find_imports(module)
        self._method_count = Counter(name for module in self.modules.values() for name in module.methods)
        self._method_file = {name: module.path for module in self.modules.values() for name in module.methods}

    def uses(self) -> list[Use]:
        """Every use of another file's definition, import statements aside."""
        return [use for module in self.modules.values() for use in self._uses(module)]

    def _read(self, file: Path) -> None:
        try:
            text = file.read_text(encoding="utf-8")
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, OSError):
            return
        path = file.relative_to(self.root).as_posix()
        module = _Module(path, tree, text.split("\n"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                module.methods |= {
                    n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
                }
        for node in _top(tree.body):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                module.defined.add(node.name)
            elif isinstance(node, ast.Assign):
                module.defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                module.defined.add(node.target.id)
        self.modules[path] = module

    def _find_imports(self, module: _Module) -> None:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    target = self._file(alias.name.split("."), module.path, 0)
                    if target and (alias.asname or "." not in alias.name):
                        module.imports[alias.asname or alias.name] = (target, None)
                    elif not target:
                        module.foreign.add(alias.asname or alias.name.partition(".")[0])
            elif isinstance(node, ast.ImportFrom):
                parts = (node.module or "").split(".") if node.module else []
                source = self._file(parts, module.path, node.level)
                for alias in node.names:
                    inner = self._file([*parts, alias.name], module.path, node.level)
                    local = alias.asname or alias.name
                    if source and alias.name in self.modules[source].defined:
                        module.imports[local] = (source, alias.name)
                    elif inner:
                        module.imports[local] = (inner, None)
                    elif source:
                        module.imports[local] = (source, alias.name)
                    else:
                        module.foreign.add(local)

    def _file(self, parts: list[str], importer: str, level: int) -> str | None:
        if level:
            base = importer.split("/")[:-1]
            base = base[: len(base) - level + 1] if level - 1 <= len(base) else ["?"]
            parts = [*base, *parts]
        elif self.root.name in parts:
            parts = parts[parts.index(self.root.name) + 1 :]
        stem = "/".join(part for part in parts if part)
        for path in (f"{stem}.py", f"{stem}/__init__.py" if stem else "__init__.py", f"src/{stem}.py"):
            if path in self.modules:
                return path
        return None

    def _definer(self, path: str, name: str, depth: int = 0) -> tuple[str, str] | None:
        """Follow re-exports to the file that defines a name."""
        module = self.modules[path]
        if name in module.defined:
            return path, name
        if depth < _DEPTH and name in module.imports:
            target, inner = module.imports[name]
            return self._definer(target, inner, depth + 1) if inner else None
        if depth < _DEPTH:
            for node in module.tree.body:  # `from .x import *`
                if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                    target_file = self._file((node.module or "").split("."), path, node.level)
                    found = self._definer(target_file, name, depth + 1) if target_file else None
                    if found:
                        return found
        return None

    def _uses(self, module: _Module) -> list[Use]:
        found: list[Use] = []
        called = {id(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}
        for node in ast.walk(module.tree):
            use = None
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                use = self._imported(module, node)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                use = self._attribute(module, node, called=id(node) in called)
            if use is not None and use.definer != module.path:
                found.append(use)
        return found

    def _imported(self, module: _Module, node: ast.Name) -> Use | None:
        target = module.imports.get(node.id)
        if target is None or target[1] is None:
            return None
        definer = self._definer(target[0], target[1])
        return None if definer is None else self._use("imported", module, node, node.id, definer)

    def _attribute(self, module: _Module, node: ast.Attribute, *, called: bool) -> Use | None:
        if isinstance(node.value, ast.Name) and node.value.id in module.imports:
            target, inner = module.imports[node.value.id]
            if inner is None:
                definer = self._definer(target, node.attr)
                return None if definer is None else self._use("module", module, node, node.attr, definer)
        if (
            not called
            or (isinstance(node.value, ast.Name) and node.value.id in module.foreign)
            or self._method_count[node.attr] == 0
            or node.attr in module.methods
            or node.attr in _NOT_OURS
        ):
            return None
        kind: UseKind = "method" if self._method_count[node.attr] == 1 else "other_method"
        return self._use(kind, module, node, node.attr, (self._method_file[node.attr], node.attr))

    def _use(
        self,
        kind: UseKind,
        module: _Module,
        node: ast.Name | ast.Attribute,
        text: str,
        definer: tuple[str, str],
    ) -> Use | None:
        line = (node.end_lineno or 1) - 1
        raw = module.lines[line].encode("utf-8")
        end = len(raw[: node.end_col_offset or 0].decode("utf-8", "ignore"))
        start = end - len(text)
        if module.lines[line][start:end] != text:
            return None
        return Use(kind, module.path, line, start, end, definer[1], definer[0])


def _top(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements of a module, those under top-level `if` and `try` too."""
    found: list[ast.stmt] = []
    for node in body:
        found.append(node)
        if isinstance(node, ast.If | ast.Try):
            inner = [*node.body, *node.orelse]
            for handler in getattr(node, "handlers", []):
                inner += handler.body
            found += _top(inner)
    return found
