"""Bits of integers, and their greatest common divisors."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..base.errors import require
from ..ir.expr import Expr, constant, where
from .define import op
from .kinds import Pointwise
from .out_rules import same_type_out
from .pointwise_types import BOOL, FLOAT, INTEGER, not_implemented


def integer_pair(make):
    """Samples of two integer tensors that broadcast."""
    return [((make(2, 3, low=-9, high=9, dtype=types.int64), make(3, low=1, high=9, dtype=types.int64)), {})]


def integers(kernel: str, bools: bool = True):
    """The type rule of functions of integers, and of bool where `bools`."""

    def rule(common: DType):
        if common.kind >= FLOAT or common.kind == BOOL and not bools:
            raise not_implemented(kernel, common)
        return common, common

    return rule


@op(
    "bitwise_and(Operand input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True, methods="__and__ __rand__ __iand__",
)  # fmt: skip
class BitwiseAnd(Pointwise):
    """Bits set in both; the logical and of bools."""

    samples = integer_pair
    dtype = integers("bitwise_and_cpu")

    def scalar(input, other):
        return input & other


@op(
    "bitwise_or(Operand input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True, methods="__or__ __ror__ __ior__",
)  # fmt: skip
class BitwiseOr(Pointwise):
    """Bits set in either; the logical or of bools."""

    samples = integer_pair
    dtype = integers("bitwise_or_cpu")

    def scalar(input, other):
        return input | other


@op(
    "bitwise_xor(Operand input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True, methods="__xor__ __rxor__ __ixor__",
)  # fmt: skip
class BitwiseXor(Pointwise):
    """Bits set in one of the two; the exclusive or of bools."""

    samples = integer_pair
    dtype = integers("bitwise_xor_cpu")

    def scalar(input, other):
        return input ^ other


@op("bitwise_not(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class BitwiseNot(Pointwise):
    """Bits flipped; the logical not of bools."""

    def samples(make):
        return [((make(2, 3, low=-9, high=9, dtype=types.int64),), {})]

    check_out = same_type_out
    dtype = integers("bitwise_not_cpu")

    def scalar(input):
        return ~input


@op("invert(Tensor input) -> Tensor", function=False, method=False, methods="__invert__")
class Invert(Pointwise):
    """``~input``."""

    def dtype(common):
        return common, common

    def check(input):
        require(input.dtype.kind <= INTEGER, "~ (operator.invert) is only implemented on integer and Boolean-type tensors",
                TypeError)  # fmt: skip

    def scalar(input):
        return ~input


# -- divisors --------------------------------------------------------------------------------------------------------


def greatest_divisor(x: Expr, y: Expr) -> Expr:
    return Expr("gcd", (abs(x), abs(y)), x.type)


@op("gcd(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor", inplace=True)
class Gcd(Pointwise):
    """Greatest common divisor; never negative."""

    samples = integer_pair
    dtype = integers("gcd_cpu", bools=False)

    def scalar(input, other):
        return greatest_divisor(input, other)


@op("lcm(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor", inplace=True)
class Lcm(Pointwise):
    """Least common multiple; never negative."""

    samples = integer_pair
    dtype = integers("lcm_cpu", bools=False)

    def scalar(input, other):
        divisor = greatest_divisor(input, other)
        none = divisor == 0
        return where(
            none, constant(0, input.type), abs(input / where(none, constant(1, input.type), divisor) * other)
        )


# -- shifts ----------------------------------------------------------------------------------------------------------

_BITS = {"u8": 8, "i8": 8, "i16": 16, "i32": 32, "i64": 64, "u16": 16, "u32": 32, "u64": 64}


def shifted_left(x: Expr, by: Expr) -> Expr:
    """x << by; 0 where `by` is negative or no smaller than the number of bits."""
    outside = (by < 0) | (by >= _BITS[x.type])
    zero = constant(0, x.type)
    return where(outside, zero, x << where(outside, zero, by))


def shifted_right(x: Expr, by: Expr) -> Expr:
    """x >> by with the sign kept; all sign where `by` is negative or no smaller than the number of bits."""
    last = _BITS[x.type] - (0 if x.type.startswith("u") else 1)
    outside = (by < 0) | (by >= _BITS[x.type])
    if x.type.startswith("u"):
        zero = constant(0, x.type)
        return where(outside, zero, x >> where(outside, zero, by))
    return x >> where(outside, constant(last, x.type), by)


@op(
    "bitwise_left_shift(Operand input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True, methods="__lshift__ __ilshift__",
)  # fmt: skip
class BitwiseLeftShift(Pointwise):
    """``input * 2**other`` by moving bits."""

    samples = integer_pair
    dtype = integers("lshift_cpu", bools=False)

    def scalar(input, other):
        return shifted_left(input, other)


@op(
    "bitwise_right_shift(Operand input, Operand other, *, Tensor? out=None) -> Tensor",
    inplace=True, methods="__rshift__ __irshift__",
)  # fmt: skip
class BitwiseRightShift(Pointwise):
    """``floor(input / 2**other)`` by moving bits."""

    samples = integer_pair
    dtype = integers("rshift_cpu", bools=False)

    def scalar(input, other):
        return shifted_right(input, other)


@op("rlshift(Tensor input, Operand other) -> Tensor", function=False, method=False, methods="__rlshift__")
class RLeftShift(Pointwise):
    """``other << input``."""

    dtype = integers("lshift_cpu", bools=False)

    def scalar(input, other):
        return shifted_left(other, input)


@op("rrshift(Tensor input, Operand other) -> Tensor", function=False, method=False, methods="__rrshift__")
class RRightShift(Pointwise):
    """``other >> input``."""

    dtype = integers("rshift_cpu", bools=False)

    def scalar(input, other):
        return shifted_right(other, input)
