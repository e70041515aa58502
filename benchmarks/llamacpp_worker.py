"""llama.cpp in a process of its own, measured on command like CodeFace's engine in `inference/bench_worker.py`.

    PYTHON llamacpp_worker.py CHECKPOINT THREADS

Runs in any Python that has llama-cpp-python, gguf and safetensors; nothing of CodeFace is imported. `CHECKPOINT` is the
folder of a Llama in Hugging Face form, which is written as GGUF beside it (q8_0, norms in float32, no vocabulary) once.
"""

from __future__ import annotations

import ctypes
import json
import random
import sys
import time
from itertools import count
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from safetensors.numpy import load_file

PROMPT_TOKENS = 1000
DECODED_TOKENS = 33
CONTEXT = 2048


def converted(folder: Path) -> Path:
    """The checkpoint as GGUF."""
    file = folder / "q8_0.gguf"
    if file.exists():
        return file
    config = json.loads((folder / "config.json").read_text())
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for shard in sorted(folder.glob("*.safetensors")):
        for name, value in load_file(shard).items():
            called = names.get_name(name, try_suffixes=(".weight",))
            _add(writer, called, name, value.astype(np.float32), heads, kv_heads)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add(
    writer: gguf.GGUFWriter, called: str, name: str, value: np.ndarray, heads: int, kv_heads: int
) -> None:
    if name.endswith(("q_proj.weight", "k_proj.weight")):  # llama.cpp rotates neighbours, transformers halves
        turns = heads if name.endswith("q_proj.weight") else kv_heads
        value = value.reshape(turns, 2, -1, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
    if value.ndim == 1:
        writer.add_tensor(called, value)
        return
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(called, gguf.quants.quantize(value, kind), raw_dtype=kind)


class LlamaCpp:
    """llama.cpp through its C interface: token ids in, logits out."""

    def __init__(self, file: Path, threads: int) -> None:
        llama_cpp.llama_log_set(_silent, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(
            str(file).encode(), llama_cpp.llama_model_default_params()
        )
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = CONTEXT
        parameters.n_batch = CONTEXT
        parameters.n_threads = parameters.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, parameters)
        self._memory = llama_cpp.llama_get_memory(self._context)
        vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._size = llama_cpp.llama_vocab_n_tokens(vocabulary)
        self._seeds = count()
        self._typed = self._prompt(1_000_000)
        self._evaluate(self._typed, 0)

    def _prompt(self, seed: int) -> list[int]:
        chance = random.Random(seed)
        return [chance.randrange(10, self._size) for _ in range(PROMPT_TOKENS)]

    def _evaluate(self, tokens: list[int], start: int) -> int:
        """Evaluate tokens behind the first `start` that the cache keeps; the most likely next one."""
        llama_cpp.llama_memory_seq_rm(self._memory, 0, start, -1)
        given = (llama_cpp.llama_token * len(tokens))(*tokens)
        if llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(given, len(tokens))):
            raise RuntimeError("llama_decode failed")
        row = llama_cpp.llama_get_logits_ith(self._context, -1)
        return int(np.ctypeslib.as_array(row, (self._size,)).argmax())

    def cold(self) -> float:
        """A prompt never seen before, to its first token."""
        tokens = self._prompt(next(self._seeds))
        began = time.perf_counter()
        self._evaluate(tokens, 0)
        return time.perf_counter() - began

    def key(self) -> float:
        """One token more on a prompt that is in the cache."""
        self._evaluate(self._typed, 0)
        began = time.perf_counter()
        self._evaluate([10 + next(self._seeds) % 5000], PROMPT_TOKENS)
        return time.perf_counter() - began

    def decode(self) -> float:
        """Per token, between the first and the last."""
        token = self._evaluate(self._typed, 0)
        began = time.perf_counter()
        for step in range(DECODED_TOKENS - 1):
            token = self._evaluate([token], PROMPT_TOKENS + step)
        return (time.perf_counter() - began) / (DECODED_TOKENS - 1)


@llama_cpp.llama_log_callback
def _silent(level: int, text: bytes, data: object) -> None:
    pass


def main(folder: str, threads: str) -> None:
    """Answer measurements until standard input ends."""
    made = LlamaCpp(converted(Path(folder)), int(threads))
    print("ready", flush=True)
    for line in sys.stdin:
        print(getattr(made, line.strip())(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
