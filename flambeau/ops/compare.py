"""Comparisons: bool results from two operands."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import type_name
from ..base.errors import require
from ..base.layout import contiguous_layout
from ..ir.expr import constant, convert, fabs, isnan
from .define import op, ops
from .kinds import Composite, Opaque, Pointwise
from .pointwise_types import COMPLEX, INTEGER, is_finite, is_number, not_implemented


def compared(common, input, other):
    """Compares in the common type; a small integer beside a number in int64, so that 300 equals no uint8."""
    if common.kind == INTEGER and (is_number(input) or is_number(other)):
        return types.int64, types.bool_
    return common, types.bool_


def ordered(kernel: str):
    """The type rule of comparisons that need an order: any type but complex."""

    def rule(common, input, other):
        if common.kind == COMPLEX:
            raise not_implemented(kernel, common)
        return compared(common, input, other)

    return rule


@op("eq(Tensor input, Operand other, *, Tensor? out=None) -> Tensor", inplace=True, methods="__eq__")
class Eq(Pointwise):
    """``input == other``; NaN equals nothing.

    >>> import flambeau as torch
    >>> torch.tensor([1, 2, 3]) == 2
    tensor([False,  True, False])
    """

    dtype = compared

    def scalar(input, other):
        return input == other


@op(
    "ne(Tensor input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True,
    methods="__ne__",
    also="not_equal",
)
class Ne(Pointwise):
    """``input != other``."""

    dtype = compared

    def scalar(input, other):
        return input != other


@op(
    "lt(Tensor input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True,
    methods="__lt__",
    also="less",
)
class Lt(Pointwise):
    """``input < other``."""

    dtype = ordered("lt_cpu")

    def scalar(input, other):
        return input < other


@op(
    "le(Tensor input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True,
    methods="__le__",
    also="less_equal",
)
class Le(Pointwise):
    """``input <= other``."""

    dtype = ordered("le_cpu")

    def scalar(input, other):
        return input <= other


@op(
    "gt(Tensor input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True,
    methods="__gt__",
    also="greater",
)
class Gt(Pointwise):
    """``input > other``."""

    dtype = ordered("gt_cpu")

    def scalar(input, other):
        return input > other


@op(
    "ge(Tensor input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True,
    methods="__ge__",
    also="greater_equal",
)
class Ge(Pointwise):
    """``input >= other``."""

    dtype = ordered("ge_cpu")

    def scalar(input, other):
        return input >= other


@op("isclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor")
class IsClose(Pointwise):
    """Whether ``|input - other| <= atol + rtol * |other|``; infinities are close to themselves only."""

    def dtype(common):
        return (types.float64 if common.kind <= INTEGER else common), types.bool_

    def check(input, other, rtol, atol):
        require(
            input.dtype is other.dtype, f"{type_name(input.dtype)} did not match {type_name(other.dtype)}"
        )
        require(rtol >= 0, f"rtol must be greater than or equal to zero, but got {rtol}")
        require(atol >= 0, f"atol must be greater than or equal to zero, but got {atol}")

    def scalar(input, other, rtol, atol, equal_nan):
        close = input == other
        if equal_nan:
            close = close | (isnan(input) & isnan(other))
        distance = abs(input - other)
        distance = distance if distance.is_float else convert(distance, "f64")
        allowed = fabs(abs(other) * rtol) + constant(atol, distance.type)
        return close | (is_finite(distance) & (distance <= allowed))


@op("allclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool")
class AllClose(Composite):
    """Whether all elements are close, as `isclose` says."""

    def body(input, other, rtol, atol, equal_nan):
        return ops.isclose(input, other, rtol, atol, equal_nan).all().item()


#: types whose elements a kernel compares as they are
_DIRECT = frozenset(("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"))


@op("equal_elements(Tensor input, Tensor other) -> Tensor", function=False, method=False)
class EqualElements(Opaque):
    """Whether all elements of two tensors of one layout are equal."""

    algorithm = "searching.equal_elements"

    def layouts(input):
        return contiguous_layout((), types.bool_, input.device)


@op("equal(Tensor input, Tensor other) -> bool")
class Equal(Composite):
    """Whether two tensors have the same shape and elements."""

    def body(input, other):
        where, there = input._layout, other._layout
        require(where.device is there.device,
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"{where.device} and {there.device}!")  # fmt: skip
        if where is there and where.contiguous and where.numel and where.dtype.name in _DIRECT:
            return ops.equal_elements(input, other).item()
        return where.shape == there.shape and ops.eq(input, other).all().item()
