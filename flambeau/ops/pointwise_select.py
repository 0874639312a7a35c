"""Choosing between values: where, masks, limits, larger and smaller, interpolation."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import type_name
from ..base.errors import require
from ..base.layout import Layout
from ..ir.expr import Expr, conj, fabs, isnan, maximum, minimum, where
from .define import op
from .kinds import Pointwise, promote
from .out_rules import castable, cpp_name, same_type_out, worded
from .pointwise_types import (
    COMPLEX,
    FLOAT,
    INTEGER,
    as_type_of,
    is_number,
    kind_of,
    not_implemented,
    zero_like,
)


@op(
    "where(Tensor condition, Operand input, Operand other, *, Tensor? out=None) -> Tensor",
    function=False,
    method=False,
)
class Where(Pointwise):
    """``input`` where ``condition`` holds, else ``other``.

    Shape: all three broadcast. Dtype: that of ``input`` and ``other``, promoted.
    """

    check_out = worded("Expected out type to be {want} but got {have}", cast=False)

    def samples(make):
        return [
            ((make(2, 3) > 0, make(2, 3), make(3)), {}),
            ((make(2, 1) > 0, make(2, 3), 0.5), {}),
        ]

    dtype = promote
    value_kind = ("input", "other")

    def check(condition):
        require(condition.dtype in (types.bool_, types.uint8),
                "where expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{type_name(condition.dtype)}")  # fmt: skip

    def scalar(condition, input, other):
        return where(condition, input, other)

    def d_input(g, condition):
        return where(condition, g, zero_like(g))

    def d_other(g, condition):
        return where(condition, zero_like(g), g)


def check_fill_value(input, value) -> None:
    require(not isinstance(value, Layout) or value.ndim == 0,
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim if isinstance(value, Layout) else 0} dimension(s).")  # fmt: skip
    require(
        input.dtype.kind == COMPLEX or kind_of(value) != COMPLEX,
        f"value cannot be converted to type {cpp_name(input.dtype)} without overflow",
    )


_SPELLED = {"int64": "long int", "int32": "int", "int16": "short int", "uint8": "unsigned char", "int8": "signed char",
            "float32": "float", "float64": "double"}  # fmt: skip


@op("masked_fill(Tensor input, Tensor mask, Operand value) -> Tensor", inplace=True)
class MaskedFill(Pointwise):
    """``value`` where ``mask`` holds, else ``input``. Dtype: that of ``input``.

    >>> import flambeau as torch
    >>> torch.tensor([1, 2, 3]).masked_fill(torch.tensor([True, False, True]), 0)
    tensor([0, 2, 0])
    """

    def samples(make):
        return [((make(2, 3), make(2, 3) > 0, 0.5), {}), ((make(2, 3), make(3) > 0, make()), {})]

    dtype = promote
    value_kind = ("input",)

    def check(input, mask, value):
        require(mask.dtype is types.bool_,
                "masked_fill_ only supports boolean masks, but got mask with dtype "
                f"{_SPELLED.get(mask.dtype.name, mask.dtype.name)}")  # fmt: skip
        check_fill_value(input, value)

    def scalar(input, mask, value):
        return where(mask, as_type_of(value, input), input)

    def d_input(g, mask):
        return where(mask, zero_like(g), g)

    def d_value(g, mask):
        return where(mask, g, zero_like(g))


# -- limits ----------------------------------------------------------------------------------------------------------


def limit_type(common, input, low, high):
    """Real types; integers beside number limits compute in int64, so that a limit beyond the type limits nothing."""
    if common.kind == COMPLEX:
        raise NotImplementedError("clamp is not supported for complex types")
    if common.kind == INTEGER and (is_number(low) or is_number(high)):
        return types.int64, common
    return common, common


def limited_out(limits, result, out) -> None:
    """Limits that are tensors let `out` have any castable type, numbers only the result's."""
    (castable if any(isinstance(x, Layout) for x in limits) else same_type_out)(result, out)


@op(
    "clamp(Tensor input, Operand? min=None, Operand? max=None, *, Tensor? out=None) -> Tensor",
    inplace=True,
    also="clip",
)
class Clamp(Pointwise):
    """Each element limited to [min, max]; a limit is a number, a tensor, or None for no limit.

    NaN stays NaN. Where ``min > max`` the result is ``max``.

    >>> import flambeau as torch
    >>> torch.tensor([-2.0, 0.5, 3.0]).clamp(0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """

    def check_out(min, max, result, out):
        limited_out((min, max), result, out)

    def samples(make):
        return [
            ((make(2, 3), -0.7, 0.8), {}),
            ((make(2, 3), make(3), None), {}),
            ((make(2, 3), None, 0.3), {}),
        ]

    def check(min, max):
        require(
            min is not None or max is not None, "torch.clamp: At least one of 'min' or 'max' must not be None"
        )
        for limit in (min, max):
            require(limit is not complex, "value cannot be converted to type double without overflow")

    def dtype(common, input, min, max):
        return limit_type(common, input, min, max)

    def scalar(input, min, max):
        found = input if min is None else maximum(input, min)
        return found if max is None else minimum(found, max)

    def d_input(g, input, min, max):
        inside = None if min is None else input >= min
        below = None if max is None else input <= max
        inside = below if inside is None else inside if below is None else inside & below
        return where(inside, g, zero_like(g))

    def d_min(g, input, min, max):
        reached = input < min if max is None else (input < min) & (min < max)
        return where(reached, g, zero_like(g))

    def d_max(g, input, min, max):
        reached = input > max if min is None else (input > max) | (max < min)
        return where(reached, g, zero_like(g))


@op("clamp_min(Tensor input, Operand min, *, Tensor? out=None) -> Tensor", inplace=True)
class ClampMin(Pointwise):
    """Each element, or ``min`` where that is larger."""

    def check_out(min, result, out):
        limited_out((min,), result, out)

    def samples(make):
        return [((make(2, 3), 0.2), {}), ((make(2, 3), make(2, 3)), {})]

    def dtype(common, input, min):
        return limit_type(common, input, min, None)

    def scalar(input, min):
        return maximum(input, min)

    def d_input(g, input, min):
        return where(input >= min, g, zero_like(g))

    def d_min(g, input, min):
        return where(input < min, g, zero_like(g))


@op("clamp_max(Tensor input, Operand max, *, Tensor? out=None) -> Tensor", inplace=True)
class ClampMax(Pointwise):
    """Each element, or ``max`` where that is smaller."""

    def check_out(max, result, out):
        limited_out((max,), result, out)

    def samples(make):
        return [((make(2, 3), 0.2), {}), ((make(2, 3), make(2, 3)), {})]

    def dtype(common, input, max):
        return limit_type(common, input, None, max)

    def scalar(input, max):
        return minimum(input, max)

    def d_input(g, input, max):
        return where(input <= max, g, zero_like(g))

    def d_max(g, input, max):
        return where(input > max, g, zero_like(g))


# -- the larger and the smaller of two -------------------------------------------------------------------------------


def no_complex(name: str):
    def rule(common):
        require(common.kind != COMPLEX, f"{name} not implemented for complex tensors.")
        return common, common

    return rule


@op("maximum(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor")
class Maximum(Pointwise):
    """The larger of two elements; NaN where either is."""

    dtype = no_complex("maximum")

    def scalar(input, other):
        return maximum(input, other)

    def d_input(g, input, other):
        return where(input == other, g * 0.5, where(input < other, zero_like(g), g))

    def d_other(g, input, other):
        return where(input == other, g * 0.5, where(other < input, zero_like(g), g))


@op("minimum(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor")
class Minimum(Pointwise):
    """The smaller of two elements; NaN where either is."""

    dtype = no_complex("minimum")

    def scalar(input, other):
        return minimum(input, other)

    def d_input(g, input, other):
        return where(input == other, g * 0.5, where(input > other, zero_like(g), g))

    def d_other(g, input, other):
        return where(input == other, g * 0.5, where(other > input, zero_like(g), g))


def _either(larger: bool):
    """The larger or smaller of two expressions; a number beside NaN wins."""

    def choose(x, y):
        better = x >= y if larger else x <= y
        return where(better | isnan(y), x, y)

    return choose


_larger, _smaller = _either(True), _either(False)


@op("fmax(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor")
class Fmax(Pointwise):
    """The larger of two elements; the other one where one is NaN."""

    dtype = no_complex("fmax")

    def scalar(input, other):
        return _larger(input, other)

    def d_input(g, input, other):
        return where((input >= other) | isnan(other), g, zero_like(g))

    def d_other(g, input, other):
        return where((input >= other) | isnan(other), zero_like(g), g)


@op("fmin(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor")
class Fmin(Pointwise):
    """The smaller of two elements; the other one where one is NaN."""

    dtype = no_complex("fmin")

    def scalar(input, other):
        return _smaller(input, other)

    def d_input(g, input, other):
        return where((input <= other) | isnan(other), g, zero_like(g))

    def d_other(g, input, other):
        return where((input <= other) | isnan(other), zero_like(g), g)


# -- interpolation ---------------------------------------------------------------------------------------------------


@op("lerp(Tensor input, Tensor end, Operand weight, *, Tensor? out=None) -> Tensor", inplace=True)
class Lerp(Pointwise):
    """``input + weight * (end - input)``, exact at both ends."""

    value_kind = ("input", "end")

    def dtype(common):
        if common.kind < FLOAT:
            raise not_implemented("lerp_kernel_scalar", common)
        return common, common

    def check(input, end, weight):
        one = _SPELLED.get(input.dtype.name, input.dtype.name)
        require(
            input.dtype is end.dtype,
            f"expected dtype {one} for `end` but got dtype {_SPELLED.get(end.dtype.name, end.dtype.name)}",
        )
        if isinstance(weight, Layout):
            require(weight.dtype is input.dtype or weight.ndim == 0,
                    f"expected dtype {one} for `weight` but got dtype "
                    f"{_SPELLED.get(weight.dtype.name, weight.dtype.name)}")  # fmt: skip

    def scalar(input, end, weight):
        weight = as_type_of(weight, input)
        step = end - input
        small = abs(weight) < 0.5 if not isinstance(weight, Expr) else fabs(weight) < 0.5
        return where(small, input + weight * step, end - step * (1 - weight))

    def d_input(g, weight):
        return g * conj(1 - as_type_of(weight, g))

    def d_end(g, weight):
        return g * conj(as_type_of(weight, g))

    def d_weight(g, input, end):
        return g * conj(end - input)


@op("heaviside(Tensor input, Tensor values, *, Tensor? out=None) -> Tensor", inplace=True)
class Heaviside(Pointwise):
    """0 below zero, 1 above, ``values`` at zero (and 0 for NaN)."""

    dtype = promote

    def check(input, values):
        require(input.dtype.kind != COMPLEX and values.dtype.kind != COMPLEX,
                "heaviside is not yet implemented for complex tensors.")  # fmt: skip
        require(
            input.dtype is values.dtype, "heaviside is not yet implemented for tensors with different dtypes."
        )

    def check_out(result, out):
        require(
            out.dtype is result.dtype, "heaviside is not yet implemented for tensors with different dtypes."
        )

    def scalar(input, values):
        one, zero = zero_like(input) + 1 if input.type != "b1" else input, zero_like(input)
        return where(input == 0, values, where(input > 0, one, zero))
