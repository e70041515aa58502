"""The model families that CodeFace knows: fill-in-the-middle form, stop strings, chat format.

One table. What a checkpoint really is gets inferred from its config and tokenizer, see `codeface_lsp.models`;
`from_model_name` is for servers that tell nothing but a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Order = Literal["psm", "spm", "spm2", "none"]
"""prefix-suffix-middle; suffix-prefix-middle; `<pre><suf>S<mid>P` (Bavarian et al. 2022, appendix D); no FIM."""

MAX_STOPS = 4
"""Compatible servers may refuse more stop strings."""


@dataclass(frozen=True, slots=True)
class Fim:
    """Spelling of a family's fill-in-the-middle tokens and the orders that it was trained on, best for us first.

    A token is spelled as the tokenizer spells it: CodeLlama's are `▁<PRE>` and so on.
    """

    prefix: str = ""
    suffix: str = ""
    middle: str = ""
    orders: tuple[Order, ...] = ("none",)
    stop: tuple[str, ...] = ()
    file_separator: str | None = None
    """Special token in front of each file's path; without one, `file_heading` or a comment line names the file."""
    repository: str | None = None
    file_heading: str | None = None
    """Plain text in front of each file's path, for a family that has its own."""
    after_file: str = ""
    """Text between the end of one file and the marker of the next."""
    path_inside: bool = False
    """The current file's path is the first line of the prefix, not something in front of the FIM tokens."""
    always_path: bool = False
    """The current file's path is shown even when there is no extra context."""
    spaced_prefix: bool = False
    """The prefix was encoded with SentencePiece's dummy space, the suffix without."""
    line_after_middle: bool = False
    """Prefix-first only: the cursor's line follows the middle token (EFIM), where an evaluation allows it."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family of models."""

    name: str
    fim: Fim = Fim()
    chat_format: str = "plain"
    needs_bos: bool = False


_STARCODER = Fim(
    prefix="<fim_prefix>",
    suffix="<fim_suffix>",
    middle="<fim_middle>",
    orders=("spm2", "psm"),
    stop=("<|endoftext|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
)
_QWEN = Fim(
    prefix="<|fim_prefix|>",
    suffix="<|fim_suffix|>",
    middle="<|fim_middle|>",
    orders=("psm",),
    stop=("<|endoftext|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
    file_separator="<|file_sep|>",
    repository="<|repo_name|>",
    after_file="\n",
)
_DEEPSEEK = Fim(
    prefix="<｜fim▁begin｜>",
    suffix="<｜fim▁hole｜>",
    middle="<｜fim▁end｜>",
    orders=("psm",),
    stop=("<｜end▁of▁sentence｜>", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
)

_TABLE = (
    Family(
        "codeface-tiny",
        Fim(
            prefix="<fim_prefix>",
            suffix="<fim_suffix>",
            middle="<fim_middle>",
            orders=("spm2", "psm"),
            stop=("<|endoftext|>", "<file_sep>", "<fim_prefix>"),
            file_separator="<file_sep>",
            repository="<repo_name>",
            always_path=True,
        ),
        chat_format="codeface",
    ),
    Family(
        "codellama",
        Fim(
            prefix="▁<PRE>",
            suffix="▁<SUF>",
            middle="▁<MID>",
            orders=("spm2", "psm"),
            stop=("<EOT>",),
            spaced_prefix=True,
        ),
        chat_format="llama2",
        needs_bos=True,
    ),
    Family("codellama-70b", chat_format="codellama-70b", needs_bos=True),
    Family("starcoder", _STARCODER, chat_format="starchat"),
    Family(
        "starcoder2",
        Fim(
            prefix="<fim_prefix>",
            suffix="<fim_suffix>",
            middle="<fim_middle>",
            orders=("spm2", "psm"),
            stop=("<file_sep>", "<|endoftext|>", "<fim_prefix>"),
            file_separator="<file_sep>",
            repository="<repo_name>",
            path_inside=True,
        ),
        chat_format="starcoder2",
    ),
    Family(
        "santacoder",
        Fim(
            prefix="<fim-prefix>",
            suffix="<fim-suffix>",
            middle="<fim-middle>",
            orders=("spm2", "psm"),
            stop=("<|endoftext|>",),
        ),
    ),
    Family("qwen2.5-coder", _QWEN, chat_format="chatml"),
    Family(
        "codeqwen1.5",
        Fim(
            prefix="<fim_prefix>",
            suffix="<fim_suffix>",
            middle="<fim_middle>",
            orders=("psm",),
            stop=("<|endoftext|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
        ),
        chat_format="chatml",
    ),
    Family("deepseek-coder", _DEEPSEEK, chat_format="deepseek-coder", needs_bos=True),
    Family("deepseek-coder-v2", _DEEPSEEK, chat_format="deepseek-v2", needs_bos=True),
    Family(
        "codegemma",
        Fim(
            prefix="<|fim_prefix|>",
            suffix="<|fim_suffix|>",
            middle="<|fim_middle|>",
            orders=("psm",),
            stop=("<|file_separator|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
            file_separator="<|file_separator|>",
        ),
        chat_format="gemma",
        needs_bos=True,
    ),
    Family(
        "granite",
        Fim(
            prefix="<fim_prefix>",
            suffix="<fim_suffix>",
            middle="<fim_middle>",
            orders=("psm",),
            stop=("<|endoftext|>",),
        ),
        chat_format="granite-code",
    ),
    Family(
        "codestral",
        Fim(
            prefix="[PREFIX]",
            suffix="[SUFFIX]",
            orders=("spm",),
            stop=("\n+++++ ", "[SUFFIX]", "[PREFIX]"),
            file_heading="+++++ ",
            after_file="\n",
            spaced_prefix=True,
        ),
        chat_format="mistral",
        needs_bos=True,
    ),
    Family(
        "mellum",
        Fim(
            prefix="<fim_prefix>",
            suffix="<fim_suffix>",
            middle="<fim_middle>",
            orders=("spm",),
            stop=("<|endoftext|>", "<filename>"),
            file_separator="<filename>",
            after_file="\n",
            always_path=True,
        ),
    ),
    Family(
        "seed-coder",
        Fim(
            prefix="<[fim-prefix]>",
            suffix="<[fim-suffix]>",
            middle="<[fim-middle]>",
            orders=("spm",),
            stop=("<[end▁of▁sentence]>",),
        ),
    ),
    Family(
        "stable-code",
        Fim(
            prefix="<fim_prefix>",
            suffix="<fim_suffix>",
            middle="<fim_middle>",
            orders=("psm",),
            stop=("<|endoftext|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
        ),
    ),
    Family(
        "refact",
        Fim(
            prefix="<fim_prefix>",
            suffix="<fim_suffix>",
            middle="<fim_middle>",
            orders=("spm",),
            stop=("<|endoftext|>",),
        ),
        chat_format="refact",
    ),
    Family("llama2", chat_format="llama2", needs_bos=True),
    Family("llama3", chat_format="llama3", needs_bos=True),
    Family("tinyllama", chat_format="zephyr", needs_bos=True),
    Family("mistral", chat_format="mistral", needs_bos=True),
    Family("qwen", chat_format="chatml"),
    Family("gemma", chat_format="gemma", needs_bos=True),
    Family("gpt2"),
    Family("gpt-neo"),
    Family("phi2", chat_format="phi2"),
    Family("phi3", chat_format="phi3", needs_bos=True),
    Family("falcon", chat_format="falcon"),
    Family("bloom"),
    Family("opt", needs_bos=True),
    Family("t5"),
    Family("bert"),
    Family("roberta"),
    Family("plain"),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _TABLE}
"""Every family by name; `plain` is a model without FIM and without a chat format of its own."""

_NAMES: tuple[tuple[str, str], ...] = (
    (r"codeface", "codeface-tiny"),
    (r"code-?llama.*70b", "codellama-70b"),
    (r"code-?llama.*(34b|python)", "llama2"),
    (r"code-?llama", "codellama"),
    (r"starcoder-?2", "starcoder2"),
    (r"starcoder|starchat", "starcoder"),
    (r"santacoder", "santacoder"),
    (r"codeqwen", "codeqwen1.5"),
    (r"qwen[\d.]*-?coder", "qwen2.5-coder"),
    (r"qwen", "qwen"),
    (r"deepseek-?coder-?v2", "deepseek-coder-v2"),
    (r"deepseek-?coder", "deepseek-coder"),
    (r"codegemma", "codegemma"),
    (r"gemma", "gemma"),
    (r"granite.*code|granite-3\.3", "granite"),
    (r"mamba", "plain"),
    (r"codestral", "codestral"),
    (r"mellum", "mellum"),
    (r"seed-?coder", "seed-coder"),
    (r"stable-?code", "stable-code"),
    (r"refact", "refact"),
    (r"tiny-?llama|zephyr", "tinyllama"),
    (r"llama-?3", "llama3"),
    (r"llama-?2", "llama2"),
    (r"mistral|mixtral", "mistral"),
    (r"phi-?2", "phi2"),
    (r"phi-?3", "phi3"),
    (r"falcon", "falcon"),
    (r"bloom", "bloom"),
    (r"gpt-?neo", "gpt-neo"),
    (r"gpt-?2", "gpt2"),
    (r"\bopt-", "opt"),
    (r"t5", "t5"),
)


def from_model_name(name: str) -> Family:
    """The family that a model's name speaks of, for servers that tell nothing else; `plain` if it speaks of none."""
    lowered = name.lower()
    return next(
        (FAMILIES[family] for pattern, family in _NAMES if re.search(pattern, lowered)), FAMILIES["plain"]
    )
