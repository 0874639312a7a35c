"""Copies, fills and conversions: the elements of one tensor written into another layout or type."""

from __future__ import annotations

from ..base.dtype import complex128, float64
from ..base.dtype import dtype as DType
from ..base.layout import Layout, channels_last_strides, contiguous_strides
from ..ir.expr import is_symbolic
from .define import op, ops
from .kinds import Composite, Pointwise


def into_target(common: DType):
    """The value converts to the target's type, whatever it is."""
    return common, None


def number_into_target(common: DType, value):
    """The same for a fill, whose Python numbers keep their whole precision."""
    return {float: float64, complex: complex128}.get(value, common), None


@op("copy(Tensor input, Operand src, bool non_blocking=False) -> Tensor", inplace=True, function=False)
class Copy(Pointwise):
    """The elements of ``src`` broadcast to the shape of ``input``, in its type."""

    dtype = into_target
    value_kind = ("src",)

    def scalar(src):
        return src

    def d_input(g):
        return g * 0

    def d_src(g):
        return g


@op("fill(Tensor input, Operand value) -> Tensor", inplace=True)
class Fill(Pointwise):
    """Every element ``value``."""

    dtype = number_into_target
    value_kind = ("value",)

    def check(value):
        if isinstance(value, Layout) and value.ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions."
            )

    def scalar(value):
        return value

    def d_input(g):
        return g * 0

    def d_value(g):
        return g


@op("zero(Tensor input) -> Tensor", inplace=True, function=False)
class Zero(Pointwise):
    """Every element zero."""

    dtype = into_target

    def scalar(input):
        return input * 0 if not is_symbolic(input) else 0

    def d_input(g):
        return g * 0


def converted(common: DType, dtype):
    return common, dtype or common


@op(
    "to_copy(Tensor input, *, ScalarType? dtype=None, any memory_format=None) -> Tensor",
    function=False,
    method=False,
)
class ToCopy(Pointwise):
    """A new tensor with the same elements, of another type or memory format."""

    dtype = converted

    def scalar(input):
        return input

    def strides(input, memory_format):
        return strides_for(input, memory_format)

    def d_input(g):
        return g


def strides_for(input: Layout, memory_format) -> tuple[int, ...]:
    """Strides of a new tensor like `input` in a memory format (None: preserve the input's dense strides)."""
    name = getattr(memory_format, "name", memory_format)
    if name in (None, "preserve_format"):
        if input.dense:
            return input.strides
        from ..base.layout import stride_order, strides_in_order

        if any(s == 0 and n > 1 for s, n in zip(input.strides, input.shape)):
            return contiguous_strides(input.shape)
        return strides_in_order(input.shape, stride_order(input.shape, input.strides))
    if name == "contiguous_format":
        return contiguous_strides(input.shape)
    wanted = 5 if name == "channels_last_3d" else 4
    if input.ndim != wanted:
        raise RuntimeError(f"required rank {wanted} tensor to use {name} format")
    return channels_last_strides(input.shape)


@op("clone(Tensor input, *, any memory_format=None) -> Tensor")
class Clone(Composite):
    """A copy with memory of its own; gradients flow through it."""

    def body(input, memory_format):
        return ops.to_copy(input, memory_format=memory_format)
