"""Writes docs/MODELS.md from the tables in the code: `python -m codeface_lsp.models.documentation > docs/MODELS.md`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.models import quantization, registry
from codeface_lsp.models.registry import ModelEntry, Registry
from codeface_lsp.prompting.families import FAMILIES, Family
from codeface_lsp.prompting.fim import render_text

_ORDERS = {
    "psm": "prefix, suffix, middle",
    "spm": "suffix, prefix, middle",
    "spm2": "compatible suffix first",
}
_ENCODERS = {"bert", "roberta"}

_HEAD = """# Models

This file is written by `python -m codeface_lsp.models.documentation`; a test keeps it equal to the code.

Any model works that transformers can load from **safetensors**: name it by its hub id (`owner/name`), its folder, or a
`.gguf` file. What follows are the names that need no more typing, and the prompt forms that are known.

```sh
codeface models list                     # what there is, what is here, what is loaded
codeface models validate ./my-model      # check a folder without loading it
codeface models download starcoder2-3b
codeface models default starcoder2-3b    # use it for ghost text; --role chat, --role embedding
```

Your own names go into `models.yaml` beside your `config.yaml` (`codeface settings --path`):

```yaml
models:
  mine:
    model_name: /data/models/my-finetune   # or owner/name
    description: What it is good for.
    roles: [completion]
    family: starcoder2                     # only where it cannot be inferred
    quantization: 4bit
    fallback: [codeface-tiny]
aliases:
  small: mine
```

Pickle files are never opened. Code that comes with a checkpoint runs only if your own file says `trust_remote_code`.
A model that cannot be had falls back along its chain, with a notice. A hub model that is not on this machine is fetched
without asking only if your settings name it as a default; otherwise `codeface models download` fetches it.
"""

_NEEDS = {"8bit": "bitsandbytes", "4bit": "bitsandbytes", "gptq": "gptqmodel, optimum", "awq": "gptqmodel"}
_DEVICES = ("cpu", "cuda", "mps")
_DTYPES = """
`dtype: auto` is float32 on a CPU while that takes at most half of the free memory, else bfloat16; bfloat16 on CUDA;
float16 on an Apple GPU. On a CPU the engine holds linear weights in int8 (`engine.int8`) unless a model is quantised;
where the processor has VNNI, matrices of half a million to 32 million weights are multiplied by rows of 8 bits as well,
which takes a second copy of them (a row with outliers is not rounded, `codeface_lsp/inference/rounded.py`).
`4bit` is NF4 with double quantisation. A `.gguf` file is read by transformers, which dequantises it: it takes the
memory of its dtype, on any device; llama-server serves it as it is.
On one CUDA device the decode step of unquantised weights is replayed as a captured graph over static keys and values
(`engine.capture`); where it cannot be captured the log says so, and decoding goes on step by step.

With `device: auto` on a machine with CUDA, layers that do not fit go to memory, then to `offload_folder`; on a CPU,
with `offload_folder` set, to the disk. That is slow, and works.
FlashAttention is used where `flash_attn` is installed and asked for, else SDPA. What cannot be is refused with one
sentence that says what the model needs, what there is, and what would fit.
"""


def markdown(models: Registry) -> str:
    """The whole document."""
    parts = (_HEAD, _registry_table(models), _family_table(models), _prompt_table(), _device_table(), _DTYPES)
    return "".join(parts)


def _registry_table(models: Registry) -> str:
    names = ", ".join(f"`{alias}` is `{name}`" for alias, name in models.aliases.items())
    rows = [
        (
            f"`{entry.name}`",
            entry.model_name,
            ", ".join(entry.roles),
            f"{entry.size_gb:g} GB" if entry.size_gb else "-",
            entry.licence + (" (gated)" if entry.gated else ""),
            _joined(f"`{name}`" for name in entry.fallback),
        )
        for entry in models.entries.values()
    ]
    head = ("name", "source", "roles", "download", "licence", "falls back to")
    return f"\n## Registry\n\nAliases: {names}.\n\n{_table(head, rows)}"


def _family_table(models: Registry) -> str:
    rows = [
        (
            f"`{family.name}`",
            _joined(f"{order} ({_ORDERS[order]})" for order in family.fim.orders if order != "none"),
            family.chat_format if family.name not in _ENCODERS else "none: embeds",
            _joined(f"`{stop}`".replace("\n", "\\n") for stop in family.fim.stop),
            _quantizations(family, models),
            _joined(f"`{e.name}`" for e in models.entries.values() if _belongs(e, family)),
        )
        for family in FAMILIES.values()
    ]
    head = (
        "family",
        "fill-in-the-middle, best first",
        "chat format",
        "ends a completion",
        "quantisation",
        "names",
    )
    return (
        "\n## Families\n\nA family is inferred from a checkpoint's config and tokenizer, its name decides between "
        "look-alikes. A marker in a vocabulary does not yet mean that the model was trained on it: CodeLlama 34B, "
        "plain Qwen2.5 and newer Mistral models have them and complete from the prefix alone here. The chat format "
        f"counts where the tokenizer brings no template of its own.\n\n{_table(head, rows)}"
    )


def _quantizations(family: Family, models: Registry) -> str:
    """bitsandbytes quantises any linear layer, GPTQ and AWQ text generators; GGUF is what transformers can read."""
    found = ["none", "8bit", "4bit"]
    if family.name not in _ENCODERS:
        found += ["gptq", "awq"]
        if _architectures(family, models) & set(GGUF_SUPPORTED_ARCHITECTURES):
            found.append("gguf")
    return ", ".join(found)


def _architectures(family: Family, models: Registry) -> set[str]:
    named = {e.model_type for e in models.entries.values() if e.model_type and _belongs(e, family)}
    return named or {family.name.rstrip("0123456789.").replace("-", "_"), family.name}


def _device_table() -> str:
    def cell(method: str, device: str) -> str:
        stored = method if method in ("gptq", "awq") else None
        try:
            quantization.check(method, stored, torch.device(device), lambda package: True)
        except ModelLoadError:
            return "refused"
        return "yes"

    rows = [(f"`{m}`", _NEEDS[m], *(cell(m, device) for device in _DEVICES)) for m in quantization.METHODS]
    head = ("quantisation", "packages", "CPU", "CUDA", "Apple GPU")
    return f"\n## Quantisation and devices\n\n{_table(head, rows)}"


def _belongs(entry: ModelEntry, family: Family) -> bool:
    if entry.family is not None:
        return entry.family == family.name
    return (entry.model_type or "").replace("_", "-") == family.name


def _prompt_table() -> str:
    rows = []
    for family in FAMILIES.values():
        for order in family.fim.orders:
            if order == "none":
                continue
            text = render_text(
                family, prefix="P", suffix="S", extra=[("f.py", "X\n")], filename="m.py", order=order
            )
            bos = "BOS, " if family.needs_bos else ""
            rows.append(
                (f"`{family.name}`", order, bos + f"`{text}`".replace("\n", "\\n").replace("|", "\\|"))
            )
    return (
        "\n## Prompts\n\nHow the prefix `P` and the suffix `S` of `m.py` are shown with an excerpt `X` of `f.py`. "
        "What stands in a file never becomes one of these markers.\n\n"
        + _table(("family", "order", "prompt"), rows)
    )


def _joined(items: Iterable[str]) -> str:
    return ", ".join(items).replace("|", "\\|") or "-"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


if __name__ == "__main__":
    print(markdown(registry.read(Path("/nonexistent"))), end="")
