"""Writes a run's averaged weights as a Hugging Face model folder that plain `from_pretrained` loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from training import tokenizer
from training.model import NORM_EPS, ROPE_THETA, SHAPES, Shape
from training.places import Places
from training.state import CHECKPOINT, MADE

SHARD = "15MB"
SOURCES = "sources.json"
"""Who was read, in which version, under which licence, for which split, and how much."""


def llama_config(shape: Shape) -> LlamaConfig:
    """The Hugging Face configuration of a shape."""
    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context,
        rms_norm_eps=NORM_EPS,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=tokenizer.SPECIAL_TOKENS.index("<fim_pad>"),
    )


def to_hugging_face(weights: dict[str, torch.Tensor], shape: Shape) -> LlamaForCausalLM:
    """A `LlamaForCausalLM` with these weights, in fp32."""
    model = LlamaForCausalLM(llama_config(shape))
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise ValueError(f"the weights do not fit the architecture: {missing=} {unexpected=}")
    model.tie_weights()
    return model.eval()


def export(places: Places, run: str, folder: Path, *, averaged: bool = True) -> None:
    """Write the weights of `run` in fp16 with tokenizer and configuration to `folder`.

    A run that decayed its learning rate to zero is exported as it stands (`averaged=False`).
    """
    state = torch.load(places.run(run) / CHECKPOINT, map_location="cpu", weights_only=True)
    shape = SHAPES[state["size"]]
    model = to_hugging_face(state["average" if averaged else "model"], shape)
    model.generation_config = GenerationConfig(
        eos_token_id=[0, tokenizer.SPECIAL_TOKENS.index("<|end|>")], pad_token_id=model.config.pad_token_id
    )
    model.half().save_pretrained(folder, max_shard_size=SHARD)
    words = tokenizer.load(places.tokenizer)
    words.encode_special_tokens = False
    tokenizer.save(words, folder, context=shape.context)
    if places.licences.exists():
        shutil.copyfile(places.licences, folder / SOURCES)
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)
    # The two chat skills are trained, but a model of this size writes no answer that one may present.
    told = {"family": "codeface-tiny", "chat_trained": False}
    (folder / "codeface.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    made = {
        "parameters": model.num_parameters(),
        "size": state["size"],
        "run": run,
        "began": state["began"],
        "step": state["step"],
        "decay_steps": state["decay_done"],
        "averaged": averaged,
        "tokens": state["tokens"],
        "hours": round(state["seconds"] / 3600, 2),
    }
    (folder / MADE).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
