"""Loads one checkpoint into memory: safetensors only, checked first, with one clear sentence when it cannot be had."""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.models import llama
from codeface_lsp.models import placement as placing
from codeface_lsp.models import quantization as quantizing
from codeface_lsp.models import tokenizer as tokenizers
from codeface_lsp.models.checkpoint import Checkpoint, open_checkpoint
from codeface_lsp.models.family import infer
from codeface_lsp.models.memory import tensor_bytes
from codeface_lsp.models.placement import Placement
from codeface_lsp.models.types import LoadedModel, Role
from codeface_lsp.settings import EngineSettings

log = logging.getLogger(__name__)

_ENCODERS = ("bert", "roberta", "mpnet", "xlm-roberta", "distilbert", "electra", "modernbert", "nomic_bert")
_OPTIONAL = ("pooler.", "lm_head.", "cls.", "classifier.")
_DEFAULT_CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a registry entry says beyond the settings; None leaves the settings' value."""

    name: str = ""
    family: str | None = None
    device: str | None = None
    dtype: str | None = None
    quantization: str | None = None
    attention: str | None = None
    trust_remote_code: bool = False
    max_context_length: int | None = None
    offload_folder: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)


def load(
    source: str | Path, role: Role, settings: EngineSettings, options: LoadOptions | None = None
) -> LoadedModel:
    """Load the checkpoint in the folder (or `.gguf` file) `source` for `role`; blocks, so call it from a thread.

    Raises `ModelLoadError`; nothing stays in memory then.
    """
    options = options or LoadOptions()
    path = Path(source)
    checkpoint = open_checkpoint(path)
    name = options.name or path.name
    _check_role(checkpoint, role, name)
    placement = place(checkpoint, settings, options)
    placing.check_fits(name, checkpoint.parameters, placement)
    try:
        model, tokenizer = _read(checkpoint, role, placement, settings, options)
        context = _context_length(checkpoint, model.config, options, name)
    except ModelLoadError:
        gc.collect()
        raise
    except Exception as error:
        log.exception("loading %s failed", name)
        gc.collect()
        raise _explained(error, name, placement) from error
    config = model.config.to_dict() if checkpoint.gguf else checkpoint.config
    pinned = options.family or checkpoint.codeface.get("family")
    return LoadedModel(
        name=name,
        source=str(source),
        role=role,
        model=model,
        tokenizer=tokenizer,
        family=infer(config, tokenizer, name=f"{name} {path.name}", pinned=pinned),
        context_length=context,
        device=placement.device,
        dtype=placement.dtype,
        quantization=placement.quantization,
        memory_bytes=tensor_bytes(model),
        parameters=checkpoint.parameters or sum(p.numel() for p in model.parameters()),
        defaults={**checkpoint.codeface.get("defaults", {}), **options.defaults},
        chat_trained=bool(checkpoint.codeface.get("chat_trained", tokenizer.chat_template is not None)),
        min_confidence=checkpoint.codeface.get("min_confidence"),
        encoder_decoder=bool(getattr(model.config, "is_encoder_decoder", False)),
    )


def place(checkpoint: Checkpoint, settings: EngineSettings, options: LoadOptions) -> Placement:
    """Decide device, dtype, attention kernel and quantisation of a checkpoint."""
    wanted = options.device or settings.device
    offload = options.offload_folder or settings.offload_folder
    device = placing.pick_device(wanted)
    quantization = quantizing.check(
        options.quantization or (None if checkpoint.quantization else settings.quantization),
        checkpoint.quantization,
        device,
    )
    dtype = placing.pick_dtype(options.dtype or settings.dtype, device, checkpoint.parameters)
    may_spill = (wanted == "auto" and device.type == "cuda") or (offload is not None and device.type == "cpu")
    return Placement(
        device=device,
        dtype=dtype,
        attention=placing.pick_attention(options.attention or settings.attention, device),
        quantization=quantization,
        device_map="auto" if may_spill and _spills_over(checkpoint, device, dtype, quantization) else None,
        offload_folder=offload,
    )


def _spills_over(
    checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, quantization: str | None
) -> bool:
    needed = placing.bytes_needed(checkpoint.parameters, dtype, quantization)
    return needed > placing.free_bytes(device)


def _read(
    checkpoint: Checkpoint, role: Role, placement: Placement, settings: EngineSettings, options: LoadOptions
) -> tuple[Any, tokenizers.CheckpointTokenizer]:
    if _runs_fused(checkpoint, role, placement):
        config = llama.LlamaConfig.read(checkpoint.config)
        return _llama_weights(checkpoint, role, placement), _tokenizer(checkpoint, config)
    trust = settings.trust_remote_code or options.trust_remote_code
    config = _config(checkpoint, trust)
    if checkpoint.gguf:
        tokenizer = tokenizers.from_gguf(checkpoint.folder, checkpoint.gguf)
        return _weights(checkpoint, role, placement, config, trust), tokenizer
    tokenizer = _tokenizer(checkpoint, config)
    return _weights(checkpoint, role, placement, config, trust), tokenizer


def _tokenizer(checkpoint: Checkpoint, config: Any) -> tokenizers.CheckpointTokenizer:
    rows = int(getattr(config, "vocab_size", 0) or 0)
    tokenizer = tokenizers.from_folder(
        checkpoint.folder,
        eos_ids=checkpoint.eos_ids,
        bos_id=checkpoint.config.get("bos_token_id"),
        rows=rows,
    )
    if rows and tokenizer.vocab_size > rows:
        raise ModelLoadError(
            f"The tokenizer knows {tokenizer.vocab_size:,} tokens and the weights {rows:,}, so they do not belong "
            "together; take both from one checkpoint.",
            kind="tokenizer_mismatch",
        )
    return tokenizer


def _runs_fused(checkpoint: Checkpoint, role: Role, placement: Placement) -> bool:
    """Whether the fused runner will run it, which needs nothing of transformers."""
    plain = placement.quantization is None and placement.device_map is None and placement.attention == "sdpa"
    return role != "embedding" and placement.device.type == "cpu" and plain and llama.reads(checkpoint)


def _llama_weights(checkpoint: Checkpoint, role: Role, placement: Placement) -> llama.Llama:
    model, info = llama.read(checkpoint, placement.dtype)
    _check_keys(info, role, checkpoint)
    return model


def _config(checkpoint: Checkpoint, trust: bool) -> Any:
    from transformers import CONFIG_MAPPING, AutoConfig

    if checkpoint.gguf:
        _need_gguf()
        return AutoConfig.from_pretrained(str(checkpoint.folder), gguf_file=checkpoint.gguf)
    known = checkpoint.model_type in CONFIG_MAPPING
    if not known and "auto_map" not in checkpoint.config:
        raise ModelLoadError(
            f"The architecture `{checkpoint.model_type}` is not known to this version of transformers; "
            "upgrade transformers or choose another model.",
            kind="unknown_architecture",
        )
    if not known and not trust:
        raise ModelLoadError(
            f"`{checkpoint.model_type}` needs Python code that comes with the checkpoint; to run it, set "
            "trust_remote_code in the model's entry of your models.yaml.",
            kind="remote_code",
        )
    return AutoConfig.from_pretrained(str(checkpoint.folder), trust_remote_code=trust and not known)


def _weights(checkpoint: Checkpoint, role: Role, placement: Placement, config: Any, trust: bool) -> Any:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    arguments: dict[str, Any] = {
        "config": config,
        "dtype": placement.dtype,
        "attn_implementation": placement.attention,
        "trust_remote_code": trust and "auto_map" in checkpoint.config,
        "output_loading_info": True,
    }
    quantization = quantizing.config_for(placement.quantization, placement.dtype)
    if quantization is not None:
        arguments["quantization_config"] = quantization
    if placement.device_map is not None or placement.device.type != "cpu" or quantization is not None:
        arguments["device_map"] = placement.device_map or {"": str(placement.device)}
        if placement.offload_folder is not None:
            arguments["offload_folder"] = placement.offload_folder
        if placement.device_map == "auto":
            arguments["max_memory"] = placing.room(
                placement.device, offload=placement.offload_folder is not None
            )
    if checkpoint.gguf:
        arguments["gguf_file"] = checkpoint.gguf
    else:
        arguments["use_safetensors"] = True
    auto = _auto_class(transformers, role, config)
    try:
        model, info = auto.from_pretrained(str(checkpoint.folder), **arguments)
    except (ValueError, ImportError) as error:
        if placement.attention == "eager" or "attention" not in str(error).lower():
            raise
        log.info("%s: %s; using the eager attention", checkpoint.model_type, error)
        arguments["attn_implementation"] = "eager"
        model, info = auto.from_pretrained(str(checkpoint.folder), **arguments)
    _check_keys(info, role, checkpoint)
    model.eval().requires_grad_(False)
    return model


def _auto_class(transformers: Any, role: Role, config: Any) -> Any:
    if role == "embedding":
        return transformers.T5EncoderModel if config.model_type == "t5" else transformers.AutoModel
    if getattr(config, "is_encoder_decoder", False):
        return transformers.AutoModelForSeq2SeqLM
    return transformers.AutoModelForCausalLM


def _check_keys(info: Mapping[str, Any], role: Role, checkpoint: Checkpoint) -> None:
    optional = _OPTIONAL if role == "embedding" else ()
    missing = sorted(key for key in info["missing_keys"] if not key.startswith(optional))
    wrong = sorted(str(key) for key in info["mismatched_keys"])
    if missing or wrong:
        raise ModelLoadError(
            f"The weights in {checkpoint.folder} lack {len(missing)} tensors and have {len(wrong)} of another shape "
            f"than its config.json says (such as {(missing + wrong)[0]}); download the model again.",
            kind="weights_mismatch",
        )


def _check_role(checkpoint: Checkpoint, role: Role, name: str) -> None:
    if role != "embedding" and checkpoint.model_type in _ENCODERS:
        raise ModelLoadError(
            f"{name} is an encoder ({checkpoint.model_type}): it embeds text but writes none; "
            "set it as `model.embedding` and choose a generative model here.",
            kind="wrong_role",
        )


def _context_length(checkpoint: Checkpoint, config: Any, options: LoadOptions, name: str) -> int:
    keys = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "n_ctx")
    own = next((int(v) for v in (getattr(config, key, None) for key in keys) if isinstance(v, int)), 0)
    if own and config.model_type in ("roberta", "xlm-roberta", "mpnet"):
        own -= 2
    wanted = options.max_context_length
    if wanted and own and wanted > own:
        raise ModelLoadError(
            f"{name} has a context of {own:,} tokens, less than the max_context_length of {wanted:,}; lower it.",
            kind="context_too_long",
        )
    return wanted or own or _DEFAULT_CONTEXT


def _need_gguf() -> None:
    if not quantizing.installed("gguf"):
        raise ModelLoadError(
            "Reading a .gguf file needs the package gguf (pip install gguf); llama-server serves it without.",
            kind="gguf",
        )


def _explained(error: Exception, name: str, placement: Placement) -> ModelLoadError:
    text = str(error)
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in text:
        return ModelLoadError(
            f"Memory ran out while {name} was loading on {placement.device}; "
            "use quantization 4bit or a smaller model, or unload another one.",
            kind="out_of_memory",
        )
    if type(error).__name__ == "SafetensorError":
        return ModelLoadError(
            f"The weights of {name} are damaged; remove the model and download it again.", kind="corrupted"
        )
    if "size mismatch" in text or "mismatched" in text.lower():
        return ModelLoadError(
            f"The weights of {name} do not fit its config.json; download the model again.",
            kind="weights_mismatch",
        )
    return ModelLoadError(f"{name} cannot be loaded ({_first_line(text)}); the engine's log has the details.")


def _first_line(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "no reason given"
    return line if len(line) <= 160 else line[:157] + "..."
