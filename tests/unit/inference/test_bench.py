from __future__ import annotations

import pytest

from codeface_lsp.inference import bench
from codeface_lsp.inference.bench import Worker


def test_a_row_says_how_many_times_faster() -> None:
    assert bench.row("x", [0.002, 0.001, 0.003], [0.02], "peer") == {
        "name": "x",
        "ours": 2.0,
        "peer": 20.0,
        "peer_name": "peer",
        "ratio": 0.1,
        "unit": "ms",
    }
    assert bench.rate("x", [0.01], [0.02], "peer")["ratio"] == 2.0


def test_a_process_measures_the_bundled_model() -> None:
    from codeface_lsp import paths

    model = str(paths.shipped("bundled") / "codeface-tiny")
    with Worker(bench.command(bench.OURS, model, 1), 1) as worker:
        cold, key = worker.measure("cold"), min(worker.measure("key") for _ in range(3))
    assert 0 < key < cold / 5


def test_on_a_slow_machine_there_are_fewer_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Worker):
        def __init__(self, *arguments: object) -> None:
            self.asked = 0

        def close(self) -> None:
            pass

        def measure(self, what: str) -> float:
            self.asked += 1
            return float(self.asked)

    monkeypatch.setattr(bench, "Worker", Slow)
    assert bench.interleaved("m", ("a", "b"), ("key",), 3)["b"]["key"] == [1.0, 2.0, 3.0]
    monkeypatch.setattr(bench, "BUDGET_S", -1.0)
    assert bench.interleaved("m", ("a", "b"), ("key",), 3)["b"]["key"] == [1.0]


def test_a_process_that_cannot_start_is_told() -> None:
    with pytest.raises(RuntimeError, match="ended early"):
        Worker(bench.command("no such engine", "no such folder", 1), 1)
