from __future__ import annotations

import pytest
import torch

from codeface_lsp.inference import rounded
from codeface_lsp.inference.int8 import Int8Weight
from codeface_lsp.inference.rounded import EVEN, RoundedProduct, product_for

pytestmark = pytest.mark.skipif(not rounded.works(), reason="this processor has no VNNI")


def weight(out: int, inputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    packed = torch.randint(-127, 128, (out, inputs), dtype=torch.int8)
    return packed, torch.rand(out).add(0.1).to(torch.bfloat16)


def exactly(packed: torch.Tensor, scale: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    return row @ (packed.float() * scale.float()[:, None]).T


def error(product: torch.Tensor, exact: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(product - exact) / torch.linalg.vector_norm(exact))


@pytest.mark.parametrize(("out", "inputs"), [(1024, 512), (700, 768), (512, 2048)])
def test_a_row_loses_little_by_being_rounded(out: int, inputs: int) -> None:
    packed, scale = weight(out, inputs)
    row = torch.randn(1, inputs)
    product = RoundedProduct(packed, scale)(row)
    assert product is not None
    assert error(product, exactly(packed, scale, row)) < 0.01


def test_as_uneven_as_allowed_it_loses_two_hundredths_and_beyond_it_is_refused() -> None:
    packed, scale = weight(1024, 512)
    multiply = RoundedProduct(packed, scale)
    for peak, refused in ((EVEN * 1.05, False), (EVEN * 1.2, True)):  # the peak itself raises the mean by 6 %
        row = torch.ones(1, 512) * torch.randn(1, 512).sign()
        row[0, 7] = peak
        product = multiply(row)
        assert (product is None) is refused
        if product is not None:
            assert error(product, exactly(packed, scale, row)) < 0.02


def test_largest_values_do_not_saturate() -> None:
    packed, scale = torch.full((1024, 512), -127, dtype=torch.int8), torch.ones(1024)
    row = torch.ones(1, 512)
    product = RoundedProduct(packed, scale)(row)
    assert product is not None
    torch.testing.assert_close(product, torch.full((1, 1024), -127.0 * 512), rtol=0.005, atol=0)


def test_small_weights_and_huge_ones_have_no_such_product(monkeypatch: pytest.MonkeyPatch) -> None:
    assert product_for(*weight(1024, 512)) is not None
    assert product_for(*weight(1024, 256)) is None, "too short rows"
    assert product_for(*weight(512, 768)) is None, "too few weights"
    monkeypatch.setattr(rounded, "MOST_WEIGHTS", 1024 * 512 - 1)
    assert product_for(*weight(1024, 512)) is None, "a second copy would be too large"


def test_only_a_single_row_in_full_precision_is_rounded() -> None:
    made = Int8Weight(torch.randn(1024, 512))
    row = torch.randn(1, 512)
    assert made.apply(row).dtype == torch.float32
    assert made.apply(row.to(torch.bfloat16)).dtype == torch.bfloat16
    assert made.apply(torch.randn(3, 512)).dtype == torch.bfloat16
    uneven = torch.zeros(1, 512)
    uneven[0, 0] = 1
    assert made.apply(uneven).dtype == torch.bfloat16
    torch.testing.assert_close(
        made.apply(row), made.apply(row.to(torch.bfloat16)).float(), atol=0.5, rtol=0.05
    )
    assert made.part(0, 10).apply(row).dtype == torch.bfloat16
