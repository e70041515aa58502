"""What a file uses of others, whatever the cursor's place: looked up once and kept while only ordinary code changes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codeface_lsp.context import languages
from codeface_lsp.context.imports import Import, imports
from codeface_lsp.context.syntax import SyntaxTree
from codeface_lsp.context.tags import definitions
from codeface_lsp.text.diff import changed_span
from codeface_lsp.workspace.exports import Exports, is_package
from codeface_lsp.workspace.modules import javascript_files, python_files
from codeface_lsp.workspace.reader import Reader
from codeface_lsp.workspace.sources import Sources
from codeface_lsp.workspace.store import Symbol

NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w{2,})")
ATTRIBUTE = re.compile(r"\.\s*([A-Za-z_]\w{2,})(\s*\()?")
_BASES = re.compile(r"^[ \t]*class\s+\w+\s*(?:\(([^)]*)\)|extends\s+([\w.]+))", re.MULTILINE)
_TYPED = re.compile(r"(?<!\w)(\w+)(?::[ ]?([\w\[\]\"'., |]+)|[ ]?=[ ]?(?:await |new )?([A-Z]\w*)\()")
_IMPORTING = re.compile(r"\b(import|from|require|use|using|include)\b")
BUILTIN_ATTRIBUTES = frozenset(
    name
    for kind in (str, bytes, list, dict, set, int, float, type(re), re.Pattern, re.Match, Path, Exception)
    for name in dir(kind)
)
"""Attributes of Python's own types: a workspace's method of such a name is rarely meant."""
_FAMILY = {
    **dict.fromkeys(("javascript", "typescript", "tsx", "vue", "svelte"), "js"),
    **dict.fromkeys(("c", "cpp", "objc"), "c"),
    **dict.fromkeys(("java", "kotlin", "scala", "groovy"), "jvm"),
}
_MOST_NAMES = 800
_MOST_MODULES = 20
_STALE_CHARS = 3_000
_MOST_CHARS = 1_000_000
"""Of a longer file only the first so many characters are looked at."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """`alias.name` is used `count` times and means `symbol`."""

    alias: str
    count: int
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class Method:
    """A method that only one class defines; used `count` times, as a call or not."""

    symbol: Symbol
    count: int
    called: bool


class Facts:
    """What one file (its `path` relative to the root) imports and uses, resolved with the index."""

    def __init__(
        self,
        reader: Reader,
        sources: Sources,
        root_name: str,
        path: str,
        tree: SyntaxTree | None,
        text: str,
    ) -> None:
        self.reader = reader
        self.sources = sources
        self.path = path
        self.text = text
        self._root = root_name
        scanned = text[:_MOST_CHARS]
        self.imports: tuple[Import, ...] = () if tree is None else tuple(imports(tree))
        self.exports = Exports(reader, sources, root_name)
        self._names = Counter(NAME.findall(scanned))
        self._importing = Counter(item.local for item in self.imports)
        self._exported: dict[str, list[Symbol]] = {}
        self._methods: dict[tuple[str, str], list[Symbol]] = {}
        self.known_bases: dict[int, list[str]] = {}
        """Names of what a class inherits from, by its id, as far as they were asked for."""
        self.own = frozenset() if tree is None else frozenset(d.name for d in definitions(tree))
        self._modules = self._files_of_modules()
        self.imported = self._resolve_imported()
        self.attributes, self.module_rest = self._resolve_attributes(scanned)
        self.methods = self._resolve_methods(scanned)
        self.bases = {name for found in _BASES.findall(scanned) for name in NAME.findall(" ".join(found))}
        self.types: dict[str, set[str]] = {}
        for name, annotated, made in _TYPED.findall(scanned):
            self.types.setdefault(name, set()).update(NAME.findall(annotated or made))

    def still_hold(self, reader: Reader, text: str) -> bool:
        """Whether they are good enough for a changed text: little changed, and no import."""
        if reader is not self.reader:
            return False
        span = changed_span(self.text, text)
        if span is None:
            return True
        start, old_end, new_end = span
        if max(old_end, new_end) - start > _STALE_CHARS:
            return False
        first = text.rfind("\n", 0, start) + 1
        return not _IMPORTING.search(text, first, new_end) and not _IMPORTING.search(
            self.text, first, old_end
        )

    def unused(self, text: str) -> set[str]:
        """Imported names that stand nowhere but in the imports; `text` is what these facts still hold for."""
        more: Counter[str] = Counter()
        if (span := changed_span(self.text, text)) is not None:
            more.update(NAME.findall(text, *_whole_words(text, span[0], span[2])))
            more.subtract(NAME.findall(self.text, *_whole_words(self.text, span[0], span[1])))
        return {
            name
            for name, count in self._importing.items()
            if len(name) > 2 and self._names[name] + more[name] <= count
        }

    def exported(self, alias: str) -> list[Symbol]:
        """What a module of the workspace defines at its top level, or its package passes on; public names first."""
        known = self._exported.get(alias)
        if known is None:
            files = self.aliases[alias]
            found = [s for s in self.reader.in_files(files, 2000) if not s.parent_kind and s.kind != "module"]
            for path in files:
                if is_package(path):
                    found += self._passed_on(path)
            found.sort(key=lambda symbol: symbol.name.startswith("_"))
            known = self._exported[alias] = list({symbol.id: symbol for symbol in found}.values())
        return known

    def methods_of(self, classes: Sequence[tuple[str, str]]) -> list[Symbol]:
        """Methods of classes, each given by its file and its name."""
        unknown = [each for each in classes if each not in self._methods]
        self._methods |= {each: [] for each in unknown}
        for symbol in self.reader.methods_of(unknown):
            self._methods[symbol.path, symbol.parent].append(symbol)
        return [symbol for each in classes for symbol in self._methods[each]]

    def _passed_on(self, path: str) -> list[Symbol]:
        """Definitions that a package's `__init__` imports for others to use."""
        names = [item.name for item in self.exports.imports_of(path) if item.name]
        groups = by_name(self.reader.named(names[:_MOST_NAMES], 4000))
        found = [self._resolve(group, [path]) for group in groups.values()]
        return [symbol for symbol in found if symbol is not None]

    def _files_of_modules(self) -> dict[str, list[str]]:
        """Files of each imported module, and of `module.name` for names that may be modules themselves."""
        names: dict[str, list[str]] = {}
        for item in self.imports:
            names[item.module] = self._candidates(item.module)
            if item.name is not None:
                inner = _joined(item)
                names[inner] = self._candidates(inner)
        every = list(dict.fromkeys(path for paths in names.values() for path in paths))
        existing: set[str] = set()
        for i in range(0, len(every), 800):
            existing.update(self.reader.existing(every[i : i + 800]))
        return {
            name: found for name, paths in names.items() if (found := [p for p in paths if p in existing])
        }

    def _candidates(self, module: str) -> list[str]:
        if self.path.endswith((".py", ".pyi", ".pyw")):
            return python_files(module, self.path, self._root)
        return javascript_files(module, self.path)

    def _resolve_imported(self) -> list[tuple[Import, Symbol]]:
        """What `from module import name` names: in the module's file, or in its package, which passes it on."""
        items = [item for item in self.imports if item.name is not None and item.module in self._modules]
        wanted = list(dict.fromkeys(item.name for item in items if item.name))
        found_by_name = by_name(self.reader.named(wanted[:_MOST_NAMES], 4000))
        found = [
            (item, self._resolve(found_by_name.get(item.name or "", ()), self._modules[item.module]))
            for item in items
        ]
        return [(item, symbol) for item, symbol in found if symbol is not None]

    def _resolve_attributes(self, text: str) -> tuple[list[Attribute], list[Symbol]]:
        """`alias.attribute` anywhere in the file, for modules of the workspace; then what else these define."""
        aliases: dict[str, list[str]] = {}
        for item in self.imports:
            inner = item.module if item.name is None else _joined(item)
            if inner in self._modules:
                aliases[item.local] = self._modules[inner]
        self.aliases = aliases
        if not aliases:
            return [], []
        dotted = "|".join(re.escape(alias) for alias in sorted(aliases, key=len, reverse=True))
        uses = Counter(re.findall(rf"(?<![\w.])({dotted})\.([A-Za-z_]\w*)", text))
        found_by_name = by_name(
            self.reader.named(list(dict.fromkeys(name for _, name in uses))[:_MOST_NAMES], 4000)
        )
        found = [
            Attribute(alias, count, symbol)
            for (alias, name), count in uses.items()
            if (symbol := self._resolve(found_by_name.get(name, ()), aliases[alias])) is not None
        ]
        files = [path for paths in aliases.values() for path in paths if not path.endswith("__init__.py")]
        rest = [
            symbol
            for symbol in self.reader.in_files(files[:_MOST_MODULES], 400)
            if not symbol.parent and not symbol.name.startswith("_") and symbol.kind != "module"
        ]
        return found, rest

    def _resolve_methods(self, text: str) -> list[Method]:
        used: Counter[str] = Counter()
        called: set[str] = set()
        for name, call in ATTRIBUTE.findall(text):
            used[name] += 1
            if call:
                called.add(name)
        known = self.own | BUILTIN_ATTRIBUTES
        names = [name for name, _ in used.most_common() if name not in known]
        return [
            Method(symbol, used[symbol.name], symbol.name in called)
            for symbol in self.reader.single_methods(names[:_MOST_NAMES])
            if same_language(symbol.path, self.path) and symbol.path != self.path
        ]

    def _resolve(self, symbols: Sequence[Symbol], files: list[str]) -> Symbol | None:
        top = [symbol for symbol in symbols if symbol.parent_kind not in ("class", "function")]
        for path in files:
            for symbol in top:
                if symbol.path == path:
                    return symbol
        for path in files:
            package = path.rpartition("/")[0]
            inside = [s for s in top if s.path.startswith(package + "/" if package else "")]
            if len(inside) > 1 and (found := self.exports.definer(path, inside)):
                return found
            if inside and is_package(path):
                return min(inside, key=lambda s: (s.kind == "variable", s.path.count("/"), len(s.path)))
        return top[0] if len(top) == 1 else None


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """The range grown so that it cuts no word."""
    while start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_."):
        start -= 1
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return start, end


def _joined(item: Import) -> str:
    return f"{item.module}{'' if item.module.endswith('.') else '.'}{item.name}"


def same_language(a: str, b: str) -> bool:
    """Whether two files can use each other's names: the same language, or one of a family that is mixed."""
    first, second = languages.of_path(a), languages.of_path(b)
    if first is None or second is None:
        return first is second and a.rpartition(".")[2] == b.rpartition(".")[2]
    return _FAMILY.get(first.grammar, first.grammar) == _FAMILY.get(second.grammar, second.grammar)


def by_name(symbols: Iterable[Symbol]) -> dict[str, list[Symbol]]:
    """Group definitions by their names."""
    grouped: dict[str, list[Symbol]] = {}
    for symbol in symbols:
        grouped.setdefault(symbol.name, []).append(symbol)
    return grouped
