"""`codeface bench` prints a table, or the rows as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from codeface_lsp.cli import bench
from codeface_lsp.serving.bench import measure_hop

KEYS = {"name", "ours", "peer", "peer_name", "ratio", "unit"}


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    made = [{"name": "a key", "ours": 2.0, "peer": 8.0, "peer_name": "somebody", "ratio": 0.25, "unit": "ms"}]

    def some(quick: bool) -> Iterator[dict[str, Any]]:
        yield from made

    monkeypatch.setattr(bench, "_rows", some)
    return made


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(bench.bench)
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_rows_come_as_json_and_in_a_file(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    assert json.loads(run("--json", "-o", str(file))) == rows == json.loads(file.read_text())


def test_the_table_has_every_figure(rows: list[dict[str, Any]]) -> None:
    table = run()
    assert all(text in table for text in ("a key", "2 ms", "8 ms", "somebody", "0.25"))


async def test_the_hop_is_measured_against_an_echo_route() -> None:
    row = await measure_hop(rounds=5)
    assert set(row) == KEYS
    assert row["peer"] > 0
    assert row["ratio"] == pytest.approx(row["ours"] / row["peer"], rel=0.01)
