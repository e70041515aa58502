"""What can be told of a model without loading it: where it lies, how large it is, whether it is in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.models import hub
from codeface_lsp.models.checkpoint import Checkpoint, open_checkpoint
from codeface_lsp.models.registry import ModelEntry
from codeface_lsp.models.types import LoadedModel, Role

State = Literal["available", "incomplete", "downloaded", "loaded"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model, for lists and `info`; bytes where it says bytes."""

    name: str
    source: str
    description: str
    roles: tuple[Role, ...]
    state: State
    problem: str = ""
    """Why it cannot be loaded as it lies on the disk."""
    path: str | None = None
    architecture: str | None = None
    family: str | None = None
    parameters: int | None = None
    disk_bytes: int | None = None
    download_gb: float | None = None
    memory_bytes: int | None = None
    device: str | None = None
    dtype: str | None = None
    quantization: str | None = None
    context_length: int | None = None
    chat_trained: bool | None = None
    fim_orders: tuple[str, ...] = ()
    licence: str = ""
    gated: bool = False
    default_for: tuple[Role, ...] = ()
    fallback: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As it is sent over HTTP."""
        return asdict(self)


def describe(
    entry: ModelEntry, *, loaded: LoadedModel | None = None, default_for: Sequence[Role] = ()
) -> ModelInfo:
    """Gather what is known; reads file headers, never weights."""
    path = entry.local or hub.local_folder(entry.model_name, entry.revision)
    if path is not None and entry.gguf_file:
        path = path / entry.gguf_file
    checkpoint, problem = _checkpoint(path)
    state: State = (
        "loaded" if loaded else "downloaded" if checkpoint else "incomplete" if path else "available"
    )
    return ModelInfo(
        name=entry.name,
        source=entry.model_name,
        description=entry.description,
        roles=tuple(entry.roles),
        state=state,
        problem=problem,
        path=str(path) if path else None,
        architecture=(checkpoint.model_type if checkpoint else None) or entry.model_type,
        family=loaded.family.name if loaded else entry.family,
        parameters=(loaded.parameters if loaded else checkpoint.parameters if checkpoint else None) or None,
        disk_bytes=sum(f.stat().st_size for f in checkpoint.weights) if checkpoint else None,
        download_gb=entry.size_gb,
        memory_bytes=loaded.memory_bytes if loaded else None,
        device=str(loaded.device) if loaded else entry.device,
        dtype=str(loaded.dtype).removeprefix("torch.") if loaded else entry.dtype,
        quantization=loaded.quantization if loaded else entry.quantization,
        context_length=loaded.context_length if loaded else entry.max_context_length,
        chat_trained=loaded.chat_trained if loaded else None,
        fim_orders=loaded.family.fim.orders if loaded else (),
        licence=entry.licence,
        gated=entry.gated,
        default_for=tuple(default_for),
        fallback=tuple(entry.fallback),
        defaults=dict(entry.defaults),
    )


def _checkpoint(path: Path | None) -> tuple[Checkpoint | None, str]:
    if path is None:
        return None, ""
    try:
        return open_checkpoint(path), ""
    except ModelLoadError as error:
        return None, error.message
