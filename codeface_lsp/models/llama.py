"""A checkpoint of the Llama shape read without transformers, whose import alone takes longer than the rest of a start.

The modules have the names that transformers gives them, and compute nothing themselves: the fused runner takes their
weights. Whoever needs transformers' own model (padded batches) gets it over the same tensors from `Llama.whole`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from safetensors import safe_open

from codeface_lsp.models.checkpoint import Checkpoint

_CLASSES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM"}


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """What the config.json says, with the defaults of transformers."""

    model_type: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    attention_bias: bool
    output_bias: bool
    mlp_bias: bool
    tie_word_embeddings: bool
    hidden_act: str = "silu"

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> LlamaConfig:
        """From a config that `reads` accepted."""
        heads = int(config["num_attention_heads"])
        kind = str(config["model_type"])
        # Only Llama's biases are a matter of its config; Qwen2 has them on queries, keys and values.
        attention_bias, mlp_bias = (
            kind == "llama" and bool(config.get(key)) for key in ("attention_bias", "mlp_bias")
        )
        return cls(
            model_type=kind,
            vocab_size=int(config["vocab_size"]),
            hidden_size=int(config["hidden_size"]),
            intermediate_size=int(config["intermediate_size"]),
            num_hidden_layers=int(config["num_hidden_layers"]),
            num_attention_heads=heads,
            num_key_value_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
            max_position_embeddings=int(config["max_position_embeddings"]),
            rms_norm_eps=float(config["rms_norm_eps"]),
            rope_theta=float(_rope(config).get("rope_theta") or config.get("rope_theta") or 10_000.0),
            attention_bias=attention_bias or kind == "qwen2",
            output_bias=attention_bias,
            mlp_bias=mlp_bias,
            tie_word_embeddings=bool(config.get("tie_word_embeddings", False)),
        )


_NEEDED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "rms_norm_eps",
)


def reads(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint has exactly the shape that is read here; all others are left to transformers."""
    config = checkpoint.config
    return (
        checkpoint.model_type in _CLASSES
        and checkpoint.gguf is None
        and checkpoint.quantization is None
        and config.get("architectures") == [_CLASSES[checkpoint.model_type]]
        and all(config.get(key) is not None for key in _NEEDED)
        and config.get("hidden_act", "silu") == "silu"
        and _rope(config).get("rope_type", _rope(config).get("type", "default")) == "default"
        and float(config.get("partial_rotary_factor") or _rope(config).get("partial_rotary_factor") or 1) == 1
        and set(config.get("layer_types") or ["full_attention"]) == {"full_attention"}
        and not _slides(config)
        and (checkpoint.folder / "tokenizer.json").is_file()
    )


def _slides(config: Mapping[str, Any]) -> bool:
    """Whether there may be a sliding window: what a config leaves out has another default in each model type."""
    if config["model_type"] == "llama":
        return False
    return config.get("use_sliding_window") is not False and config.get("sliding_window", 0) is not None


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    told = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return told if isinstance(told, Mapping) else {}


class RotaryEmbedding(torch.nn.Module):
    """Angles of the rotary embedding (Su et al. 2021)."""

    rope_type = "default"
    inv_freq: torch.Tensor

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        steps = torch.arange(0, config.head_dim, 2, dtype=torch.int64).float() / config.head_dim
        self.register_buffer("inv_freq", 1.0 / config.rope_theta**steps, persistent=False)

    def forward(self, like: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of shape (1, positions, head size), in the type of `like`."""
        angles = positions[..., None].float() * self.inv_freq
        both = torch.cat((angles, angles), dim=-1)
        return both.cos().to(like.dtype), both.sin().to(like.dtype)


class Llama(torch.nn.Module):
    """Weights of a Llama, Qwen2 or Mistral model under their names in the checkpoint, on the meta device at first."""

    def __init__(self, config: LlamaConfig, raw: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = config
        self._raw = dict(raw)
        hidden = config.hidden_size
        body = torch.nn.Module()
        # With weights given, nothing is drawn at random: on the meta device that would import torch's compiler.
        empty = torch.empty(config.vocab_size, hidden, device="meta")
        body.embed_tokens = torch.nn.Embedding(config.vocab_size, hidden, _weight=empty)
        body.layers = torch.nn.ModuleList(_layer(config) for _ in range(config.num_hidden_layers))
        body.norm = _norm(config)
        body.rotary_emb = RotaryEmbedding(config)
        self.model = body
        self.lm_head = _linear(hidden, config.vocab_size, bias=False)

    @cached_property
    def whole(self) -> Any:
        """transformers' own model over the same weights, whatever became of the linear layers since."""
        import transformers

        config = transformers.AutoConfig.for_model(**self._raw)
        with torch.device("meta"):
            twin = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
        for name, module in self.named_modules():
            if isinstance(module, torch.nn.RMSNorm):
                twin.get_submodule(name).weight = module.weight
            elif name and not list(module.children()) and not isinstance(module, RotaryEmbedding):
                twin.set_submodule(name, module)
        twin.model.rotary_emb = type(twin.model.rotary_emb)(config)
        return twin.eval().requires_grad_(False)


def _layer(config: LlamaConfig) -> torch.nn.Module:
    hidden, size = config.hidden_size, config.head_dim
    queries, keys = config.num_attention_heads * size, config.num_key_value_heads * size
    layer, attention, mlp = torch.nn.Module(), torch.nn.Module(), torch.nn.Module()
    attention.q_proj = _linear(hidden, queries, bias=config.attention_bias)
    attention.k_proj = _linear(hidden, keys, bias=config.attention_bias)
    attention.v_proj = _linear(hidden, keys, bias=config.attention_bias)
    attention.o_proj = _linear(queries, hidden, bias=config.output_bias)
    mlp.gate_proj = _linear(hidden, config.intermediate_size, bias=config.mlp_bias)
    mlp.up_proj = _linear(hidden, config.intermediate_size, bias=config.mlp_bias)
    mlp.down_proj = _linear(config.intermediate_size, hidden, bias=config.mlp_bias)
    layer.self_attn, layer.mlp = attention, mlp
    layer.input_layernorm = _norm(config)
    layer.post_attention_layernorm = _norm(config)
    return layer


def _linear(inputs: int, outputs: int, *, bias: bool) -> torch.nn.Linear:
    return torch.nn.Linear(inputs, outputs, bias=bias, device="meta")


def _norm(config: LlamaConfig) -> torch.nn.RMSNorm:
    return torch.nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps, device="meta")


def read(checkpoint: Checkpoint, dtype: torch.dtype) -> tuple[Llama, dict[str, list[str]]]:
    """The model of a checkpoint that `reads`, and which of its tensors are missing or of another shape."""
    model = Llama(LlamaConfig.read(checkpoint.config), checkpoint.config)
    state: dict[str, torch.Tensor] = {}
    for file in checkpoint.weights:
        with safe_open(str(file), framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (not a mapping)
                state[name] = tensors.get_tensor(name).to(dtype)
    if model.config.tie_word_embeddings:
        state["lm_head.weight"] = state.get("model.embed_tokens.weight", torch.empty(0))
    wanted = model.state_dict()
    wrong = [name for name, tensor in state.items() if name in wanted and tensor.shape != wanted[name].shape]
    missing = [name for name in wanted if name not in state]
    if not missing and not wrong:
        model.load_state_dict(state, strict=False, assign=True)
    return model.eval().requires_grad_(False), {"missing_keys": missing, "mismatched_keys": wrong}
