from __future__ import annotations

import pytest
import torch

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.models import placement
from codeface_lsp.models.placement import Placement

CPU = torch.device("cpu")
GIB = 1024**3
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="tells what a machine without a GPU says")


@without_gpu
def test_auto_takes_what_there_is() -> None:
    assert placement.pick_device("auto").type in ("cpu", "mps")


@pytest.mark.gpu
def test_auto_takes_the_gpu() -> None:
    assert placement.pick_device("auto") == placement.pick_device("cuda") == torch.device("cuda:0")
    assert placement.pick_dtype("auto", torch.device("cuda:0"), 1000) in (torch.bfloat16, torch.float16)


@without_gpu
@pytest.mark.parametrize(
    ("wanted", "message"),
    [("cuda", "no CUDA device.*auto"), ("cuda:3", "no CUDA device"), ("meta", "not supported")],
)
def test_a_device_that_is_not_there_is_refused(wanted: str, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message) as caught:
        placement.pick_device(wanted)
    assert caught.value.kind == "device"


def test_a_device_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ModelLoadError, match="`tpu9` is not a device"):
        placement.pick_device("tpu9")


def test_on_a_cpu_small_models_stay_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "free_bytes", lambda device: 16 * GIB)
    assert placement.pick_dtype("auto", CPU, 2 * 10**9) is torch.float32
    assert placement.pick_dtype("auto", CPU, 3 * 10**9) is torch.bfloat16
    assert placement.pick_dtype("float16", CPU, 1) is torch.float16


def test_flash_attention_falls_back_quietly() -> None:
    assert placement.pick_attention("flash_attention_2", CPU) == "sdpa"
    assert placement.pick_attention("auto", CPU) == "sdpa"
    assert placement.pick_attention("eager", CPU) == "eager"


@pytest.mark.parametrize(
    ("free", "parameters", "message"),
    [
        (8, 3 * 10**9, r"needs about 12\.3 GiB on cpu, and 8\.0 GiB are free; dtype bfloat16 would fit"),
        (4, 3 * 10**9, "quantization 8bit would fit"),
        (2, 3 * 10**9, "quantization 4bit would fit"),
        (1, 30 * 10**9, "a model of up to 244 million parameters would fit"),
    ],
)
def test_too_little_memory_says_what_it_needs_what_there_is_and_what_would_fit(
    monkeypatch: pytest.MonkeyPatch, free: int, parameters: int, message: str
) -> None:
    monkeypatch.setattr(placement, "free_bytes", lambda device: free * GIB)
    with pytest.raises(ModelLoadError, match=message) as caught:
        placement.check_fits("big", parameters, Placement(CPU, torch.float32, "sdpa"))
    assert caught.value.kind == "out_of_memory"


def test_what_fits_and_what_may_spill_over_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "free_bytes", lambda device: 4 * GIB)
    placement.check_fits("m", 10**8, Placement(CPU, torch.float32, "sdpa"))
    placement.check_fits("m", 10**11, Placement(CPU, torch.float32, "sdpa", device_map="auto"))
