from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from training import packing, plan, tokenizer
from training.corpus import Document
from training.export import export
from training.model import SHAPES, Shape
from training.places import REPOSITORY, Places
from training.samples import Mixture, Sampler
from training.state import CHECKPOINT, LOG, Options, Training
from training.train import Clock, Rows, stopping, train

TINY = Shape(hidden=32, layers=1, heads=2, kv_heads=1, feed_forward=48)


@pytest.fixture
def places(
    tmp_path: Path, documents: list[Document], words: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> Places:
    monkeypatch.setitem(SHAPES, "6m", TINY)
    monkeypatch.setitem(plan.PHASES, "short", plan.Phase(128, 2, Mixture()))
    places = Places(tmp_path)
    tokenizer.save(words, places.tokenizer)
    packing.pack(documents, words, places.packed)
    split = [replace(document, split="tuning") for document in documents[:2]]
    places.documents.write_text(
        "".join(json.dumps(asdict(document)) + "\n" for document in split), encoding="utf-8"
    )
    return places


def options(**given: object) -> Options:
    return Options(**{"compile": False, "device": "cpu", "steps": 4} | given)  # type: ignore[arg-type]


def weights(places: Places, run: str) -> dict[str, torch.Tensor]:
    return dict(torch.load(places.run(run) / CHECKPOINT, weights_only=True)["model"])


def test_training_in_pieces_ends_where_training_in_one_go_does(places: Places) -> None:
    train(places, options(run="whole", steps=6))
    train(places, options(run="pieces", steps=2))
    train(places, options(run="pieces", steps=4))
    whole, pieces = weights(places, "whole"), weights(places, "pieces")
    assert whole.keys() == pieces.keys()
    for name, value in whole.items():
        torch.testing.assert_close(value, pieces[name], atol=1e-6, rtol=1e-5)


def test_a_decaying_run_leaves_the_run_it_starts_from_alone_and_ends_by_itself(places: Places) -> None:
    train(places, options(run="main"))
    before = weights(places, "main")
    train(places, options(run="final", start_from="main", decay_steps=3, steps=10**9))
    state = torch.load(places.run("final") / CHECKPOINT, weights_only=True)
    assert (state["step"], state["decay_done"]) == (7, 3)
    for name, value in weights(places, "main").items():
        assert torch.equal(value, before[name])
    assert plan.rate(500, 10, 9) < plan.rate(500, 10, 0) == plan.rate(500, 0, 0) == 1.0


def test_starting_from_a_run_that_is_not_there_says_so(places: Places) -> None:
    with pytest.raises(
        SystemExit, match="'nowhere' is neither a run with a checkpoint nor an exported model"
    ):
        train(places, options(run="new", start_from="nowhere"))


def test_a_run_goes_on_from_an_exported_model_warming_up_again(places: Places, tmp_path: Path) -> None:
    train(places, options(run="main"))
    export(places, "main", tmp_path / "exported", averaged=False)
    further = Training(places, options(run="further", start_from=str(tmp_path / "exported")))
    assert (further.step, further.tokens) == (4, 4 * 2 * 128)
    for name, value in weights(places, "main").items():
        torch.testing.assert_close(further.model.state_dict()[name], value, atol=5e-3, rtol=1e-2)
    train(places, options(run="further", start_from=str(tmp_path / "exported"), steps=2))
    resumed = Training(places, options(run="further"))
    assert (resumed.began, resumed.step) == (4, 6), "what a later call resumes still knows where it warmed up"


def test_the_log_has_losses_and_validation(places: Places) -> None:
    folder = train(places, options(run="main", steps=10))
    records = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    assert records[0]["loss"] == pytest.approx(9, abs=0.5), "as good as guessing among 8,192 tokens"
    assert records[-1]["validation_nats_per_token"] > records[-1]["validation_nats_per_byte"] > 0
    assert records[-1]["tokens"] == 10 * 2 * 128


def test_sigterm_ends_the_run_after_the_step() -> None:
    clock = Clock(minutes=60)
    with stopping(clock):
        assert not clock.is_over()
        threading.Timer(0, os.kill, (os.getpid(), signal.SIGTERM)).run()
        assert clock.is_over()


def test_an_exported_run_loads_like_any_other_model(places: Places, tmp_path: Path) -> None:
    train(places, options(run="main"))
    folder = tmp_path / "exported"
    export(places, "main", folder, averaged=False)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    words = AutoTokenizer.from_pretrained(folder)
    ids = words("def f():\n    return 1\n", return_tensors="pt")
    ours = Training(places, options(run="main")).model
    with torch.no_grad():
        torch.testing.assert_close(
            model(ids["input_ids"]).logits, ours(ids["input_ids"]), atol=5e-3, rtol=1e-2
        )
    assert "token_type_ids" not in ids
    chat = words.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert chat == "<|user|>\nhi<|end|>\n<|assistant|>\n"
    assert words.eos_token_id == 0


def test_the_shares_of_a_step_are_its_rows(packed: packing.Packed, words: Tokenizer) -> None:
    rows = Rows(Sampler(packed, words, Mixture()), plan.Phase(128, 4, Mixture()), 4, first=7, count=3)
    whole = rows[0]
    shares = [rows.share(7, share, 2) for share in range(2)]
    for part in (0, 1):
        assert torch.equal(torch.cat([share[part] for share in shares]), whole[part])


def test_two_processes_train_as_one_does(places: Places) -> None:
    script = f"""
from pathlib import Path
from training import plan
from training.model import SHAPES, Shape
from training.places import REPOSITORY, Places
from training.samples import Mixture, Sampler
from training.state import Options
from training.train import train
SHAPES["6m"] = Shape(hidden=32, layers=1, heads=2, kv_heads=1, feed_forward=48)
plan.PHASES["short"] = plan.Phase(128, 2, Mixture())
if __name__ == "__main__":
    train(Places(Path({str(places.home)!r})), Options(run="pair", steps=4, compile=False, device="cpu", processes=2))
"""
    file = places.home / "pair.py"
    file.write_text(script, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, str(file)], env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    train(places, options(run="alone"))
    alone, pair = weights(places, "alone"), weights(places, "pair")
    for name, value in alone.items():
        torch.testing.assert_close(value, pair[name], atol=2e-3, rtol=1e-2)
