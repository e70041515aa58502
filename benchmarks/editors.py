"""VS Code as its user sees it: to the first ghost text warm and cold, three windows, activation, the package's size.

Run `python editors/install.py` once, then `python -m benchmarks.editors`. The editor is VS Code in a browser without a
graphics card; the engine, the server and the model are the real ones, and every figure is the median of three.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import Row, arguments, report
from tests.editors.code_server import VsCode, package, three_windows, vscode
from tests.editors.conftest import SHAPES, House, house, until

ROUNDS = 3


def measure() -> Iterator[Row]:
    """Each figure beside its bound."""
    with contextmanager(house)(CODEFACE_COMPLETION__MIN_CONFIDENCE="-100") as home, _folder() as folder:
        vsix = package(folder)
        yield _row("the extension's package", vsix.stat().st_size / 1e6, 1.0, "MB")
        with vscode(home, vsix, folder / "code") as code:
            yield from _times(code, home, folder)


def _times(code: VsCode, home: House, folder: Path) -> Iterator[Row]:
    cold = []
    for number in range(ROUNDS):
        _stop(home)
        cold.append(code.run("coldGhost", _project(folder / f"cold {number}"))["seenToGhostMs"])
    yield _row("file seen to ghost text, no engine running", statistics.median(cold) / 1000, 6.0, "s")
    warm = [
        code.run("openToGhost", _project(folder / f"warm {number}"))["openToGhostMs"]
        for number in range(ROUNDS)
    ]
    yield _row("file opened to ghost text, engine running", statistics.median(warm) / 1000, 1.5, "s")
    yield from _windows(code, home, _project(folder / "windows"))
    times = code.run("activations", _project(folder / "activations"))["times"]
    yield _row("activation of the extension", statistics.median(times), 100, "ms")


def _windows(code: VsCode, home: House, project: Path) -> Iterator[Row]:
    found = three_windows(code, home, project)
    yield _row("engines of three windows", found["engines"], 1, "processes")
    yield _row("largest language server of three windows", max(found["serversMiB"]), 120, "MiB")


def _stop(home: House) -> None:
    """End the engine and wait until it has gone."""
    if running := home.engine():
        home.stop_engine()
        until(lambda: not Path(f"/proc/{running['pid']}").exists(), "the engine to end")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _project(folder: Path) -> Path:
    folder.mkdir()
    (folder / "shapes.py").write_text(SHAPES)
    (folder / "other.py").write_text(SHAPES.replace("shape", "form") + "\n\nfor form in fo")
    return folder


def _row(name: str, ours: float, bound: float, unit: str) -> Row:
    return {
        "name": name,
        "ours": ours,
        "peer": bound,
        "peer_name": "bound",
        "ratio": ours / bound,
        "unit": unit,
    }


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    report(measure(), options.json)
