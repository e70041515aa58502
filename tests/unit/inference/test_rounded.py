from __future__ import annotations

import pytest
import torch

from codeface_lsp.inference import rounded
from codeface_lsp.inference.int8 import Int8Weight
from codeface_lsp.inference.rounded import EVEN, RoundedProduct, peaks_of, product_for, uneven

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
@pytest.mark.parametrize("count", [1, 3, 40])
def test_rows_lose_little_by_being_rounded(out: int, inputs: int, count: int) -> None:
    packed, scale = weight(out, inputs)
    rows = torch.randn(count, inputs) * torch.logspace(-3, 3, count)[:, None]
    product = RoundedProduct(packed, scale)(rows, peaks_of(rows))
    for at, exact in enumerate(exactly(packed, scale, rows)):
        assert error(product[at], exact) < 0.015


def test_a_row_of_zeros_gives_zeros() -> None:
    rows = torch.cat((torch.zeros(1, 512), torch.randn(1, 512)))
    assert not RoundedProduct(*weight(1024, 512))(rows, peaks_of(rows))[0].any()


@pytest.mark.parametrize("count", [1, 5])
def test_as_uneven_as_allowed_a_row_loses_two_hundredths_and_beyond_it_is_left_alone(count: int) -> None:
    packed, scale = weight(1024, 512)
    for peak, left in (
        (EVEN * 1.05, []),
        (EVEN * 1.2, [count - 1]),
    ):  # the peak itself raises the mean by 6 %
        rows = torch.ones(count, 512) * torch.randn(count, 512).sign()
        rows[-1, 7] = peak
        assert uneven(rows, peaks_of(rows)) == left
        if not left:
            product = RoundedProduct(packed, scale)(rows, peaks_of(rows))
            assert error(product[-1], exactly(packed, scale, rows)[-1]) < 0.02


def test_largest_values_do_not_saturate() -> None:
    packed, scale = torch.full((1024, 512), -127, dtype=torch.int8), torch.ones(1024)
    row = torch.ones(1, 512)
    product = RoundedProduct(packed, scale)(row, peaks_of(row))
    torch.testing.assert_close(product, torch.full((1, 1024), -127.0 * 512), rtol=0.005, atol=0)


def test_small_weights_and_huge_ones_have_no_such_product(monkeypatch: pytest.MonkeyPatch) -> None:
    assert product_for(*weight(1024, 512)) is not None
    assert product_for(*weight(1024, 256)) is None, "too short rows"
    assert product_for(*weight(512, 768)) is None, "too few weights"
    monkeypatch.setattr(rounded, "MOST_WEIGHTS", 1024 * 512 - 1)
    assert product_for(*weight(1024, 512)) is None, "a second copy would be too large"


def test_of_several_rows_the_uneven_ones_go_through_the_weight_only_product() -> None:
    made = Int8Weight(torch.randn(1024, 512), rounds=True)
    rows = torch.randn(9, 512)
    rows[4, 3] = 1000
    product = made.apply(rows)
    assert product.dtype == torch.float32
    exact = exactly(made.packed, made.scale, rows)
    assert all(error(product[at], exact[at]) < 0.015 for at in range(9))
    torch.testing.assert_close(product[4], made.apply(rows[4:5].to(torch.bfloat16))[0].float())
    rows[:5, 3] = 1000
    assert made.apply(rows).dtype == torch.bfloat16, "with so many left, all go that way"
    assert made.apply(rows[:1]).dtype == torch.bfloat16
    assert made.apply(rows[-1:]).dtype == torch.float32


def test_rows_in_bfloat16_and_parts_of_a_weight_are_not_rounded() -> None:
    made = Int8Weight(torch.randn(1024, 512), rounds=True)
    rows = torch.randn(2, 512)
    assert made.apply(rows.to(torch.bfloat16)).dtype == torch.bfloat16
    assert made.part(0, 10).apply(rows).dtype == torch.bfloat16
