"""The process-wide default types, and what must be forgotten when they change."""

from __future__ import annotations

from ..base.dtype import dtype as DType
from ..base.dtype import set_default_float
from ..ops.define import OPERATORS


def set_default_dtype(d: DType) -> None:
    """Set the float type of new tensors that name none."""
    if not isinstance(d, DType) or not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    set_default_float(d)
    for operator in OPERATORS.values():  # plans depend on it
        operator.plans.clear()
        operator.inplace_plans.clear()
