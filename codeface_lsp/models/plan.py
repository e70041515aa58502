"""What a load will do: the options of a registry entry, and the memory and device that it will take."""

from __future__ import annotations

from pathlib import Path

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.models import placement
from codeface_lsp.models.checkpoint import open_checkpoint
from codeface_lsp.models.loader import LoadOptions, place
from codeface_lsp.models.registry import ModelEntry
from codeface_lsp.settings import Settings


def options_of(entry: ModelEntry) -> LoadOptions:
    """What an entry says beyond the settings."""
    return LoadOptions(
        name=entry.name,
        family=entry.family,
        device=entry.device,
        dtype=entry.dtype,
        quantization=entry.quantization,
        attention=entry.attention,
        trust_remote_code=entry.trust_remote_code,
        max_context_length=entry.max_context_length,
        offload_folder=entry.offload_folder,
        defaults=entry.defaults,
    )


def estimate(folder: Path, settings: Settings, options: LoadOptions) -> tuple[int, str]:
    """Bytes that a model will take, and the device that it will go to. Raises `ModelLoadError`."""
    checkpoint = open_checkpoint(folder)
    where = place(checkpoint, settings.engine, options)
    return placement.bytes_needed(checkpoint.parameters, where.dtype, where.quantization), str(where.device)


def is_whole(path: Path | None) -> bool:
    """Whether a downloaded model is here with all its files; a damaged one counts, for loading it says so."""
    try:
        return path is not None and open_checkpoint(path) is not None
    except ModelLoadError as error:
        return error.kind not in ("not_found", "not_a_model", "incomplete")
