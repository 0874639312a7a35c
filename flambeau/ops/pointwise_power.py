"""Powers and roots."""

from __future__ import annotations

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..ir.expr import Expr, conj, constant, is_symbolic, pow, sqrt, where
from .define import op, ops
from .kinds import Composite, Pointwise, int_to_float
from .out_rules import castable, worded
from .pointwise_types import (
    BOOL,
    FLOAT,
    INTEGER,
    bool_to_int64,
    is_integer,
    log_of,
    not_implemented,
    real_part,
    zero_like,
)  # fmt: skip


def integer_power(x: Expr, n: Expr) -> Expr:
    """x**n of integers by repeated squaring, wrapping around; a negative power is 0 unless x is 1 or -1."""
    one = constant(1, x.type)
    result = Expr("ipow", (x, n), x.type)
    if x.type == "u8":
        return result
    odd = (n & 1) != 0
    inverse = where(x == 1, one, where(x == -1, where(odd, -one, one), constant(0, x.type)))
    return where(n < 0, inverse, result)


def general_power(x, n):
    if is_integer(x):
        return integer_power(x, n)
    return pow(x, n)


def pow_type(common: DType) -> tuple[DType, DType]:
    if common.kind == BOOL:
        raise not_implemented("pow", common)
    return (types.complex128 if common is types.complex64 else common), common


def power_slope(x, n):
    """The derivative of x**n in x."""
    return where(n == 0, zero_like(x), n * general_power(x, n - 1))


@op("power(Tensor input, Operand exponent) -> Tensor", function=False, method=False)
class Power(Pointwise):
    """``input ** exponent`` for any exponent."""

    def samples(make):
        return [
            ((make(2, 3, low=0.2, high=3), make(2, 3)), {}),
            ((make(2, 3, low=0.2, high=3), 1.7), {}),
        ]

    dtype = pow_type

    def scalar(input, exponent):
        return general_power(input, exponent)

    def d_input(g, input, exponent):
        return g * conj(power_slope(input, exponent))

    def d_exponent(g, input, exponent, result):
        flat = (input == 0) & (real_part(exponent) >= 0)
        return g * conj(where(flat, zero_like(g), result * log_of(input)))


@op("power_of(Tensor input, Operand base) -> Tensor", function=False, method=False)
class PowerOf(Pointwise):
    """``base ** input`` for a number ``base``."""

    def samples(make):
        return [((make(2, 3), 2.5), {})]

    dtype = pow_type

    def scalar(input, base):
        return general_power(base, input)

    def d_input(g, input, base, result):
        if is_symbolic(base):
            flat = (base == 0) & (real_part(input) >= 0)
            return g * conj(where(flat, zero_like(g), result * log_of(base)))
        if base == 0:
            return g * where(real_part(input) >= 0, 0, result * float("-inf"))
        return g * conj(result * log_of(base))


@op("cube(Tensor input) -> Tensor", function=False, method=False)
class Cube(Pointwise):
    """``input ** 3``."""

    def samples(make):
        return [((make(2, 3),), {})]

    dtype = bool_to_int64

    def scalar(input):
        return input * input * input

    def d_input(g, input):
        return g * conj(input * input) * 3


@op("inverse_square(Tensor input) -> Tensor", function=False, method=False)
class InverseSquare(Pointwise):
    """``input ** -2``."""

    def samples(make):
        return [((make(2, 3),), {})]

    dtype = int_to_float

    def scalar(input):
        return 1.0 / (input * input)

    def d_input(g, input, result):
        return g * conj(result / input) * -2


#: exponents that have an operator of their own
_BY_EXPONENT = {2: "square", 3: "cube", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal", -2: "inverse_square"}


@op(
    "pow(Operand input, Operand exponent, *, Tensor? out=None) -> Tensor",
    inplace=True, methods="__pow__ __ipow__",
)  # fmt: skip
class Pow(Composite):
    """``input ** exponent``.

    Dtype: promoted; integers wrap around. Raises: RuntimeError for an integer tensor and a negative integer number.

    >>> import flambeau as torch
    >>> torch.tensor([1.0, 2.0, 3.0]) ** 2
    tensor([1., 4., 9.])
    """

    check_out = castable

    def body(input, exponent):
        kind = type(exponent)
        if kind is int or kind is float:
            integral = not isinstance(input, (int, float, complex)) and input.dtype.kind < FLOAT
            if integral and kind is int and exponent < 0 and input.dtype.kind == INTEGER:
                raise RuntimeError("Integers to negative integer powers are not allowed.")
            named = _BY_EXPONENT.get(exponent)
            if (
                named is not None
                and not isinstance(input, (int, float, complex))
                and (kind is int or not integral)
            ):
                return getattr(ops, named)(input)
        if isinstance(input, (bool, int, float, complex)):
            return ops.power_of(exponent, input)
        if kind is bool and input.dtype.kind == BOOL:
            return ops.logical_or(input, ops.full((), not exponent, device=input.device))
        return ops.power(input, exponent)


@op("rpow(Tensor input, Operand base) -> Tensor", function=False, method=False, methods="__rpow__")
class RPow(Composite):
    """``base ** input``."""

    def body(input, base):
        return ops.pow(base, input)


@op("float_power(Operand input, Operand exponent, *, Tensor? out=None) -> Tensor", inplace=True)
class FloatPower(Composite):
    """``input ** exponent`` computed in, and giving, float64 (complex128 where an operand is complex)."""

    check_out = worded(
        "the output given to float_power has dtype {have} but the operation's result requires dtype {want}",
        cast=False,
    )

    def body(input, exponent):
        kinds = [
            isinstance(x, complex) if isinstance(x, (int, float, complex)) else x.is_complex()
            for x in (input, exponent)
        ]
        goal = types.complex128 if any(kinds) else types.float64
        number = complex if any(kinds) else float
        ready = [number(x) if isinstance(x, (int, float, complex)) else x.to(goal) for x in (input, exponent)]
        return ops.pow(*ready)


@op("square(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Square(Pointwise):
    """``input * input``. Dtype: bool gives int64."""

    dtype = bool_to_int64

    def scalar(input):
        return input * input

    def d_input(g, input):
        return g * conj(input) * 2


@op("sqrt(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Sqrt(Pointwise):
    """Square root; NaN below zero."""

    dtype = int_to_float

    def scalar(input):
        return sqrt(input)

    def d_input(g, result):
        return g / conj(result * 2)


@op("rsqrt(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Rsqrt(Pointwise):
    """``1 / sqrt(input)``."""

    dtype = int_to_float

    def scalar(input):
        return 1.0 / sqrt(input)

    def d_input(g, result):
        return g * conj(result * result * result) * -0.5


@op("reciprocal(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Reciprocal(Pointwise):
    """``1 / input``."""

    dtype = int_to_float

    def scalar(input):
        return 1.0 / input

    def d_input(g, result):
        return -(g * conj(result * result))
