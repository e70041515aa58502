"""What a file uses of others, whatever the cursor's place: looked up once, and again when it or the index changes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from codeface_lsp.context import languages
from codeface_lsp.context.imports import Import
from codeface_lsp.workspace.exports import Exports, is_package
from codeface_lsp.workspace.modules import javascript_files, python_files
from codeface_lsp.workspace.reader import Reader
from codeface_lsp.workspace.store import Symbol
from codeface_lsp.workspace.usage import Usage

_FAMILY = {
    **dict.fromkeys(("javascript", "typescript", "tsx", "vue", "svelte"), "js"),
    **dict.fromkeys(("c", "cpp", "objc"), "c"),
    **dict.fromkeys(("java", "kotlin", "scala", "groovy"), "jvm"),
}
_MOST_NAMES = 800
_MOST_MODULES = 20


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
    """What one file (its `path` relative to the root) imports and uses, resolved with the index as it is now."""

    def __init__(self, reader: Reader, exports: Exports, path: str, usage: Usage) -> None:
        self.reader = reader
        self.exports = exports
        self.path = path
        self.usage = usage
        self._version = reader.version()
        self._exported: dict[str, list[Symbol]] = {}
        self._methods: dict[tuple[str, str], list[Symbol]] = {}
        self._classes: dict[str, list[Symbol]] = {}
        self._plain: dict[str, list[Symbol]] = {}
        self.known_bases: dict[int, list[str]] = {}
        """Names of what a class inherits from, by its id, as far as they were asked for."""
        self._modules = self._files_of_modules()
        self.imported = self._resolve_imported()
        self.attributes, self.module_rest = self._resolve_attributes()
        self.methods = self._resolve_methods()

    def still_hold(self, reader: Reader) -> bool:
        """Whether the index is still the one that they come from."""
        return reader is self.reader and reader.version() == self._version

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

    def classes(self, names: Iterable[str]) -> dict[str, list[Symbol]]:
        """Classes of these names, anywhere in the workspace."""
        return _known(self._classes, names, self.reader.classes)

    def plain(self, names: Iterable[str]) -> dict[str, list[Symbol]]:
        """Definitions of these names that are no methods, anywhere in the workspace."""
        return _known(self._plain, names, self.reader.plain)

    def definer(self, path: str, symbols: Sequence[Symbol]) -> Symbol | None:
        """Which of some definitions of one name the file at `path` means, as its imports say."""
        given = self.usage.imports if path == self.path else None
        return self.exports.definer(self.reader, path, symbols, given)

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
        for item in self.usage.imports:
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
            return python_files(module, self.path, self.exports.root)
        return javascript_files(module, self.path)

    def _resolve_imported(self) -> list[tuple[Import, Symbol]]:
        """What `from module import name` names: in the module's file, or in its package, which passes it on."""
        items = [
            item for item in self.usage.imports if item.name is not None and item.module in self._modules
        ]
        wanted = list(dict.fromkeys(item.name for item in items if item.name))
        found_by_name = by_name(self.reader.named(wanted[:_MOST_NAMES], 4000))
        found = [
            (item, self._resolve(found_by_name.get(item.name or "", ()), self._modules[item.module]))
            for item in items
        ]
        return [(item, symbol) for item, symbol in found if symbol is not None]

    def _resolve_attributes(self) -> tuple[list[Attribute], list[Symbol]]:
        """`alias.attribute` anywhere in the file, for modules of the workspace; then what else these define."""
        aliases: dict[str, list[str]] = {}
        for item in self.usage.imports:
            inner = item.module if item.name is None else _joined(item)
            if inner in self._modules:
                aliases[item.local] = self._modules[inner]
        self.aliases = aliases
        if not aliases:
            return [], []
        dotted = "|".join(re.escape(alias) for alias in sorted(aliases, key=len, reverse=True))
        uses = Counter(re.findall(rf"(?<![\w.])({dotted})\.([A-Za-z_]\w*)", self.usage.scanned))
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

    def _resolve_methods(self) -> list[Method]:
        used = self.usage.attributes
        names = [name for name, _ in used.most_common(_MOST_NAMES)]
        return [
            Method(symbol, used[symbol.name], symbol.name in self.usage.called)
            for symbol in self.reader.single_methods(names)
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
            if len(inside) > 1 and (found := self.definer(path, inside)):
                return found
            if inside and is_package(path):
                return min(inside, key=lambda s: (s.kind == "variable", s.path.count("/"), len(s.path)))
        return top[0] if len(top) == 1 else None


def _known(
    known: dict[str, list[Symbol]], names: Iterable[str], ask: Callable[[Sequence[str]], list[Symbol]]
) -> dict[str, list[Symbol]]:
    """Definitions by name; `ask` is asked for the names that are not `known` yet."""
    names = list(names)
    if unknown := [name for name in names if name not in known]:
        known |= {name: [] for name in unknown}
        for symbol in ask(unknown):
            known[symbol.name].append(symbol)
    return {name: known[name] for name in names if known[name]}


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
