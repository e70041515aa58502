"""Checks a model as it lies on the disk, without loading it: files, tokenizer, family, what it would take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.models import hub, sizes
from codeface_lsp.models import tokenizer as tokenizers
from codeface_lsp.models.checkpoint import Checkpoint, open_checkpoint
from codeface_lsp.models.family import infer
from codeface_lsp.models.registry import ModelEntry


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    status: Literal["ok", "warning", "error"]
    message: str


def validate(entry: ModelEntry) -> Iterator[Check]:
    """Yield the checks of a model, the last of them the first error if there is one."""
    try:
        checkpoint = _open(entry)
        yield Check(
            "files",
            "ok",
            f"{len(checkpoint.weights)} weight file(s), {checkpoint.stored_bytes / 1e9:.2f} GB.",
        )
        yield Check("architecture", "ok", checkpoint.model_type or "as the GGUF file says")
        if checkpoint.gguf is None:
            yield from _tokenizer(entry, checkpoint)
        yield _memory(checkpoint)
    except ModelLoadError as error:
        yield Check(error.kind.replace("_", " "), "error", error.message)


def _open(entry: ModelEntry) -> Checkpoint:
    path = entry.local or hub.local_folder(entry.model_name, entry.revision)
    if path is None:
        raise ModelLoadError(
            f"{entry.name} is not on this machine; fetch it with `codeface models download {entry.name}`.",
            kind="not_downloaded",
        )
    return open_checkpoint(path / entry.gguf_file if entry.gguf_file else path)


def _tokenizer(entry: ModelEntry, checkpoint: Checkpoint) -> Iterator[Check]:
    rows = int(checkpoint.config.get("vocab_size") or 0)
    tokenizer = tokenizers.from_folder(checkpoint.folder, eos_ids=checkpoint.eos_ids, rows=rows)
    if rows and tokenizer.vocab_size > rows:
        raise ModelLoadError(
            f"The tokenizer knows {tokenizer.vocab_size:,} tokens and the weights {rows:,}; "
            "take both from one checkpoint.",
            kind="tokenizer_mismatch",
        )
    yield Check("tokenizer", "ok", f"{tokenizer.vocab_size:,} tokens.")
    pinned = entry.family or checkpoint.codeface.get("family")
    family = infer(checkpoint.config, tokenizer, name=f"{entry.name} {checkpoint.folder.name}", pinned=pinned)
    if family.fim.orders == ("none",):
        yield Check(
            "family",
            "warning",
            f"{family.name}: no fill-in-the-middle, completes from the prefix alone.",
        )
    else:
        yield Check("family", "ok", f"{family.name}: fills in the middle ({', '.join(family.fim.orders)}).")
    if tokenizer.chat_template is None:
        yield Check(
            "chat", "warning", f"No chat template; the format `{family.chat_format}` of its family is used."
        )
    else:
        yield Check("chat", "ok", "The tokenizer's own template.")


def _memory(checkpoint: Checkpoint) -> Check:
    if not checkpoint.parameters:
        return Check("memory", "warning", "Unknown: install the package gguf to read this file.")
    needs = ", ".join(
        f"{kind} {_readable(sizes.bytes_needed(checkpoint.parameters, kind))}"
        for kind in ("float32", "bfloat16", "8bit", "4bit")
    )
    return Check("memory", "ok", f"{checkpoint.parameters / 1e6:,.0f} million parameters need {needs}.")


def _readable(count: int) -> str:
    return f"{count / sizes.GIB:.1f} GiB" if count >= sizes.GIB else f"{count / 1024**2:.0f} MiB"
