"""A checkpoint on disk, checked before anything is loaded: its files are there, whole, and not pickles.

The header of a safetensors file tells every tensor's shape, type and place, so the number of parameters and the
memory that they take are known, and a truncated file is found, without reading the weights.
"""

from __future__ import annotations

import importlib.util
import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codeface_lsp.errors import ModelLoadError

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_MAX_HEADER = 100 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Files of one checkpoint; `weights` in load order, `stored_bytes` of tensor data, `parameters` numbers."""

    folder: Path
    config: dict[str, Any]
    weights: tuple[Path, ...]
    stored_bytes: int = 0
    parameters: int = 0
    codeface: dict[str, Any] = field(default_factory=dict)
    """Content of an optional `codeface.json`: `family`, `chat_trained`, `min_confidence`, `defaults`."""
    generation: dict[str, Any] = field(default_factory=dict)
    gguf: str | None = None

    @property
    def model_type(self) -> str:
        """Architecture as the config names it."""
        return str(self.config.get("model_type", ""))

    @property
    def eos_ids(self) -> frozenset[int]:
        """Ends of text that the config and the generation config name."""
        found: set[int] = set()
        for source in (self.config, self.generation):
            value = source.get("eos_token_id")
            found.update([value] if isinstance(value, int) else value or [])
        return frozenset(found)

    @property
    def quantization(self) -> str | None:
        """Method that the weights are already quantised with (`gptq`, `awq`, ...)."""
        own = self.config.get("quantization_config")
        return str(own.get("quant_method")) if isinstance(own, dict) else None


def open_checkpoint(path: Path) -> Checkpoint:
    """Read and check the checkpoint in a folder, or the one in a `.gguf` file.

    Raises `ModelLoadError`: `not_found`, `not_a_model`, `pickle_only`, `incomplete`, `corrupted`.
    """
    if path.suffix.lower() == ".gguf":
        return _open_gguf(path)
    if not path.is_dir():
        raise ModelLoadError(f"There is no model folder {path}; check the path.", kind="not_found")
    config = _json(path / "config.json")
    if config is None:
        raise ModelLoadError(
            f"{path} has no config.json, so it is not a Hugging Face checkpoint; "
            "give the folder that holds config.json.",
            kind="not_a_model",
        )
    weights = _weight_files(path)
    sizes = [_read_header(file) for file in weights]
    return Checkpoint(
        folder=path,
        config=config,
        weights=weights,
        stored_bytes=sum(size for size, _ in sizes),
        parameters=sum(count for _, count in sizes),
        codeface=_json(path / "codeface.json") or {},
        generation=_json(path / "generation_config.json") or {},
    )


def _open_gguf(path: Path) -> Checkpoint:
    if not path.is_file():
        raise ModelLoadError(f"There is no file {path}; check the path.", kind="not_found")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise _corrupted(path)
    return Checkpoint(
        folder=path.parent,
        config={},
        weights=(path,),
        stored_bytes=path.stat().st_size,
        parameters=_gguf_parameters(path),
        gguf=path.name,
    )


def _gguf_parameters(path: Path) -> int:
    """Numbers in a GGUF file, 0 without the package that reads them."""
    if importlib.util.find_spec("gguf") is None:
        return 0
    from gguf import GGUFReader

    try:
        return sum(int(tensor.n_elements) for tensor in GGUFReader(str(path)).tensors)
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise _corrupted(path) from error


def _weight_files(folder: Path) -> tuple[Path, ...]:
    index = _json(folder / "model.safetensors.index.json")
    if index is not None:
        files = sorted({folder / str(name) for name in index.get("weight_map", {}).values()})
        missing = [file.name for file in files if not file.is_file()]
        if missing or not files:
            raise ModelLoadError(
                f"{folder} is incomplete ({', '.join(missing[:3]) or 'no weights'} missing); "
                "download it again: files that are complete are kept.",
                kind="incomplete",
            )
        return tuple(files)
    single = folder / "model.safetensors"
    if single.is_file():
        return (single,)
    others = sorted(folder.glob("*.safetensors"))
    if others:
        return tuple(others)
    if any(file.name != "training_args.bin" for pattern in _PICKLES for file in folder.glob(pattern)):
        raise ModelLoadError(
            f"{folder} has its weights only as pickle files, which can run code when opened; "
            "use a revision with .safetensors files or convert it.",
            kind="pickle_only",
        )
    raise ModelLoadError(
        f"{folder} has no weights (*.safetensors); download it again: files that are complete are kept.",
        kind="incomplete",
    )


def _read_header(file: Path) -> tuple[int, int]:
    """Bytes of tensor data and number of parameters; raises `ModelLoadError` unless the file is whole."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, _MAX_HEADER):
                raise ValueError("header longer than the file")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
        if 8 + length + end != size:
            raise ValueError(f"{size} bytes instead of {8 + length + end}")
        return end, sum(math.prod(entry["shape"]) for entry in header.values())
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise _corrupted(file) from error


def _corrupted(file: Path) -> ModelLoadError:
    return ModelLoadError(
        f"{file} is damaged or was not downloaded to its end; remove the model and download it again.",
        kind="corrupted",
    )


def _json(file: Path) -> dict[str, Any] | None:
    """Content of a JSON file, None if there is none; raises `ModelLoadError` if it cannot be read."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _corrupted(file) from error
    if not isinstance(data, dict):
        raise _corrupted(file)
    return data
