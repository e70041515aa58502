"""Products of rows with int8 weights, the rows rounded to 8 bits as well: integer products, as VNNI has them.

A weight-only product of one row spends its time on making floats of the weights, one of many rows on bfloat16
arithmetic. With both sides in 8 bits (FBGEMM's `linear_dynamic`) the first is two to three times as fast, the second
1.6 times. Rounding costs a row with a few huge entries its small ones, so such a row is left to the weight-only
product: LLM.int8() (Dettmers et al. 2022) found them in large models, and the gated rows in front of `down_proj` often
are like that.
"""

from __future__ import annotations

import logging
import math
import warnings
from functools import cache

import torch

log = logging.getLogger(__name__)

LEAST_WEIGHTS, LEAST_INPUTS = 500_000, 512
"""Below, setting a product up takes longer than it saves."""
MOST_WEIGHTS = 32_000_000
"""Above, a second copy of the weights is too much memory: FBGEMM wants its own order."""
EVEN = 8.0
"""A row is rounded if its largest entry is at most so many times its root mean square: an error of 1.8 % at most."""


class RoundedProduct:
    """int8 weights of shape (out, in), laid out for integer products."""

    def __init__(self, packed: torch.Tensor, scale: torch.Tensor) -> None:
        """`scale` has one entry for each row of `packed`."""
        zeros = torch.zeros(len(packed), dtype=torch.long)
        with warnings.catch_warnings():  # quantised tensors are deprecated; `works` tells when they are gone
            warnings.simplefilter("ignore")
            weight = torch._make_per_channel_quantized_tensor(packed, scale.double(), zeros, 0)
            self._weight = torch.ops.quantized.linear_prepack(weight, None)

    def __call__(self, rows: torch.Tensor, peaks: torch.Tensor) -> torch.Tensor:
        """Product of float32 rows, shape (rows, in), each rounded by its `peaks_of`; float32, (rows, out)."""
        # One scale serves all rows of an operation, and none under 6e-5; divided by their peaks, they share theirs.
        product: torch.Tensor = torch.ops.quantized.linear_dynamic(rows / peaks, self._weight, False)
        return product.mul_(peaks)


def peaks_of(rows: torch.Tensor) -> torch.Tensor:
    """The size of each row's largest entry, shape (rows, 1), not quite zero."""
    return (
        rows.abs().amax(dim=1, keepdim=True).clamp_min_(1e-20)
    )  # several times as fast as the norms for that


def uneven(rows: torch.Tensor, peaks: torch.Tensor) -> list[int]:
    """The rows that would lose too much by being rounded."""
    most = EVEN / math.sqrt(rows.shape[-1])
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    if len(rows) == 1:
        return [0] if float(peaks) > most * float(norms) else []
    found: list[int] = (peaks > most * norms).nonzero()[:, 0].tolist()
    return found


def product_for(packed: torch.Tensor, scale: torch.Tensor) -> RoundedProduct | None:
    """A product for weights that gain by it, None for others and where this machine has no such product."""
    fits = LEAST_WEIGHTS <= packed.numel() <= MOST_WEIGHTS and packed.shape[1] >= LEAST_INPUTS
    if not fits or not works():
        return None
    return RoundedProduct(packed, scale)


@cache
def works() -> bool:
    """Whether PyTorch has these products and the processor computes them exactly: without VNNI, sums saturate."""
    try:
        if torch.backends.quantized.engine != "x86" or not torch.cpu._is_vnni_supported():
            return False
        packed = torch.full((16, 64), 127, dtype=torch.int8)
        product = RoundedProduct(packed, torch.full((16,), 0.01))(torch.ones(1, 64), torch.ones(1, 1))
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        log.info("products of 8 bits by 8 bits are not available here (%s)", error)
        return False
    return bool(torch.allclose(product, torch.full((1, 16), 81.28), rtol=0.01))
