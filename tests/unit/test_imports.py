"""The direction of imports, and what each process may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import codeface_lsp

ROOT = Path(codeface_lsp.__file__).parent
LEAVES = {"text", "settings", "errors", "paths", "logs", "runtime"}
ALLOWED = {
    "text": set(),
    "settings": set(),
    "errors": set(),
    "paths": set(),
    "logs": set(),
    "runtime": set(),
    "context": set(),
    "workspace": {"context"},
    "prompting": {"models"},  # the Tokenizer protocol, for type checking only
    "endpoints": {"context", "prompting"},
    "assist": {"context", "workspace", "prompting", "endpoints"},
    "lsp": {"assist", "context", "workspace", "prompting", "endpoints"},
    "models": {"prompting"},
    "inference": {"models", "prompting"},
    "serving": {"inference", "models", "prompting"},
}
ONLY_IN = {
    "pygls": {"lsp", "server.py", "cli"},
    "lsprotocol": {"lsp", "server.py", "cli"},
    "typer": {"cli"},
    "rich": {"cli"},
    "torch": {"models", "inference"},
    "transformers": {"models", "inference"},
    "tree_sitter": {"context"},
}


def modules() -> Iterator[tuple[str, Path, set[str]]]:
    for file in sorted(ROOT.rglob("*.py")):
        relative = file.relative_to(ROOT)
        if relative.parts[0].startswith("_"):
            continue
        imported: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        yield relative.parts[0], file, imported


MODULES = list(modules())


@pytest.mark.parametrize(
    ("package", "file", "imported"), MODULES, ids=[str(m[1].relative_to(ROOT)) for m in MODULES]
)
def test_a_package_imports_only_what_stands_below_it(package: str, file: Path, imported: set[str]) -> None:
    package = package.removesuffix(".py")
    if package not in ALLOWED:  # cli and server.py are the tops
        return
    for name in imported:
        if not name.startswith("codeface_lsp."):
            continue
        target = name.split(".")[1]
        assert target in ALLOWED[package] | LEAVES | {package}, f"{file.name} imports {name}"


@pytest.mark.parametrize(
    ("package", "file", "imported"), MODULES, ids=[str(m[1].relative_to(ROOT)) for m in MODULES]
)
def test_each_library_is_used_where_the_design_puts_it(package: str, file: Path, imported: set[str]) -> None:
    for library, places in ONLY_IN.items():
        if any(name == library or name.startswith(library + ".") for name in imported):
            assert package in places, f"{file.relative_to(ROOT)} imports {library}"


def test_exactly_one_file_of_context_imports_tree_sitter() -> None:
    users = {
        file.name for package, file, names in MODULES if any(n.split(".")[0] == "tree_sitter" for n in names)
    }
    assert users == {"syntax.py"}


@pytest.mark.parametrize("module", ["codeface_lsp.server", "codeface_lsp.cli.app", "codeface_lsp.cli.lsp"])
def test_the_language_server_never_loads_torch(module: str) -> None:
    code = (
        f"import sys, {module}; import codeface_lsp.server; codeface_lsp.server.create();"
        "heavy = {'torch', 'transformers', 'accelerate', 'bitsandbytes'} & set(sys.modules);"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
