"""Building blocks of the transcendental functions: constants, polynomials, powers of two, doubled precision.

A pair (high, low) of one type stands for the unevaluated sum high + low with |low| at most half an ulp of
high (Dekker, 1971); `two_product` uses fma, so it costs two instructions.
"""

from __future__ import annotations

from collections.abc import Sequence

from .expr import Expr, bitcast, constant, convert, fma, where

INFINITY = float("inf")
NAN = float("nan")
#: ln 2 in two parts: the first has 16 (float32) or 40 (float64) bits, so that its product with an exponent is
#: exact
LN2 = {"f32": (0.693145751953125, 1.4286068202862268e-06), "f64": (0.6931471805592082, 7.371002565167799e-13)}
LOG2_E = 1.4426950408889634

_INTEGER = {"f32": "i32", "f64": "i64"}
_MANTISSA = {"f32": 23, "f64": 52}
_BIAS = {"f32": 127, "f64": 1023}
#: 1.5 * 2**mantissa: adding it rounds to a whole number, which then stands in the low bits
_ROUNDER = {"f32": (12582912.0, 0x4B400000), "f64": (6755399441055744.0, 0x4338000000000000)}


def polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """coefficients[0] + coefficients[1] * x + ... by Horner's rule with fma."""
    result = constant(coefficients[-1], x.type)
    for c in reversed(coefficients[:-1]):
        result = fma(result, x, constant(c, x.type))
    return result


def round_scaled(x: Expr, scale: float) -> tuple[Expr, Expr]:
    """The whole number nearest to x * scale, as a float and as an integer (|x * scale| < 2**21)."""
    magic, bits = _ROUNDER[x.type]
    shifted = fma(x, constant(scale, x.type), constant(magic, x.type))
    return shifted - magic, bitcast(shifted, _INTEGER[x.type]) - bits


def power_of_two(n: Expr, type: str) -> Expr:
    """2**n for an integer n in the exponent range of normal numbers."""
    return bitcast((n + _BIAS[type]) << _MANTISSA[type], type)


def scale(x: Expr, n: Expr, same: Expr | None = None) -> Expr:
    """x * 2**n, rounded once where the result is subnormal; |n| may be twice the exponent range.

    same: n as a float, which some processors' instructions take.
    """
    return Expr("ldexp", (x, n) if same is None else (x, n, same), x.type)


def bits_of(x: Expr) -> Expr:
    return bitcast(x, _INTEGER[x.type])


def split_exponent(x: Expr) -> tuple[Expr, Expr]:
    """(m, k) with x = m * 2**k and m in [sqrt(1/2), sqrt(2)), for normal positive x; k is an integer."""
    shift = _MANTISSA[x.type]
    root = 0x3F3504F3 if x.type == "f32" else 0x3FE6A09E667F3BCD
    bits = bits_of(x)
    k = (bits - root) >> shift
    return bitcast(bits - (k << shift), x.type), k


def clamp(x: Expr, low: float, high: float) -> Expr:
    """x limited to [low, high]; NaN stays."""
    x = where(x > high, constant(high, x.type), x)
    return where(x < low, constant(low, x.type), x)


def widen(x: Expr) -> Expr:
    return convert(x, "f64")


def narrow(x: Expr) -> Expr:
    return convert(x, "f32")


def through_f64(function):
    """The float32 function that evaluates `function` in float64."""
    return lambda *args: narrow(function(*(widen(a) for a in args)))


def by_type(f32, f64):
    """A lowering rule from one function for each type."""
    return lambda *args: (f32 if args[0].type == "f32" else f64)(*args)


# -- doubled precision ---------------------------------------------------------------------------------------

Double = tuple[Expr, Expr]


def fast_two_sum(a: Expr, b: Expr) -> Double:
    """a + b exactly, for |a| >= |b| or a == 0."""
    s = a + b
    return s, b - (s - a)


def two_sum(a: Expr, b: Expr) -> Double:
    """a + b exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def two_product(a: Expr, b: Expr) -> Double:
    p = a * b
    return p, fma(a, b, -p)


def double_add(x: Double, y: Double) -> Double:
    """x + y for |x| >= |y| (Dekker)."""
    s, e = fast_two_sum(x[0], y[0])
    return fast_two_sum(s, e + (x[1] + y[1]))


def double_multiply(x: Double, y: Double) -> Double:
    p, e = two_product(x[0], y[0])
    return fast_two_sum(p, e + fma(x[0], y[1], x[1] * y[0]))


def double_constant(high: float, low: float, like: Expr) -> Double:
    return constant(high, like.type), constant(low, like.type)
