"""Time of one completion's context: `python -m benchmarks.context_latency [--lines 10000] [--files 1000]`.

Makes a workspace of real installed files, opens one of about 10,000 lines in it and types. Times, per key: the
incremental parse alone, and the whole of `changed` + `build`; also the document's very first build, its parse included,
and the first one at a new place, some seconds after the document was opened and at once. Times are those of the thread
on the processor, so that other work on the machine counts little; wall time is given beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.keystrokes import keys
from codeface_lsp.context.parts import Budget
from codeface_lsp.endpoints.token_counter import open_counter
from codeface_lsp.settings import Settings
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace

BUDGET = Budget(1500, 600, 225)
_SETTLED_S = 4.0
"""Until the lines of a document that was just opened are counted."""


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"p{p}": round(ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 3) for p in (50, 95, 99)}


def workspace_of(folder: Path, files: int, lines: int) -> Path:
    """Copy `files` real files into a folder; the first is joined from several until it has `lines` lines."""
    source = Path(sysconfig.get_path("purelib")) / "sympy"
    found = sorted(file for file in source.rglob("*.py") if file.stat().st_size > 2000)
    for file in found[: files - 1]:
        target = folder / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        (target.parent / "__init__.py").touch()
    text = ""
    for file in found[files:]:
        text += file.read_text(encoding="utf-8") + "\n"
        if text.count("\n") >= lines:
            break
    big = folder / "core" / "big.py"
    big.write_text("\n".join(text.split("\n")[:lines]), encoding="utf-8")
    return big


def timed(action: Callable[..., object], *arguments: object) -> float:
    started = time.thread_time()
    action(*arguments)
    return (time.thread_time() - started) * 1e3


async def run(folder: Path, files: int, lines: int, count: int) -> dict[str, object]:
    big = workspace_of(folder, files, lines)
    settings = Settings()
    counter = open_counter(settings)
    workspace = Workspace([folder], settings)
    await workspace.start()
    text = big.read_text(encoding="utf-8")
    starts = [0, *(index + 1 for index, char in enumerate(text) if char == "\n")]
    start, end = starts[len(starts) // 2], starts[len(starts) // 2 + 60]

    def snapshot(content: str, version: int) -> Snapshot:
        return Snapshot(big.as_uri(), str(big), "python", version, content)

    workspace.opened(snapshot(text, 0))
    first = timed(workspace.build, snapshot(text, 0), start, BUDGET, counter)
    parse: list[float] = []
    build: list[float] = []
    wall: list[float] = []
    for version, event in enumerate(keys(text, start, end, seed=1)):
        now = snapshot(event.text, version)
        started = time.perf_counter()
        changed = timed(workspace.changed, now, ())
        parsing = timed(workspace.tree, now)
        building = timed(workspace.build, now, event.offset, BUDGET, counter)
        wall.append((time.perf_counter() - started) * 1e3)
        parse.append(parsing)
        build.append(changed + parsing + building)
        if version >= count:
            break
    places = starts[50 :: len(starts) // 120]
    again = snapshot(text, 9_999)
    workspace.build(again, starts[0], BUDGET, counter)
    at_once = [timed(workspace.build, again, offset, BUDGET, counter) for offset in places[::2]]
    await asyncio.sleep(_SETTLED_S)
    jumps = [timed(workspace.build, again, offset, BUDGET, counter) for offset in places[1::2]]
    await workspace.aclose()
    return {
        "lines": text.count("\n"),
        "files": files,
        "keys": len(build),
        "context_ms": percentiles(build[1:]),
        "reparse_ms": percentiles(parse[1:]),
        "first_ms": round(first, 1),
        "new_place_ms": percentiles(jumps),
        "new_place_at_once_ms": percentiles(at_once),
        "context_wall_ms": percentiles(wall[1:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(
            json.dumps(asyncio.run(run(Path(folder), options.files, options.lines, options.keys)), indent=1)
        )


if __name__ == "__main__":
    main()
