"""`make_tensor`: random tensors for tests."""

from __future__ import annotations

import math
from typing import Any

from ..base.dtype import dtype as DType
from ..base.limits import finfo, iinfo
from ..ops.define import ops
from ..tensor.tensor import Tensor


def make_tensor(
    *shape: Any, dtype: DType, device: Any, low: float | None = None, high: float | None = None,
    requires_grad: bool = False, noncontiguous: bool = False, exclude_zero: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor of random values in [low, high): by default [-9, 9), for unsigned integers [0, 10), for bool [0, 2).

    exclude_zero: zeros become the smallest positive number. noncontiguous: every second element of a larger tensor.

    >>> import flambeau as torch
    >>> torch.testing.make_tensor(2, 3, dtype=torch.float32, device="cpu").shape
    torch.Size([2, 3])
    """
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        (shape,) = shape
    shape = tuple(shape)
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got "
            f"noncontiguous={noncontiguous} and memory_format={memory_format}"
        )
    if requires_grad and dtype.kind < 2:
        raise ValueError(
            f"`requires_grad=True` is not supported for boolean and integral dtypes, but got dtype={dtype}"
        )
    spread = noncontiguous and math.prod(shape) > 1
    full = (*shape[:-1], 2 * shape[-1]) if spread else shape
    made = _filled(full, dtype, device, low, high)
    if spread:
        made = made[..., 1::2]
    elif memory_format is not None:
        made = made.clone(memory_format=memory_format)
    if exclude_zero:
        made[made == 0] = finfo(dtype).tiny if dtype.kind > 1 else 1
    return made.requires_grad_() if requires_grad else made


def _filled(shape: tuple, dtype: DType, device: Any, low, high) -> Tensor:
    if dtype.kind == 0:
        low, high = _bounds(low, high, 0, 2, 0, 2)
        return ops.randint(math.ceil(low), math.ceil(high), shape, dtype=dtype, device=device)
    if dtype.kind == 1:
        limits = iinfo(dtype)
        low, high = _bounds(low, high, limits.min, limits.max, 0 if limits.min == 0 else -9, 10)
        return ops.randint(math.ceil(low), math.ceil(high), shape, dtype=dtype, device=device)
    limits = finfo(dtype)
    low, high = _bounds(low, high, limits.min, limits.max, -9, 9)
    made = ops.empty(shape, dtype=dtype, device=device)
    parts = ops.view_as_real(made) if dtype.is_complex else made
    if high - low >= limits.max:  # a range beyond the type: drawn at half its size
        parts.uniform_(low / 2, high / 2).mul_(2)
    else:
        parts.uniform_(low, high)
    return made


def _bounds(low, high, least, most, usual_low, usual_high) -> tuple:
    low = usual_low if low is None else low
    high = usual_high if high is None else high
    if any(isinstance(x, float) and math.isnan(x) for x in (low, high)):
        raise ValueError(
            f"`low` and `high` cannot be NaN, but got low={low!r} and high={high!r}".replace("'", "")
        )
    if low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    return max(low, least), min(high, most if isinstance(most, float) else most + 1)
