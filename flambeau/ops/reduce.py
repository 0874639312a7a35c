"""Reductions: combine the elements along dimensions."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import dtype as DType
from .define import op, ops
from .kinds import Reduction


def int_to_int64(dtype: DType):
    """Integers and bool add up in int64; half types in float32."""
    return (types.int64, types.int64) if dtype.kind < 2 else (dtype, dtype)


def unreduce(g, shape, dim, keepdim: bool):
    """A reduced gradient expanded back to `shape`."""
    if not keepdim and len(shape):
        dims = range(len(shape)) if dim is None or dim == () else (dim,) if isinstance(dim, int) else dim
        for d in sorted(d % len(shape) for d in dims):
            g = ops.unsqueeze(g, d)
    return ops.expand(g, shape)


@op("sum(Tensor input, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None, Tensor? out=None) -> Tensor")
class Sum(Reduction):
    """Sum of the elements along ``dim`` (all dimensions by default)."""

    accumulate, identity = int_to_int64, 0

    def combine(a, b):
        return a + b

    def d_input(g, input_layout, dim, keepdim):
        return unreduce(g, input_layout.shape, dim, keepdim)
