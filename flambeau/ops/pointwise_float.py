"""What concerns the form of floating-point numbers: signs, neighbours, exponents, NaN and infinity."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..base.dtype import type_name
from ..base.errors import require
from ..ir.expr import Pair, bitcast, constant, convert, copysign, fabs, isnan, nextafter, where
from ..return_types import structure_of
from .define import op, ops
from .kinds import Composite, Pointwise, int_to_float, to_bool
from .out_rules import bool_out, long_name
from .pointwise_types import (
    COMPLEX,
    FLOAT,
    is_finite,
    is_infinite,
    is_integer,
    negative_sign,
    not_implemented,
    zero_like,
)  # fmt: skip


@op("copysign(Tensor input, Operand other, *, Tensor? out=None) -> Tensor", inplace=True)
class Copysign(Pointwise):
    """The magnitude of ``input`` with the sign of ``other``."""

    def dtype(common):
        if common.kind == COMPLEX:
            raise not_implemented("copysign_cpu", common)
        return int_to_float(common)

    def scalar(input, other):
        return copysign(input, other)

    def d_input(g, input, result):
        return where(input == 0, zero_like(g), g * (result / input))

    def d_other(g):
        return zero_like(g)


def neighbour(x, other, kind: DType):
    """The next number of a type of 16 bits, among float32 numbers: x and the result are numbers of that type too."""
    dropped = 16 if kind is types.bfloat16 else 13  # bits of a float32 mantissa that the type lacks
    magnitude = bitcast(x, "i32") & 0x7FFFFFFF
    outward = (other > x) == (x > 0)
    step = constant(1 << dropped, "i32")
    moved = magnitude + where(outward, step, -step)
    if kind is types.float16:
        # Below 2**-14 the numbers lie 2**-24 apart, which float32 has no subnormal numbers for; the largest is 65504.
        small = where(outward, magnitude < 0x38800000, magnitude <= 0x38800000)
        even = fabs(x) + where(outward, constant(2.0**-24, "f32"), constant(-(2.0**-24), "f32"))
        moved = where(small, bitcast(even, "i32"), moved)
        moved = where(magnitude == 0x7F800000, constant(0x477FE000, "i32"), moved)
    sign = where(x == 0, bitcast(other, "i32"), bitcast(x, "i32")) & -0x80000000
    least = constant(1 << 16, "i32") if kind is types.bfloat16 else bitcast(constant(2.0**-24, "f32"), "i32")
    found = bitcast(where(x == 0, least, moved) | sign, "f32")
    return where(isnan(x) | isnan(other), x + other, where(x == other, other, found))


@op("nextafter(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor", inplace=True)
class Nextafter(Pointwise):
    """The next representable number from ``input`` towards ``other``."""

    def dtype(common):
        if common.kind != FLOAT or common.itemsize < 2:
            raise not_implemented("nextafter_cpu", common)
        return common, common

    def scalar(input, other, input_layout, other_layout):
        both = (input_layout, other_layout)
        sized, single = [x.dtype for x in both if x.ndim], [x.dtype for x in both if not x.ndim]
        common = types.result_dtype(sized, single, [])
        return nextafter(input, other) if common.itemsize > 2 else neighbour(input, other, common)

    def d_input(g, input, other):
        return where(input == other, zero_like(g), g)

    def d_other(g):
        return zero_like(g)


@op("frexp_parts(Tensor input) -> (Tensor, Tensor)", function=False, method=False)
class FrexpParts(Pointwise):
    """Mantissa in [0.5, 1) and exponent, as tensors of their own."""

    def dtype(common):
        require(common.kind == FLOAT, "torch.frexp() only supports floating-point dtypes")
        return (types.float64 if common is types.float64 else types.float32), (common, types.int32)

    def scalar(input):
        wide = input.type == "f64"
        integer, shift, mask, half = ("i64", 52, 0x7FF, 0x3FE) if wide else ("i32", 23, 0xFF, 0x7E)
        lift = 2.0**54 if wide else 2.0**25  # brings subnormal numbers into the normal range
        lifted = input * lift
        small = ((bitcast(input, integer) >> shift) & mask) == 0
        x = where(small, lifted, input)
        bits = bitcast(x, integer)
        exponent = (
            ((bits >> shift) & mask)
            - half
            - where(small, constant(54 if wide else 25, integer), constant(0, integer))
        )
        mantissa = bitcast((bits & ~(mask << shift)) | (half << shift), input.type)
        plain = (input == 0) | ~is_finite(input)
        return where(plain, input, mantissa), convert(where(plain, constant(0, integer), exponent), "i32")

    def d_input(g0, result1):
        return g0 * ops.pow(2.0, -result1.to(g0.dtype))


@op("frexp(Tensor input, *, Tensor? out=None) -> (Tensor, Tensor)")
class Frexp(Composite):
    """(mantissa, exponent) with ``input == mantissa * 2**exponent`` and the mantissa in [0.5, 1)."""

    def check_out(input, out):
        mantissa, exponent = out
        require(
            mantissa.dtype is input.dtype,
            f"torch.frexp() expects mantissa to have dtype {long_name(input.dtype)} but got "
            f"{long_name(mantissa.dtype)}",
        )
        require(
            exponent.dtype is types.int32,
            f"torch.frexp() expects exponent to have int dtype but got {long_name(exponent.dtype)}",
        )

    def body(input):
        return structure_of("frexp")(ops.frexp_parts(input))


@op(
    "nan_to_num(Tensor input, float? nan=None, float? posinf=None, float? neginf=None, *, Tensor? out=None) -> Tensor",
    inplace=True,
)
class NanToNum(Pointwise):
    """NaN becomes ``nan`` (0), infinities ``posinf`` and ``neginf`` (by default the type's limits)."""

    def samples(make):
        return [
            ((make(2, 3),), {}),
            ((make(2, 3) / 0,), {"posinf": 3.0, "neginf": -2.0, "nan": 1.0}),
        ]

    def dtype(common):
        return common, common

    def check_out(result, out):
        have, want = type_name(out.dtype), type_name(result.dtype)
        require(have == want, f"nan_to_num: dtype of out: {have} should be same as input: {want}")

    def scalar(input, nan, posinf, neginf, input_layout):
        if is_integer(input):
            return input
        kind = input_layout.dtype.to_real()
        largest = _LARGEST[kind.name]
        high = largest if posinf is None else posinf
        low = -largest if neginf is None else neginf

        def fix(x):
            found = where(isnan(x), constant(0.0 if nan is None else nan, x.type), x)
            found = where(x == float("inf"), constant(high, x.type), found)
            return where(x == float("-inf"), constant(low, x.type), found)

        return Pair(fix(input.re), fix(input.im)) if isinstance(input, Pair) else fix(input)

    def d_input(g, input):
        return where(_plain(input), g, zero_like(g))


_LARGEST = {
    "float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38,
    "float64": 1.7976931348623157e308,
}  # fmt: skip


def _plain(x):
    return is_finite(x) if hasattr(x, "re") or hasattr(x, "is_float") else x.isfinite()


# -- tests of elements -----------------------------------------------------------------------------------------------


@op("isnan(Tensor input) -> Tensor")
class IsNan(Pointwise):
    """Whether each element is NaN (either part of a complex one)."""

    dtype = to_bool

    def scalar(input):
        return isnan(input)


@op("isinf(Tensor input) -> Tensor")
class IsInf(Pointwise):
    """Whether each element is infinite (either part of a complex one)."""

    dtype = to_bool

    def scalar(input):
        return is_infinite(input)


@op("isfinite(Tensor input) -> Tensor")
class IsFinite(Pointwise):
    """Whether each element is neither infinite nor NaN."""

    dtype = to_bool

    def scalar(input):
        return is_finite(input)


def real_to_bool(name: str):
    def rule(common: DType):
        require(common.kind != COMPLEX, f"{name} does not support complex inputs.")
        return common, types.bool_

    return rule


@op("isposinf(Tensor input, *, Tensor? out=None) -> Tensor")
class IsPosInf(Pointwise):
    """Whether each element is positive infinity."""

    check_out = bool_out("isposinf")
    dtype = real_to_bool("isposinf")

    def scalar(input):
        return constant(False, "b1") if is_integer(input) else input == float("inf")


@op("isneginf(Tensor input, *, Tensor? out=None) -> Tensor")
class IsNegInf(Pointwise):
    """Whether each element is negative infinity."""

    check_out = bool_out("isneginf")
    dtype = real_to_bool("isneginf")

    def scalar(input):
        return constant(False, "b1") if is_integer(input) else input == float("-inf")


@op("isreal(Tensor input) -> Tensor")
class IsReal(Pointwise):
    """Whether the imaginary part of each element is 0."""

    dtype = to_bool

    def scalar(input):
        return input.im == 0 if isinstance(input, Pair) else constant(True, "b1")


@op("signbit(Tensor input, *, Tensor? out=None) -> Tensor")
class Signbit(Pointwise):
    """Whether the sign bit of each element is set (also of -0.0 and NaN)."""

    check_out = bool_out("signbit")

    def dtype(common):
        require(
            common.kind != COMPLEX, "signbit is not implemented for complex tensors.", NotImplementedError
        )
        return common, types.bool_

    def scalar(input):
        return input < 0 if is_integer(input) else negative_sign(input)
