"""Functions of two numbers (pow, hypot, fmod, nextafter) and the logarithm in doubled precision.

x**y = exp(y log x). An error in log x is multiplied by y log x (up to 745), so float64 takes the logarithm to
about 2**-68 as an unevaluated sum of two numbers; float32 takes it in plain float64.
"""

from __future__ import annotations

from .expr import Expr, bitcast, constant, copysign, fabs, fma, sqrt, trunc, where
from .math_exp_log import exp_double, exp_short, log2_f32, log10_f32, log_core, log_limits, split_log
from .math_parts import (
    INFINITY,
    LN2,
    LOG2_E,
    NAN,
    Double,
    bits_of,
    by_type,
    clamp,
    double_add,
    double_constant,
    double_multiply,
    fast_two_sum,
    narrow,
    polynomial,
    two_product,
    two_sum,
    widen,
)

# (2 atanh(s) - 2 s - 2 s**3 / 3) / s**5 in s**2 for |s| <= 0.0725: relative error of the logarithm 2**-78
_LOG_TAIL = (
    0.3999999999999999, 0.285714285714503, 0.22222222202391106, 0.18181827060605021, 0.15382521702127225,
    0.1358272645205431,
)  # fmt: skip
_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
# -log(3/4), -log(5/4)
_LOG_FACTORS = ((0.2876820724517809, 2.607160616442564e-17), (-0.22314355131420976, 9.091270597324799e-18))


def log_double(x: Expr) -> Double:
    """log(x) of positive finite float64 as a sum of two numbers, to about 2**-68.

    m is brought nearer to 1 by the exact factors 3/4 and 5/4, so that |s| = |f / (2 + f)| <= 0.0725.
    """
    m, k = split_log(x)
    large, small = m > 1.15, m < 0.87
    one, zero = constant(1.0, "f64"), constant(0.0, "f64")
    factor = where(large, constant(0.75, "f64"), where(small, constant(1.25, "f64"), one))
    (large_high, large_low), (small_high, small_low) = _LOG_FACTORS
    offset = where(large, constant(large_high, "f64"), where(small, constant(small_high, "f64"), zero))
    offset_low = where(large, constant(large_low, "f64"), where(small, constant(small_low, "f64"), zero))
    tail = log1p_double(fma(m, factor, constant(-1.0, "f64")))
    high, error = two_sum(k * LN2["f64"][0], offset)
    low = fma(k, constant(LN2["f64"][1], "f64"), error + offset_low)
    return double_add(fast_two_sum(high, low), tail)


def log1p_double(f: Expr) -> Double:
    """log(1 + f) for |f| <= 0.15 as a sum of two numbers."""
    divisor, lost = fast_two_sum(constant(2.0, "f64"), f)
    inverse = 1.0 / divisor
    s = f * inverse
    s_low = (fma(-s, divisor, f) - s * lost) * inverse
    z, z_low = two_product(s, s)
    z_low = fma(s * 2.0, s_low, z_low)
    high, low = fast_two_sum(constant(_TWO_THIRDS[0], "f64"), z * polynomial(z, _LOG_TAIL))
    cubic = double_multiply(double_multiply((s, s_low), (z, z_low)), (high, low + _TWO_THIRDS[1]))
    return double_add((s * 2.0, s_low * 2.0), cubic)


def _log_times(x: Expr, factor: Double) -> Expr:
    high, low = double_multiply(log_double(x), factor)
    return log_limits(x, high + low)


def log2_f64(x: Expr) -> Expr:
    return _log_times(x, double_constant(LOG2_E, 2.0355273740931033e-17, x))


def log10_f64(x: Expr) -> Expr:
    return _log_times(x, double_constant(0.4342944819032518, 1.098319650216765e-17, x))


def _pow_limits(x: Expr, y: Expr, size: Expr) -> Expr:
    """C99's special cases on top of `size` = |x|**y for ordinary |x|."""
    t = x.type
    base = fabs(x)
    zero, infinite, one = constant(0.0, t), constant(INFINITY, t), constant(1.0, t)
    flat = base == 0.0
    size = where(flat | (base == INFINITY), where(flat ^ (y < 0.0), zero, infinite), size)
    whole = trunc(y) == y
    half = y * 0.5
    odd = whole & (trunc(half) != half)
    negative = copysign(one, x) < 0.0
    size = where(negative & odd, -size, size)
    size = where((x < 0.0) & (x > -INFINITY) & ~whole, constant(NAN, t), size)
    size = where((base == 1.0) & (fabs(y) == INFINITY), one, size)
    size = where((x != x) | (y != y), x + y, size)
    return where((y == 0.0) | (x == 1.0), one, size)


def pow_f32(x: Expr, y: Expr) -> Expr:
    base = widen(fabs(x))
    m, k = split_log(base)
    power = widen(y) * log_core(m - 1.0, k)
    return _pow_limits(x, y, narrow(exp_short(clamp(power, -200.0, 200.0))))


def pow_f64(x: Expr, y: Expr) -> Expr:
    high, low = log_double(fabs(x))
    power, error = two_product(y, high)
    error = fma(y, low, error)
    error = where(fabs(power) < 800.0, error, constant(0.0, "f64"))
    return _pow_limits(x, y, exp_double(clamp(power, -800.0, 800.0), error))


def hypot_f32(x: Expr, y: Expr) -> Expr:
    a, b = widen(x), widen(y)
    return _hypot_limits(x, y, narrow(sqrt(fma(a, a, b * b))))


def _hypot_limits(x: Expr, y: Expr, value: Expr) -> Expr:
    infinite = (fabs(x) == INFINITY) | (fabs(y) == INFINITY)
    return where(infinite, constant(INFINITY, x.type), value)


def hypot_f64(x: Expr, y: Expr) -> Expr:
    """Squares as sums of two numbers, of arguments scaled by a power of two; one correction of the root."""
    a, b = fabs(x), fabs(y)
    large, one = where(a > b, a, b), constant(1.0, "f64")
    up = where(
        large < 1e-140, constant(2.0**600, "f64"), where(large > 1e140, constant(2.0**-600, "f64"), one)
    )
    down = where(
        large < 1e-140, constant(2.0**-600, "f64"), where(large > 1e140, constant(2.0**600, "f64"), one)
    )
    square_a, low_a = two_product(a * up, a * up)
    square_b, low_b = two_product(b * up, b * up)
    total, error = two_sum(square_a, square_b)
    root = sqrt(total)
    rest = fma(-root, root, total) + (error + (low_a + low_b))
    root = root + rest / where(root > 0.0, root + root, one)
    return _hypot_limits(x, y, root * down)


def fmod(x: Expr, y: Expr) -> Expr:
    """The exact C remainder."""
    return Expr("mod", (x, y), x.type)


def nextafter(x: Expr, y: Expr) -> Expr:
    """One step on the integers that order floats of one sign."""
    bits = bits_of(x)
    away = (y > x) == (x > 0.0)
    stepped = bitcast(where(away, bits + 1, bits - 1), x.type)
    smallest = copysign(bitcast(constant(1, bits.type), x.type), y)
    moved = where(x == 0.0, smallest, stepped)
    return where((x != x) | (y != y), x + y, where(x == y, y, moved))


RULES = {
    "log2": by_type(log2_f32, log2_f64),
    "log10": by_type(log10_f32, log10_f64),
    "pow": by_type(pow_f32, pow_f64),
    "hypot": by_type(hypot_f32, hypot_f64),
    "fmod": fmod,
    "nextafter": nextafter,
}
