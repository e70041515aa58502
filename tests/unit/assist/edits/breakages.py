"""One-line breakages of real code, and a scripted model that knows how to repair them."""

from __future__ import annotations

import random
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from codeface_lsp.context import syntax
from codeface_lsp.endpoints.types import ChatRequest
from codeface_lsp.prompting import code_blocks

_STDLIB = Path(sysconfig.get_paths()["stdlib"])
PYTHON = [
    "bisect.py",
    "shlex.py",
    "textwrap.py",
    "heapq.py",
    "colorsys.py",
    "fnmatch.py",
    "netrc.py",
    "sched.py",
]
_RESERVED = (
    "self return import from class def function const while for else elif async await yield lambda func range struct "
    "interface package string false true none null undefined this"
)
_KEYWORDS = set(_RESERVED.split())


@dataclass(frozen=True)
class Breakage:
    """`broken` differs from `original` in one line, or lacks it (`repaired_line` is then the import)."""

    kind: str
    language: str
    original: str
    broken: str
    line: int
    broken_line: str
    repaired_line: str

    def answer(self, request: ChatRequest | object) -> str:
        """What a model that is right answers: the code it was shown, with the line repaired."""
        assert isinstance(request, ChatRequest)
        code = code_blocks.extract(request.messages[1].content)[0].code
        if self.kind == "import":
            return f"```{self.language}\n{self.repaired_line.strip()}\n\n{code}```"
        shown = code.splitlines(keepends=True)
        assert [line.rstrip("\r\n") for line in shown].count(self.broken_line) == 1
        repaired = [
            self.repaired_line + "\n" if line.rstrip("\r\n") == self.broken_line else line for line in shown
        ]
        return f"Here it is:\n\n```{self.language}\n{''.join(repaired)}```"


def sources() -> Iterator[tuple[str, str]]:
    """`(language, text)` of real files: the standard library, a package's browser code, a Go file."""
    for name in PYTHON:
        yield "python", (_STDLIB / name).read_text(encoding="utf-8")
    matplotlib = find_spec("matplotlib")
    assert matplotlib is not None and matplotlib.origin is not None
    scripts = Path(matplotlib.origin).parent / "backends" / "web_backend" / "js"
    for name in ("mpl.js", "nbagg_mpl.js"):
        yield "javascript", (scripts / name).read_text(encoding="utf-8")
    yield "go", (Path(__file__).parent / "sample.go").read_text(encoding="utf-8")


def breakages() -> list[Breakage]:
    """The same ones at each run: at most so many of a kind and file."""
    rng = random.Random(8)
    found: list[Breakage] = []
    for language, text in sources():
        assert syntax.parses(text, language), "the sample itself must parse"
        per_kind = 5 if language == "python" else 14
        for kind in ("bracket", "opener", "name", "order"):
            found += islice(_broken(kind, language, text, rng), per_kind)
        found += _without_import(language, text)
    return found


def _broken(kind: str, language: str, text: str, rng: random.Random) -> Iterator[Breakage]:
    lines = text.splitlines(keepends=True)
    known = {line.rstrip("\r\n") for line in lines}
    for number, line in rng.sample(list(enumerate(lines)), len(lines)):
        bare = line.rstrip("\r\n")
        wrong = _break(kind, language, bare)
        if wrong is None or wrong in known:
            continue
        if not bare.strip() or bare.lstrip().startswith(
            ("#", "//", "*", "/*", '"', "'", ">>>", "import", "from")
        ):
            continue
        broken = "".join([*lines[:number], wrong + line[len(bare) :], *lines[number + 1 :]])
        if kind in ("bracket", "opener") and syntax.parses(broken, language):
            continue  # it stood in a string or a comment
        yield Breakage(kind, language, text, broken, number, wrong, bare)


def _break(kind: str, language: str, line: str) -> str | None:
    match kind:
        case "bracket":
            at = max(line.rfind(sign) for sign in ")]")
            return line[:at] + line[at + 1 :] if at > 0 else None
        case "opener":
            end = ":" if language == "python" else "{"
            return line[: -len(end)] if line.endswith(end) else None
        case "name":
            names = [m for m in re.finditer(r"\b[a-z_]{5,}\b", line) if m[0] not in _KEYWORDS]
            if not names or '"' in line or "'" in line:
                return None
            start = names[-1].start()
            return line[:start] + line[start + 1] + line[start] + line[start + 2 :]
        case _:
            swapped = re.sub(r"(\w\()(\w[\w.]*), (\w[\w.]*)\)", r"\1\3, \2)", line, count=1)
            return None if line.lstrip().startswith(("def ", "func ", "function ")) else swapped


def _without_import(language: str, text: str) -> Iterator[Breakage]:
    lines = text.splitlines(keepends=True)
    pattern = {"python": r"^import (\w+)$", "go": r'^\t"(\w+)"$'}.get(language)
    if pattern is None:
        return
    imports = [n for n, line in enumerate(lines) if re.match(pattern, line)]
    top = [n for n, line in enumerate(lines) if re.match(r"^(import|from) ", line)]
    number = imports[-1] if language == "go" else (imports[0] if imports and imports[0] == top[0] else None)
    if number is None:
        return
    name = re.match(pattern, lines[number])[1]  # type: ignore[index]
    broken = "".join(lines[:number] + lines[number + 1 :])
    uses = [n for n, line in enumerate(broken.splitlines()) if re.search(rf"\b{name}\.", line)]
    statement = f'import "{name}"' if language == "go" else f"import {name}"
    for use in uses[:3]:
        if not broken.splitlines()[use].startswith(("#", "import")):
            yield Breakage("import", language, text, broken, use, "", statement)
