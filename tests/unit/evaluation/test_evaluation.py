from __future__ import annotations

import json
from pathlib import Path

import pytest

from codeface_lsp.evaluation import scores
from codeface_lsp.evaluation.crossfile import Tree
from codeface_lsp.evaluation.holes import KINDS, punch
from codeface_lsp.evaluation.recall import Recall, sample
from codeface_lsp.evaluation.run import Evaluation, Scores, measure_recall
from codeface_lsp.settings import Settings

FILES = {
    "__init__.py": "from .core import Engine\nfrom .late import *\n",
    "core.py": "LIMIT = 3\n\n\nclass Engine:\n    def ignite_once(self, power):\n        return power\n",
    "late.py": "def arrive(hour):\n    return hour\n",
    "app.py": (
        "from shop import Engine, arrive\nfrom . import core\nimport os\n\n\n"
        "def run(engine: Engine):\n    total = engine.ignite_once(core.LIMIT)\n"
        "    for hour in range(total):\n        arrive(hour)\n        print(hour, os.sep)\n"
        "    return 'a'.join(str(total))\n"
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


def test_uses_of_other_files_are_found_through_re_exports(root: Path) -> None:
    found = {(use.kind, use.name, use.definer, use.line) for use in Tree(root).uses()}
    assert found == {
        ("imported", "Engine", "core.py", 5),
        ("method", "ignite_once", "core.py", 6),
        ("module", "LIMIT", "core.py", 6),
        ("imported", "arrive", "late.py", 8),
    }


def test_the_same_seed_punches_the_same_holes(root: Path) -> None:
    first, again = punch(root, 5, KINDS, 7), punch(root, 5, KINDS, 7)
    assert first == again
    assert {hole.kind for hole in first} == set(KINDS)
    assert sample(Tree(root), 2, 1) == sample(Tree(root), 2, 1)


def test_a_hole_can_be_filled_again(root: Path) -> None:
    for hole in punch(root, 5, KINDS, 3):
        snapshot = hole.snapshot(root)
        assert snapshot.text[: hole.start] + hole.missing + snapshot.text[hole.start :] == hole.text
        assert hole.missing.strip()
        assert ("\n" in hole.missing) == (hole.kind == "block")


async def test_recall_finds_every_definition_of_a_small_package(root: Path) -> None:
    found = await measure_recall(Settings(), root, 50, 1)
    assert {kind: (each.n, each.share) for kind, each in found.items()} == {
        "imported": (2, 1.0), "module": (1, 1.0), "method": (1, 1.0),
    }  # fmt: skip
    off = Settings.model_validate({"context": {"enabled": False}})
    assert (await measure_recall(off, root, 50, 1))["imported"].share == 0.0


def test_scores() -> None:
    assert scores.exact_match(" a = 1 ", "a = 1") == 1.0
    assert scores.edit_similarity("abcd", "abcf") == 0.75
    assert scores.identifier_f1("total = price", "total = cost") == 0.5
    assert scores.identifier_f1("x", "return 1") is None
    low, high = scores.interval([1.0] * 50 + [0.0] * 50)
    assert 0.40 < low < 0.41 and 0.59 < high < 0.60
    assert scores.interval([]) == (0.0, 1.0)
    assert scores.percentile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_the_report_has_the_agreed_keys(root: Path) -> None:
    (hole,) = punch(root, 1, ("line",), 1)
    line = Scores()
    line.add(hole, hole.missing + "\nmore", 12.0)
    line.add(hole, "", 20.0)
    report = Evaluation("m", "on", {"line": line}, {"imported": Recall(4, 3, 4, 400)}).as_json()
    assert json.loads(json.dumps(report)) == report
    assert set(report) == {"model", "context", "kinds", "context_recall"}
    assert set(report["kinds"]["line"]) == {
        "n", "exact_match", "edit_similarity", "identifier_f1", "parses", "latency_ms",
    }  # fmt: skip
    assert report["kinds"]["line"]["n"] == 2 and report["kinds"]["line"]["exact_match"] == 0.5
    assert set(report["kinds"]["line"]["latency_ms"]) == {"p50", "p95"}
    assert report["context_recall"] == {"imported": {"n": 4, "recall": 0.75}, "tokens_mean": 100.0}
