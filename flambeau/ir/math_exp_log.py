"""Exponentials and logarithms.

exp: x = n ln 2 + r with |r| <= ln(2)/2 (Cody and Waite, 1980), then a minimax polynomial in r and a scaling
by 2**n. log: x = 2**k m with m in [sqrt(1/2), sqrt(2)), then log(m) from f = m - 1 (float32) or from
s = f / (2 + f), where log(m) = 2 atanh(s) (float64). `benchmarks/fit_coefficients.py` derives the numbers.
"""

from __future__ import annotations

from .expr import Expr, bitcast, constant, convert, copysign, fma, where
from .math_parts import (
    INFINITY,
    LN2,
    LOG2_E,
    NAN,
    by_type,
    clamp,
    fast_two_sum,
    narrow,
    polynomial,
    power_of_two,
    round_scaled,
    scale,
    split_exponent,
    widen,
)

# (exp(r) - 1 - r) / r**2 on |r| <= ln(2)/2: relative error of exp 2**-28, 2**-39 and 2**-63
_EXP_F32 = (0.49999994, 0.166665167, 0.0416681096, 0.00836920552, 0.00138383207)
_EXP_SHORT = (
    0.5000000000430249, 0.1666666678515706, 0.041666664391349306, 0.00833328159976416, 0.0013889198368476762,
    0.00019909075576760973, 2.4708107730193155e-05,
)  # fmt: skip
_EXP_F64 = (
    0.5, 0.16666666666666688, 0.041666666666666824, 0.008333333333313899, 0.001388888888877908,
    0.00019841269903320117, 2.480158755353769e-05, 2.7557228767631357e-06, 2.755707597034843e-07,
    2.511389305543639e-08, 2.0974153547199415e-09,
)  # fmt: skip
EXP_TAIL = {"f32": _EXP_F32, "f64": _EXP_F64}
# (2**r - 1) / r on |r| <= 1/2: 2**-31 and 2**-59
_EXP2_F32 = (
    0.693147182,
    0.240226507,
    0.0555040091,
    0.00961808302,
    0.00133428385,
    0.000154538706,
    1.2987849e-05,
)
_EXP2_F64 = (
    0.6931471805599453, 0.2402265069591007, 0.05550410866482338, 0.009618129107630224, 0.0013333558146032876,
    0.00015403530388902875, 1.525273416771234e-05, 1.3215491318159257e-06, 1.0177931882889518e-07,
    7.052954629581423e-09, 4.47338187222536e-10, 2.8721142275353002e-11,
)  # fmt: skip
# (log(1 + f) - f + f**2 / 2) / f**3 on the range of m - 1: 2**-29.7
_LOG_F32 = (
    0.333333135, -0.250000238, 0.200020418, -0.166673943, 0.142207965, -0.124149561, 0.118873566,
    -0.116241574, 0.0668838471,
)  # fmt: skip
# (2 atanh(s) - 2 s) / s**3 in s**2 for |s| <= 0.1716: 2**-66
_LOG_F64 = (
    0.6666666666666666, 0.4000000000000492, 0.2857142856941238, 0.22222222606775285, 0.1818177837046736,
    0.15386988215991101, 0.13252161833997975, 0.13234657328104502,
)  # fmt: skip


def reduce_exp(x: Expr) -> tuple[Expr, Expr]:
    """(r, n) with x = n ln 2 + r; n is an integer."""
    n, whole = round_scaled(x, LOG2_E)
    high, low = LN2[x.type]
    return fma(n, constant(-low, x.type), fma(n, constant(-high, x.type), x)), whole


def exp_f32(x: Expr) -> Expr:
    """e**x in float32 arithmetic."""
    x = clamp(x, -104.0, 89.0)
    n, _ = round_scaled(x, LOG2_E)
    r, whole = reduce_exp(x)
    return scale(polynomial(r, (1.0, 1.0, *_EXP_F32)), whole, n)


def exp_f64(x: Expr) -> Expr:
    r, n = reduce_exp(clamp(x, -746.0, 710.0))
    return scale(fma(r * r, polynomial(r, _EXP_F64), r) + 1.0, n)


def exp_half(x: Expr) -> Expr:
    """e**x / 2 in float64 for x >= 0, finite up to 710.47."""
    r, n = reduce_exp(clamp(x, 0.0, 711.0))
    return scale(fma(r * r, polynomial(r, _EXP_F64), r) + 1.0, n - 1)


def exp_double(x: Expr, low: Expr, shift: int = 0) -> Expr:
    """2**shift * e**(x + low) in float64 for |low| far below |x|."""
    x = clamp(x, -746.0, 715.0)
    n, whole = round_scaled(x, LOG2_E)
    high = fma(n, constant(-LN2["f64"][0], "f64"), x)
    r, error = fast_two_sum(high, fma(n, constant(-LN2["f64"][1], "f64"), low))
    tail = fma(r * r, polynomial(r, _EXP_F64), fma(error, r, error))
    return scale((r + tail) + 1.0, whole + shift if shift else whole)


def exp_short(x: Expr) -> Expr:
    """e**x in float64 to 2**-39, for a result that is rounded to float32; |x| < 700."""
    r, n = reduce_exp(x)
    return polynomial(r, (1.0, 1.0, *_EXP_SHORT)) * power_of_two(n, "f64")


def exp2_f32(x: Expr) -> Expr:
    x = clamp(x, -151.0, 129.0)
    n, whole = round_scaled(x, 1.0)
    return scale(polynomial(x - n, (1.0, *_EXP2_F32)), whole, n)


def power_of_two_f32(r: Expr, n: Expr) -> Expr:
    """2**(n + r) in float32 for |r| <= 1/2 where the result is normal."""
    value = polynomial(r, (1.0, *_EXP2_F32))
    return bitcast(bitcast(value, "i32") + (n << 23), "f32")


def exp2_f64(x: Expr) -> Expr:
    x = clamp(x, -1076.0, 1025.0)
    n, whole = round_scaled(x, 1.0)
    return scale(polynomial(x - n, (1.0, *_EXP2_F64)), whole)


def expm1_f32(x: Expr) -> Expr:
    """2**n * expm1(r) + (2**n - 1) in float64; the sign of zero is x's."""
    r, n = reduce_exp(widen(clamp(x, -20.0, 89.0)))
    power = power_of_two(n, "f64")
    tail = fma(r * r, polynomial(r, _EXP_SHORT), r)
    return copysign(narrow(fma(power, tail, power - 1.0)), x)


def expm1_f64(x: Expr) -> Expr:
    r, n = reduce_exp(clamp(x, -45.0, 710.0))
    tail = fma(r * r, polynomial(r, _EXP_F64), r)
    # 2**1024 is out of range, so both terms are formed at half their size
    half = power_of_two(n - 1, "f64")
    return copysign(fma(half, tail, half - 0.5) * 2.0, x)


def log_limits(x: Expr, result: Expr) -> Expr:
    """`result` for ordinary x, and the limits of a logarithm elsewhere."""
    result = where(x < INFINITY, result, x)
    return where(x > 0.0, result, where(x == 0.0, constant(-INFINITY, x.type), constant(NAN, x.type)))


def _log_short(x: Expr) -> Expr:
    """Natural logarithm of positive finite float32 as a float64 with an error below 2**-28."""
    tiny = x < 1.1754943508222875e-38
    m, k = split_exponent(where(tiny, x * 8388608.0, x))
    k = where(tiny, k - 23, k)
    return fma(convert(k, "f64"), constant(0.6931471805599453, "f64"), _log_near_one(m - 1.0))


def _log_near_one(f: Expr) -> Expr:
    """log(1 + f) of a float32 f, high terms in float32, the first two in float64."""
    tail = f * polynomial(f, _LOG_F32)
    wide = widen(f)
    return fma(wide * wide, widen(tail) - 0.5, wide)


def log_f32(x: Expr) -> Expr:
    return log_limits(x, narrow(_log_short(x)))


def log2_f32(x: Expr) -> Expr:
    return log_limits(x, narrow(_log_short(x) * LOG2_E))


def log10_f32(x: Expr) -> Expr:
    return log_limits(x, narrow(_log_short(x) * 0.4342944819032518))


def split_log(x: Expr) -> tuple[Expr, Expr]:
    """(m, k) with x = m 2**k as floats, also for subnormal x."""
    tiny = x < 2.2250738585072014e-308
    m, k = split_exponent(where(tiny, x * 18014398509481984.0, x))
    return m, convert(where(tiny, k - 54, k), "f64")


def log_core(f: Expr, k: Expr, extra: Expr | None = None) -> Expr:
    """k ln 2 + log(1 + f) + extra in float64 within 1 ulp: f - f**2/2 + s (f**2/2 + R(s**2)) (Ng, 1993)."""
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    tail = s * fma(z, polynomial(z, _LOG_F64), half)
    low = fma(k, constant(LN2["f64"][1], "f64"), tail)
    if extra is not None:
        low = low + extra
    return k * LN2["f64"][0] - ((half - low) - f)


def log_f64(x: Expr) -> Expr:
    m, k = split_log(x)
    return log_limits(x, log_core(m - 1.0, k))


def log1p_core(x: Expr, low: Expr | None = None) -> Expr:
    """log(1 + x + low) for float64 x in (-1, huge)."""
    u = x + 1.0
    m, k = split_exponent(u)
    k = convert(k, "f64")
    # what rounding 1 + x lost; beyond 2**53 nothing that matters is lost
    lost = where(x < 1e15, x - (u - 1.0), constant(0.0, "f64"))
    plain = k == 0.0
    f = where(plain, x, m - 1.0)
    lost = where(plain, constant(0.0, "f64"), lost)
    return log_core(f, k, (lost if low is None else lost + low) / u)


def _log1p_limits(x: Expr, result: Expr) -> Expr:
    result = where(x < INFINITY, copysign(result, x), x)
    return where(
        x > -1.0,
        result,
        where(x == -1.0, constant(-INFINITY, x.type), where(x != x, x, constant(NAN, x.type))),
    )


def log1p_f32(x: Expr) -> Expr:
    """1 + x is formed in float64; where it is near 1, f is x itself."""
    wide = widen(x)
    m, k = split_exponent(wide + 1.0)
    f = where(k == 0, wide, m - 1.0)
    k = convert(k, "f64")
    # |f| <= 0.415, and its float32 rounding would cost accuracy: only the high terms use it
    small = narrow(f)
    tail = small * polynomial(small, _LOG_F32)
    value = fma(f * f, widen(tail) - 0.5, f)
    return _log1p_limits(x, narrow(fma(k, constant(0.6931471805599453, "f64"), value)))


def log1p_f64(x: Expr) -> Expr:
    return _log1p_limits(x, log1p_core(x))


RULES = {
    "exp": by_type(exp_f32, exp_f64),
    "exp2": by_type(exp2_f32, exp2_f64),
    "expm1": by_type(expm1_f32, expm1_f64),
    "log": by_type(log_f32, log_f64),
    "log1p": by_type(log1p_f32, log1p_f64),
}
