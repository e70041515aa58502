"""The loader on real checkpoints, and on every kind of broken one."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.types import GenerationRequest
from codeface_lsp.models import placement
from codeface_lsp.models.loader import LoadOptions, load
from codeface_lsp.settings import EngineSettings

CPU = EngineSettings(device="cpu")
Checkpoint = Callable[[str], Path]


@pytest.fixture
def copy(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    """A tiny Llama that a test may break."""
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint("llama"), folder)
    return folder


def refused(path: Path | str, settings: EngineSettings = CPU, **options: Any) -> ModelLoadError:
    with pytest.raises(ModelLoadError) as caught:
        load(path, "completion", settings, LoadOptions(**options))
    assert "\n" not in caught.value.message
    assert caught.value.message.endswith(".")
    return caught.value


def edit(file: Path, **changes: Any) -> None:
    data = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**data, **changes}))


def test_what_is_loaded_says_what_it_is(checkpoint: Checkpoint) -> None:
    model = load(
        checkpoint("starcoder2"), "completion", CPU, LoadOptions(name="mine", defaults={"temperature": 0})
    )
    assert (model.name, model.role, model.source) == ("mine", "completion", str(checkpoint("starcoder2")))
    assert model.family.name == "starcoder2"
    assert model.context_length == 256
    assert model.device.type == "cpu" and model.dtype is torch.float32
    assert model.parameters == sum(p.numel() for p in model.model.parameters())
    assert model.memory_bytes >= model.parameters * 4
    assert model.tokenizer.eos_ids == {0}
    assert model.defaults == {"temperature": 0}
    assert not model.chat_trained
    assert not model.model.training
    assert not any(p.requires_grad for p in model.model.parameters())


def test_the_bundled_model_loads_as_any_other() -> None:
    from codeface_lsp import paths

    model = load(paths.shipped("bundled") / "codeface-tiny", "completion", CPU)
    assert model.family.name == "codeface-tiny"
    assert model.context_length == 2048


def test_a_file_beside_the_weights_says_what_the_model_was_made_for(copy: Path) -> None:
    edit(
        copy / "codeface.json",
        chat_trained=True,
        min_confidence=-1.5,
        family="starcoder",
        defaults={"top_k": 3},
    )
    model = load(copy, "completion", CPU, LoadOptions(defaults={"temperature": 0.1}))
    assert model.chat_trained
    assert model.min_confidence == -1.5
    assert model.family.name == "starcoder"
    assert model.defaults == {"top_k": 3, "temperature": 0.1}


def test_a_chat_template_makes_a_model_one_that_chats(copy: Path) -> None:
    (copy / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert load(copy, "chat", CPU).chat_trained


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_dtype_is_the_one_asked_for(checkpoint: Checkpoint, dtype: str) -> None:
    model = load(checkpoint("llama"), "completion", CPU, LoadOptions(dtype=dtype))
    assert str(model.dtype) == f"torch.{dtype}"
    assert {str(p.dtype) for p in model.model.parameters()} == {f"torch.{dtype}"}


def test_flash_attention_falls_back_and_eager_is_kept(checkpoint: Checkpoint) -> None:
    flash = load(checkpoint("starcoder2"), "completion", CPU, LoadOptions(attention="flash_attention_2"))
    assert flash.model.config._attn_implementation == "sdpa"
    eager = load(checkpoint("llama"), "completion", CPU, LoadOptions(attention="eager"))
    assert eager.model.config._attn_implementation == "eager"


def test_a_sharded_checkpoint_loads(checkpoint: Checkpoint, tmp_path: Path) -> None:
    whole = load(checkpoint("llama"), "completion", CPU)
    folder = tmp_path / "sharded"
    shutil.copytree(checkpoint("llama"), folder)
    (folder / "model.safetensors").unlink()
    whole.model.whole.save_pretrained(folder, max_shard_size="50KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    sharded = load(folder, "completion", CPU)
    theirs = whole.model.state_dict()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in sharded.model.state_dict().items())


def test_a_missing_shard_is_incomplete(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    shutil.copytree(checkpoint("llama"), folder)
    (folder / "model.safetensors").unlink()
    load(checkpoint("llama"), "completion", CPU).model.whole.save_pretrained(folder, max_shard_size="50KB")
    next(folder.glob("*.safetensors")).unlink()
    error = refused(folder)
    assert error.kind == "incomplete" and "kept" in error.message


def test_a_shorter_context_may_be_asked_for_and_a_longer_one_not(checkpoint: Checkpoint) -> None:
    model = load(checkpoint("llama"), "completion", CPU, LoadOptions(max_context_length=64))
    assert model.context_length == 64
    error = refused(checkpoint("llama"), max_context_length=4096)
    assert error.kind == "context_too_long" and "256" in error.message and "4,096" in error.message


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere").kind == "not_found"


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    error = refused(tmp_path)
    assert error.kind == "not_a_model" and "config.json" in error.message


def test_weights_that_are_pickles(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x02")
    error = refused(copy)
    assert error.kind == "pickle_only" and "safetensors" in error.message


def test_no_weights_at_all(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert refused(copy).kind == "incomplete"


@pytest.mark.parametrize("how", ["truncated", "garbage", "empty", "huge header", "json"])
def test_a_damaged_file_is_found_before_it_is_loaded(copy: Path, how: str) -> None:
    file = copy / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(
        {
            "truncated": content[:-100],
            "garbage": os.urandom(2000),
            "empty": b"",
            "huge header": struct.pack("<Q", 2**62) + content[8:],
            "json": struct.pack("<Q", 4) + b"nope" + content[12:],
        }[how]
    )
    error = refused(copy)
    assert error.kind == "corrupted" and "download it again" in error.message


def test_weights_of_another_shape_than_the_config_says(copy: Path) -> None:
    edit(copy / "config.json", intermediate_size=96)
    assert refused(copy).kind == "weights_mismatch"


def test_weights_that_lack_a_layer(copy: Path) -> None:
    edit(copy / "config.json", num_hidden_layers=3, layer_types=["full_attention"] * 3)
    error = refused(copy)
    assert error.kind == "weights_mismatch" and "layers.2" in error.message


def test_a_tokenizer_of_another_model(copy: Path, checkpoint: Checkpoint, build_checkpoint: Any) -> None:
    small = build_checkpoint("llama", vocab_size=300)
    shutil.copy(copy / "tokenizer.json", small / "tokenizer.json")
    error = refused(small)
    assert error.kind == "tokenizer_mismatch" and "300" in error.message


def test_no_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    assert refused(copy).kind == "tokenizer_missing"


def test_an_architecture_that_nobody_knows(copy: Path) -> None:
    edit(copy / "config.json", model_type="quantum")
    assert refused(copy).kind == "unknown_architecture"


def test_code_that_comes_with_a_checkpoint_is_not_run(copy: Path) -> None:
    (copy / "modeling_evil.py").write_text("raise SystemExit('ran')")
    edit(copy / "config.json", model_type="evil", auto_map={"AutoConfig": "modeling_evil.Config"})
    error = refused(copy)
    assert error.kind == "remote_code" and "trust_remote_code" in error.message


def test_an_encoder_writes_no_text(checkpoint: Checkpoint) -> None:
    error = refused(checkpoint("bert"))
    assert error.kind == "wrong_role" and "model.embedding" in error.message


def test_too_little_memory(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "free_bytes", lambda device: 100_000)
    error = refused(checkpoint("llama"), dtype="float32")
    assert error.kind == "out_of_memory" and "would fit" in error.message


async def test_what_does_not_fit_goes_to_disk_if_there_is_an_offload_folder(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = load(checkpoint("llama"), "completion", CPU)
    monkeypatch.setattr(placement, "free_bytes", lambda device: 170_000)
    spilled = load(
        checkpoint("llama"), "completion", CPU, LoadOptions(offload_folder=str(tmp_path), dtype="float32")
    )
    assert "disk" in spilled.model.hf_device_map.values()
    request = GenerationRequest(prompt=list(range(5, 25)), max_tokens=8)
    answers = []
    for model in (whole, spilled):
        engine = Engine(EngineSettings(device="cpu", int8=model is spilled, mixture=False))
        answers.append([t.token_id async for d in engine.generate(model, request) for t in d.tokens])
        await engine.aclose()
    assert answers[0] == answers[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="tells what a machine without a GPU says")
def test_a_gptq_checkpoint_on_a_cpu(copy: Path) -> None:
    edit(copy / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    error = refused(copy)
    assert error.kind == "quantization" and "4bit" in error.message


def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"not a model")
    assert refused(file).kind == "corrupted"
    assert refused(tmp_path / "other.gguf").kind == "not_found"


@pytest.mark.gpu
def test_auto_loads_on_the_gpu(checkpoint: Checkpoint) -> None:
    model = load(checkpoint("llama"), "completion", EngineSettings())
    assert model.device == torch.device("cuda:0")
    assert {p.device for p in model.model.parameters()} == {model.device}
