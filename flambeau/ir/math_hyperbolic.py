"""Hyperbolic functions and their inverses.

Near 0 odd polynomials; elsewhere exponentials, and logarithms of 1 + u with u in doubled precision.
"""

from __future__ import annotations

from .expr import Expr, constant, copysign, fabs, fma, sqrt, where
from .math_exp_log import EXP_TAIL, exp_f64, exp_half, exp_short, log1p_core
from .math_parts import (
    INFINITY,
    LN2,
    LOG2_E,
    NAN,
    Double,
    by_type,
    clamp,
    fast_two_sum,
    narrow,
    polynomial,
    power_of_two,
    round_scaled,
    scale,
    through_f64,
    two_product,
    two_sum,
    widen,
)

# (exp(r) - 1 - r) / r**2 on |r| <= ln(2)/2: relative error of exp(r) - 1 2**-26
_EXPM1_F32 = (0.49999997, 0.16666539, 0.0416677445, 0.00836705696, 0.00138394407)
# (tanh(x) - x) / x**3 in x**2 for |x| <= 0.6: 2**-62
_TANH_F64 = (
    -0.33333333333333326, 0.13333333333331865, -0.05396825396725828, 0.021869488502534964,
    -0.00886323486608231, 0.0035921196877016725, -0.0014557641776168195, 0.0005896224139675647,
    -0.00023751287350343256, 9.248925449721883e-05, -3.117815930106608e-05, 6.5031098723018875e-06,
)  # fmt: skip
# (sinh(x) - x) / x**3 in x**2 for |x| <= 1: relative error of sinh 2**-62
_SINH_F64 = (
    0.16666666666666669, 0.008333333333332912, 0.00019841269841593405, 2.7557319106760603e-06,
    2.50521309976871e-08, 1.6056659284336227e-10, 7.776595409129595e-13,
)  # fmt: skip


def tanh_f32(x: Expr) -> Expr:
    """m / (m + 2) for m = e**2|x| - 1, and one Newton step that also takes back what m and m + 2 lost in rounding."""
    double = fabs(x) + fabs(x)
    bounded = where(double > 18.2, constant(18.2, "f32"), double)
    n, whole = round_scaled(bounded, LOG2_E)
    # one constant for ln 2 is enough: the product is exact, and what the constant lacks shrinks with 1 - tanh**2
    r = fma(n, constant(-0.69314718, "f32"), bounded)
    power = power_of_two(whole, "f32")
    start = power - 1.0
    high, low = fast_two_sum(r, r * r * polynomial(r, _EXPM1_F32))
    m = fma(high, power, start)
    lost = fma(low, power, fma(high, power, start - m))
    divisor = m + 2.0
    inverse = 1.0 / divisor
    quotient = m * inverse
    rest = fma(-quotient, divisor, m) + lost
    rest = fma(-quotient, (m - (divisor - 2.0)) + lost, rest)
    # copysign also keeps the sign of zero
    return copysign(fma(rest, inverse, quotient), x)


def tanh_f64(x: Expr) -> Expr:
    size = fabs(x)
    z = x * x
    near = fma(x * z, polynomial(z, _TANH_F64), x)
    power = exp_f64(where(size > 20.0, constant(40.0, "f64"), size + size))
    divisor = power + 1.0
    half_lost = fma(divisor - power, constant(-0.5, "f64"), constant(0.5, "f64"))
    quotient = 2.0 / divisor
    quotient = fma(quotient * quotient, -half_lost, quotient)
    return copysign(where(size >= 0.6, 1.0 - quotient, near), x)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e**-x): q = e / (1 + e) for e = e**-|x| with what the roundings lost, then q or 1 - q."""
    t = x.type
    lowest = -104.0 if t == "f32" else -746.0
    bounded = where(fabs(x) > -lowest, constant(lowest, t), -fabs(x))
    n, whole = round_scaled(bounded, LOG2_E)
    start = fma(n, constant(-LN2[t][0], t), bounded)
    r = fma(n, constant(-LN2[t][1], t), start)
    r_low = fma(n, constant(-LN2[t][1], t), start - r)
    tail = fma(r * r, polynomial(r, EXP_TAIL[t]), r)
    high, low = fast_two_sum(constant(1.0, t), tail)
    power, lost = scale(high, whole, n), scale(low + r_low, whole, n)
    divisor, rest = fast_two_sum(constant(1.0, t), power)
    quotient = power / divisor
    rest = fma(-quotient, divisor, power) + (lost - quotient * (rest + lost))
    quotient = fma(rest, 1.0 - quotient, quotient)
    return where(x < 0.0, quotient, 1.0 - quotient)


def sinh_f32(x: Expr) -> Expr:
    wide = widen(clamp(x, -100.0, 100.0))
    z = wide * wide
    near = fma(wide * z, polynomial(z, _SINH_F64[:4]), wide)
    power = exp_short(wide)
    return narrow(where(z > 0.0625, (power - 1.0 / power) * 0.5, near))


def cosh_f32(x: Expr) -> Expr:
    power = exp_short(widen(clamp(x, -100.0, 100.0)))
    return narrow((power + 1.0 / power) * 0.5)


def sinh_f64(x: Expr) -> Expr:
    size = fabs(x)
    z = x * x
    near = fma(x * z, polynomial(z, _SINH_F64), x)
    half = exp_half(size)
    return where(size >= 1.0, copysign(half - 0.25 / half, x), near)


def cosh_f64(x: Expr) -> Expr:
    half = exp_half(fabs(x))
    return half + 0.25 / half


# -- inverses ------------------------------------------------------------------------------------------------


def _double_sqrt(x: Double) -> Double:
    """The root of a positive sum of two numbers (0 for 0)."""
    root = sqrt(x[0])
    rest = fma(-root, root, x[0]) + x[1]
    return root, rest / where(root > 0.0, root + root, constant(1.0, "f64"))


def _double_divide(x: Double, y: Double) -> Double:
    quotient = x[0] / y[0]
    return quotient, (fma(-quotient, y[0], x[0]) + fma(-quotient, y[1], x[1])) / y[0]


def asinh_f64(x: Expr) -> Expr:
    """log(1 + |x| + x**2 / (1 + sqrt(1 + x**2))); for large |x| log|x| + log 2."""
    size = fabs(x)
    large = size > 1e9
    one = constant(1.0, "f64")
    limited = where(large, one, size)
    square = two_product(limited, limited)
    high, error = two_sum(one, square[0])
    root = _double_sqrt((high, error + square[1]))
    divisor, lost = fast_two_sum(root[0], one)
    part = _double_divide(square, (divisor, lost + root[1]))
    u, low = fast_two_sum(limited, part[0])
    value = log1p_core(where(large, size - 1.0, u), where(large, constant(0.0, "f64"), low + part[1]))
    value = where(large, value + 0.6931471805599453, value)
    return copysign(where(size < INFINITY, value, size), x)


def acosh_f64(x: Expr) -> Expr:
    """log(1 + t + sqrt(2 t + t**2)) with t = x - 1; for large x log x + log 2."""
    large = x > 1e9
    t, t_low = two_sum(where(large, constant(2.0, "f64"), x), constant(-1.0, "f64"))
    product = two_product(t, t)
    double = t + t
    high, error = two_sum(double, product[0])
    root = _double_sqrt((high, error + product[1] + t_low * 2.0 * (t + 1.0)))
    u, low = two_sum(root[0], t)
    value = log1p_core(where(large, x - 1.0, u), where(large, constant(0.0, "f64"), low + root[1] + t_low))
    value = where(large, value + 0.6931471805599453, value)
    return where(x < INFINITY, where(x >= 1.0, value, constant(NAN, "f64")), x)


def atanh_f64(x: Expr) -> Expr:
    """log(1 + 2 |x| / (1 - |x|)) / 2."""
    size = fabs(x)
    one = constant(1.0, "f64")
    limited = where(size < 1.0, size, constant(0.5, "f64"))
    zero = constant(0.0, "f64")
    u, low = _double_divide((limited + limited, zero), fast_two_sum(one, -limited))
    value = log1p_core(u, low) * 0.5
    edge = where(size == 1.0, constant(INFINITY, "f64"), where(x != x, x, constant(NAN, "f64")))
    # below 2**-300 halving a subnormal 2 |x| would round twice
    value = where(size < 1e-300, size, where(size < 1.0, value, edge))
    return copysign(value, x)


RULES = {
    "sigmoid": sigmoid,
    "sinh": by_type(sinh_f32, sinh_f64),
    "cosh": by_type(cosh_f32, cosh_f64),
    "tanh": by_type(tanh_f32, tanh_f64),
    "asinh": by_type(through_f64(asinh_f64), asinh_f64),
    "acosh": by_type(through_f64(acosh_f64), acosh_f64),
    "atanh": by_type(through_f64(atanh_f64), atanh_f64),
}
