"""The architectures of the registry that transformers carries, as the tests of this folder go through them."""

from __future__ import annotations

DECODERS = (
    "gpt_bigcode",
    "starcoder2",
    "llama",
    "mistral",
    "qwen2",
    "gpt2",
    "gpt_neo",
    "phi",
    "stablelm",
    "falcon",
    "bloom",
    "opt",
    "gemma",
    "deepseek_v2",
)
GENERATORS = (*DECODERS, "t5")
ENCODERS = ("bert", "roberta")
