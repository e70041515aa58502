"""From the name of a module, as an import spells it, to the files of the workspace that it may be."""

from __future__ import annotations

import posixpath

_ROOTS = ("", "src/", "lib/", "python/")
_JS_ENDINGS = (
    ".ts",
    ".tsx",
    ".js",
    ".jsx",
    ".mjs",
    ".vue",
    ".svelte",
    "/index.ts",
    "/index.tsx",
    "/index.js",
)


def python_files(module: str, importer: str, root_name: str) -> list[str]:
    """Candidate paths of a Python module, best first; `importer` is the importing file's path in the workspace.

    A workspace may be the inside of a package: then the path up to the root's own name leads to it.
    """
    level = len(module) - len(module.lstrip("."))
    parts = [part for part in module[level:].split(".") if part]
    if level:
        base = importer.split("/")[:-1]
        if level - 1 > len(base):
            return []
        return _python_paths([*base[: len(base) - level + 1], *parts])
    found = [f"{prefix}{path}" for prefix in _ROOTS for path in _python_paths(parts)]
    for index, part in enumerate(parts):
        if part == root_name:
            found += _python_paths(parts[index + 1 :])
    sibling = importer.split("/")[:-1]
    return [*found, *_python_paths([*sibling, *parts])] if len(parts) == 1 else found


def javascript_files(module: str, importer: str) -> list[str]:
    """Candidate paths of a relative JavaScript or TypeScript import; a package's name gives none."""
    if not module.startswith("."):
        return []
    path = posixpath.normpath(posixpath.join(posixpath.dirname(importer), module))
    if path.startswith(".."):
        return []
    bare = path.removesuffix(".js")
    return [path, *(bare + ending for ending in _JS_ENDINGS)]


def _python_paths(parts: list[str]) -> list[str]:
    path = "/".join(parts)
    if not path:
        return ["__init__.py"]
    return [f"{path}.py", f"{path}/__init__.py", f"{path}.pyi", f"{path}/__init__.pyi"]
