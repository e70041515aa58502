from __future__ import annotations

import pytest
import torch

from codeface_lsp.errors import ModelLoadError
from codeface_lsp.models import quantization

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda:0"), torch.device("mps")


def everything(package: str) -> bool:
    return True


def nothing(package: str) -> bool:
    return False


@pytest.mark.parametrize("wanted", [None, "8bit", "4bit"])
def test_bitsandbytes_runs_on_cpu_and_cuda(wanted: str | None) -> None:
    assert quantization.check(wanted, None, CPU, everything) == wanted
    assert quantization.check(wanted, None, CUDA, everything) == wanted


@pytest.mark.parametrize("stored", ["gptq", "awq"])
def test_a_quantised_checkpoint_is_told_by_its_config(stored: str) -> None:
    assert quantization.check(None, stored, CUDA, everything) == stored
    assert quantization.check(stored, stored, CUDA, everything) == stored


@pytest.mark.parametrize(
    ("wanted", "stored", "device", "has", "message"),
    [
        ("4bit", None, MPS, everything, "Apple.*float16"),
        ("4bit", None, CPU, nothing, "pip install bitsandbytes"),
        ("gptq", None, CUDA, everything, "not quantised with gptq.*GPTQ version"),
        ("8bit", "gptq", CUDA, everything, "already quantised with gptq"),
        (None, "gptq", CPU, everything, "CUDA.*4bit"),
        (None, "awq", CUDA, nothing, "pip install gptqmodel"),
        ("3bit", None, CPU, everything, "3bit.*not known"),
    ],
)
def test_what_cannot_be_is_refused_with_the_nearest_thing_that_works(
    wanted: str | None, stored: str | None, device: torch.device, has: quantization.Installed, message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message) as caught:
        quantization.check(wanted, stored, device, has)
    assert caught.value.kind == "quantization"


def test_four_bits_are_nf4_with_double_quantisation() -> None:
    config = quantization.config_for("4bit", torch.bfloat16)
    assert config.load_in_4bit and config.bnb_4bit_use_double_quant
    assert config.bnb_4bit_quant_type == "nf4"
    assert config.bnb_4bit_compute_dtype == torch.bfloat16
    assert quantization.config_for("8bit", torch.float32).load_in_8bit
    assert quantization.config_for(None, torch.float32) is None
    assert quantization.config_for("gptq", torch.float16) is None
