"""Quantised weights, on whatever this machine can run: bitsandbytes on the CPU, and GGUF."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.inference import batch
from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.types import GenerationRequest
from codeface_lsp.models import placement
from codeface_lsp.models.loader import LoadOptions, load
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings

CPU = EngineSettings(device="cpu")
PROMPT = "def add(first, second):\n    return"


@pytest.fixture(scope="module")
def wide(build_checkpoint: Callable[..., Path]) -> Path:
    """Wide enough for blocks of 64 and for rows that vectors need."""
    return build_checkpoint("llama", hidden_size=256, intermediate_size=512, num_hidden_layers=2)


def logits(model: LoadedModel) -> torch.Tensor:
    with torch.inference_mode():
        ids = torch.tensor([model.tokenizer.encode(PROMPT)], device=model.device)
        result: torch.Tensor = batch.whole(model).model(ids).logits[0, -1].float().cpu()
        return result


def agreement(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


@pytest.mark.parametrize(
    ("quantization", "kind", "least"), [("8bit", "Linear8bitLt", 0.98), ("4bit", "Linear4bit", 0.8)]
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore:MatMul8bitLt")
def test_bitsandbytes_on_a_cpu(wide: Path, quantization: str, kind: str, least: float) -> None:
    whole = load(wide, "completion", CPU)
    model = load(wide, "completion", CPU, LoadOptions(quantization=quantization))
    layer = model.model.model.layers[0].mlp.up_proj
    assert type(layer).__name__ == kind
    assert model.quantization == quantization
    assert model.memory_bytes < 0.6 * whole.memory_bytes
    assert agreement(logits(model), logits(whole)) > least


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore:MatMul8bitLt")
async def test_the_engine_generates_with_quantised_weights(wide: Path, quantization: str) -> None:
    model = load(wide, "completion", CPU, LoadOptions(quantization=quantization))
    prompt = model.tokenizer.encode(PROMPT)
    engine = Engine(EngineSettings(device="cpu", mixture=False))
    request = GenerationRequest(prompt=prompt, max_tokens=8)
    deltas = [delta async for delta in engine.generate(model, request)]
    await engine.aclose()
    tokens = [token.token_id for delta in deltas for token in delta.tokens]
    ids = torch.tensor([prompt])
    mask = torch.ones_like(ids)
    reference = model.model.generate(
        ids, attention_mask=mask, max_new_tokens=8, do_sample=False, pad_token_id=4
    )
    assert tokens[:4] == reference[0, len(prompt) :].tolist()[:4]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_four_bits_are_nf4_with_double_quantisation(wide: Path) -> None:
    model = load(wide, "completion", CPU, LoadOptions(quantization="4bit"))
    state = model.model.model.layers[0].mlp.up_proj.weight.quant_state
    assert state.quant_type == "nf4"
    assert state.nested


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_setting_quantises_models_without_an_entry(wide: Path) -> None:
    model = load(wide, "completion", EngineSettings(device="cpu", quantization="4bit"))
    assert model.quantization == "4bit"


@pytest.mark.gpu
@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_bitsandbytes_on_a_gpu(wide: Path, quantization: str) -> None:
    whole = load(wide, "completion", EngineSettings(device="cuda"))
    model = load(wide, "completion", EngineSettings(device="cuda", quantization=quantization))
    assert {p.device.type for p in model.model.parameters()} == {"cuda"}
    assert model.memory_bytes < 0.8 * whole.memory_bytes
    assert agreement(logits(model), logits(whole)) > 0.8


@pytest.mark.gpu
def test_what_does_not_fit_the_gpu_spills_over(
    wide: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reference = logits(load(wide, "completion", EngineSettings(device="cuda")))
    real = placement.free_bytes
    monkeypatch.setattr(placement, "free_bytes", lambda d: 1_000_000 if d.type == "cuda" else real(d))
    model = load(wide, "completion", EngineSettings(offload_folder=str(tmp_path)))
    assert agreement(logits(model), reference) > 0.99


@pytest.fixture(scope="module")
def gguf_file(wide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wide Llama as a GGUF file, written as llama.cpp's converter writes it."""
    import gguf

    model = load(wide, "completion", CPU)
    config, tokenizer = model.model.config, model.tokenizer
    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    _write_tokenizer(writer, wide, config.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.model.state_dict().items():
        value = _gguf_tensor(name, tensor, config.num_attention_heads, config.num_key_value_heads)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert tokenizer.vocab_size
    return file


def _write_tokenizer(writer: object, folder: Path, size: int) -> None:
    import json

    import gguf

    assert isinstance(writer, gguf.GGUFWriter)
    spec = json.loads((folder / "tokenizer.json").read_text())
    by_id = {i: token for token, i in spec["model"]["vocab"].items()}
    special = {t["id"] for t in spec["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([by_id.get(i, f"<unused{i}>") for i in range(size)])
    writer.add_token_types([3 if i in special or i not in by_id else 1 for i in range(size)])
    writer.add_token_merges([" ".join(m) for m in spec["model"]["merges"]])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)


def _gguf_tensor(name: str, tensor: torch.Tensor, heads: int, kv_heads: int) -> np.ndarray:
    if ".q_proj" in name or ".k_proj" in name:
        count = heads if ".q_proj" in name else kv_heads
        rows = tensor.reshape(count, 2, tensor.shape[0] // count // 2, tensor.shape[1])
        tensor = rows.swapaxes(1, 2).reshape(tensor.shape)
    return tensor.float().contiguous().numpy()


def test_a_gguf_file_is_read_and_dequantised(wide: Path, gguf_file: Path) -> None:
    reference = load(wide, "completion", CPU)
    model = load(gguf_file, "completion", CPU)
    assert model.tokenizer.encode(PROMPT) == reference.tokenizer.encode(PROMPT)
    assert agreement(logits(model), logits(reference)) > 0.9999
    assert model.dtype is torch.float32
    assert model.context_length == 256
    assert model.tokenizer.eos_ids == {0}
    assert model.parameters == reference.parameters


def test_a_gguf_file_that_does_not_fit_when_dequantised_is_refused(
    gguf_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "free_bytes", lambda device: 1_000_000)
    with pytest.raises(ModelLoadError, match="would fit"):
        load(gguf_file, "completion", CPU)
