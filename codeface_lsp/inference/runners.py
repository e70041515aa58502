"""Chooses how a model is run."""

from __future__ import annotations

import logging

from codeface_lsp.inference import fused, int8
from codeface_lsp.inference.fused import FusedRunner
from codeface_lsp.inference.runner import PlainRunner, Runner
from codeface_lsp.models import memory
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings

log = logging.getLogger(__name__)


def pick_runner(model: LoadedModel, settings: EngineSettings) -> Runner:
    """The fastest path that this model and this machine allow."""
    spilled = any(parameter.is_meta for parameter in model.model.parameters())
    on_cpu = model.device.type == "cpu" and model.quantization is None and not spilled
    packs = settings.int8 and on_cpu and int8.works()
    if fused.fits(model):
        log.info("%s runs on the fused path, int8 weights: %s", model.name, packs)
        runner: Runner = FusedRunner(model, int8=packs)
    else:
        if packs := packs and not model.encoder_decoder:
            log.info("%s runs with %d int8 layers", model.name, int8.swap(model.model))
        runner = PlainRunner(model, captured=settings.capture and _is_on_one_gpu(model))
    if packs:
        memory.unmap(model.model)
    return runner


def _is_on_one_gpu(model: LoadedModel) -> bool:
    """Whether all weights lie on one CUDA device as they are: no hook moves them, no kernel unpacks them."""
    if model.device.type != "cuda" or model.quantization is not None or model.encoder_decoder:
        return False
    return all(parameter.device == model.device for parameter in model.model.parameters())
