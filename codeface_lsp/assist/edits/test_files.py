"""Where the tests of a file go, and what the project tests with; told from the files that are there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from codeface_lsp.assist.target import extension
from codeface_lsp.workspace.workspace import Workspace

_JAVASCRIPT = {"javascript", "javascriptreact", "typescript", "typescriptreact"}


@dataclass(frozen=True, slots=True)
class TestFile:
    """The file that takes the tests; `text` is what it holds, None if it is new."""

    __test__ = False

    path: Path
    framework: str
    module: str
    text: str | None

    def variables(self, workspace: Workspace) -> dict[str, str]:
        """What the prompt for tests says about it."""
        shown = workspace.relative(self.path)
        return {"framework": self.framework, "test_path": shown, "module": self.module}


def find(source: Path, workspace: Workspace, language: str) -> TestFile:
    """The existing test file of `source`, or the place for a new one, with the project's framework."""
    root = next((root for root in workspace.roots if source.is_relative_to(root)), source.parent)
    candidates = _candidates(source, root, language)
    path = next((c for c in candidates if c.is_file()), None)
    if path is None:
        path = next((c for c in candidates if c.parent.is_dir()), candidates[0])
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = None
    return TestFile(path, _framework(root, language, text or ""), _module(source, root, language), text)


def _candidates(source: Path, root: Path, language: str) -> list[Path]:
    stem, suffix = source.stem, source.suffix or f".{extension(language)}"
    inside = source.parent.relative_to(root) if source.is_relative_to(root) else PurePath()
    if language == "python":
        name = f"test_{stem.lstrip('_') or stem}{suffix}"
        packages = [PurePath(*inside.parts[depth:]) for depth in range(len(inside.parts) + 1)]
        places = [root / tests / package for tests in ("tests", "tests/unit", "test") for package in packages]
        return [*(place / name for place in places), source.parent / name]
    if language == "go":
        return [source.with_name(f"{stem}_test.go")]
    if language in _JAVASCRIPT:
        names = [f"{stem}.test{suffix}", f"{stem}.spec{suffix}"]
        places = [source.parent, source.parent / "__tests__", root / "tests" / inside, root / "test" / inside]
        return [place / name for name in names for place in places]
    if language == "java":
        mirrored = Path(str(source.parent).replace("/main/", "/test/"))
        return [mirrored / f"{stem}Test.java"]
    return [root / "tests" / f"test_{stem}{suffix}", source.with_name(f"test_{stem}{suffix}")]


def _framework(root: Path, language: str, existing: str) -> str:
    if language == "python":
        return "unittest" if re.search(r"^\s*import unittest", existing, re.MULTILINE) else "pytest"
    if language in _JAVASCRIPT:
        manifest = _read(root / "package.json")
        known = ("vitest", "jest", "mocha", "ava", "jasmine")
        return next((name for name in known if f'"{name}"' in manifest), "node:test")
    return {"go": "the testing package", "java": "JUnit 5", "rust": "#[test]"}.get(
        language, "the usual framework"
    )


def _module(source: Path, root: Path, language: str) -> str:
    if language != "python" or not source.is_relative_to(root):
        return f"./{source.stem}" if language in _JAVASCRIPT else ""
    parts = list(source.relative_to(root).with_suffix("").parts)
    if parts and parts[0] == "src":
        parts = parts[1:]
    return ".".join(parts[:-1] if parts and parts[-1] == "__init__" else parts)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
