"""The gamma family (lgamma, digamma) and the Bessel function i0, in float64; float32 goes through it."""

from __future__ import annotations

from math import factorial

from .expr import Expr, constant, convert, copysign, fabs, floor, fma, roundeven, sqrt, where
from .math_exp_log import exp_double, log_core, log_limits, split_log
from .math_parts import INFINITY, NAN, by_type, polynomial, through_f64
from .math_trig import sin_cos_pi

# lgamma(2 + t) / t for |t| <= 1/2: 2**-56
_LGAMMA = (
    0.42278433509846713, 0.3224670334241133, -0.06735230105319497, 0.020580808427766193,
    -0.007385551028998646, 0.0028905103317831307, -0.0011927538987809938, 0.000509669497656248,
    -0.0002231550152381356, 9.945789671048564e-05, -4.492338157448058e-05, 2.0504001032108547e-05,
    -9.458029928765002e-06, 4.391147754971664e-06, -1.9697774357487803e-06, 9.062117314614858e-07,
    -5.858944151032859e-07, 2.9096760628134995e-07,
)  # fmt: skip
# Stirling's remainder times x, in 1 / x**2 for x >= 8: 2**-62 of lgamma
_STIRLING = (
    0.08333333333333313, -0.0027777777774025507, 0.0007936505926301028, -0.0005951920028610151,
    0.0008365991945470847, -0.0016364428038510024,
)  # fmt: skip
# (log(x) - 1 / (2 x) - digamma(x)) * x**2, in 1 / x**2 for x >= 8: 2**-66
_DIGAMMA = (
    0.08333333333333316, -0.008333333333047631, 0.003968253806956589, -0.004166623400361235,
    0.0075695139289443675, -0.020590459104271635, 0.06155977923992584,
)  # fmt: skip
# digamma(1.5 + t) / (1.5 + t - root) for |t| <= 1/2, with digamma's positive root in two parts: 2**-55
_DIGAMMA_NEAR = (
    0.9510558760318328, -0.42362742128146114, 0.24054248424082939, -0.14840492305372166, 0.09498872444604237,
    -0.06192213328938688, 0.040760834371486795, -0.026975796104237896, 0.01790723444641391,
    -0.011908232297996025, 0.007927282204270965, -0.0052797765961596944, 0.0035150609959763122,
    -0.0023468207275914163, 0.0015862298915342975, -0.0010295503476525966, 0.0005807619423761184,
    -0.0005080158780922576, 0.0006534333019297915, -0.00010535345135533586, -0.0004600641310398137,
    -0.00020845983509390603, 0.0005247012093450785,
)  # fmt: skip
_DIGAMMA_ROOT = (1.4616321449683622, 9.549995429965697e-17)
# i0(x) in x**2 / 4 for |x| <= 8: 2**-53; exp(-x) sqrt(x) i0(x) in 1 / x beyond: 2**-53
_I0_NEAR = (
    1.0, 0.9999999999999972, 0.2500000000000196, 0.027777777777725606, 0.0017361111111802395,
    6.944444439151417e-05, 1.929012371232311e-06, 3.9367590677373056e-08, 6.151205514189745e-10,
    7.593775750123339e-12, 7.597160593469357e-14, 6.252233452764147e-16, 4.483492128954955e-18,
    2.1560266756739e-20, 2.1259527736809725e-22,
)  # fmt: skip
_I0_FAR = (
    0.3989422804014327, 0.04986778505005491, 0.028050629236408896, 0.02921932850906688, 0.044764693133949006,
    0.08648023281871799, 0.739824830677924, -44.4980396581534, 2951.344407774674, -145891.64592141408,
    5576567.186164672, -166851722.29055724, 3942667650.010881, -73947355102.05223, 1102588096832.9988,
    -13045887026743.305, 121825583217951.72, -889154373498135.2, 4994615491194257.0, -2.108738419139761e+16,
    6.447318715894739e+16, -1.3415622704705357e+17, 1.690089931116774e+17, -9.650611167339731e+16,
)  # fmt: skip
# B(2k) / (2k)!
_BERNOULLI_RATIOS = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600,
    -3617 / 10670622842880000,
)  # fmt: skip
_PI = 3.141592653589793


def _log(x: Expr) -> Expr:
    m, k = split_log(x)
    return log_limits(x, log_core(m - 1.0, k))


def _lgamma_positive(x: Expr) -> Expr:
    """lgamma for x > 0 by one logarithm: of x or x (x + 1) below 1.5, (x-1)...(x-k) up to 8, x beyond."""
    one, zero = constant(1.0, "f64"), constant(0.0, "f64")
    low, tiny, high = x < 1.5, x < 0.5, x >= 8.0
    down = where(low | high, zero, floor(x - 1.5))  # steps down to [1.5, 2.5)
    product = one
    for step in range(1, 7):
        product = product * where(down >= float(step), x - float(step), one)
    product = where(low, where(tiny, x * (x + 1.0), x), product)
    log_value = _log(where(high, x, product))
    # x + 2 would round for small x: t = y - 2 is formed directly
    t = where(tiny, x, where(low, x - 1.0, x - 2.0 - down))
    small = t * polynomial(where(high, zero, t), _LGAMMA) + where(low, -log_value, log_value)
    inverse = 1.0 / x
    series = inverse * polynomial(inverse * inverse, _STIRLING)
    # 0.4189... = (log(2 pi) - 1) / 2
    large = fma(x - 0.5, log_value - 1.0, series + 0.4189385332046727)
    return where(high, large, small)


def lgamma_f64(x: Expr) -> Expr:
    """log |gamma(x)|; for x < 0 by reflection, log(pi / |x sin(pi x)|) - lgamma(|x|)."""
    size = fabs(x)
    positive = _lgamma_positive(size)
    sine, _ = sin_cos_pi(size)
    pole = (sine == 0.0) | (x == 0.0)
    reflected = -_log(fabs(sine) * size * (1.0 / _PI)) - positive
    # below 2**-70 lgamma(x) = -log|x|
    reflected = where(size < 1e-20, positive, reflected)
    value = where(x < 0.0, where(pole, constant(INFINITY, "f64"), reflected), positive)
    value = where(x == 0.0, constant(INFINITY, "f64"), value)
    return where(size == INFINITY, constant(INFINITY, "f64"), value)


def _digamma_positive(x: Expr) -> Expr:
    """digamma for x > 0: by steps from [1, 2) below 8, by an asymptotic series beyond."""
    one, zero = constant(1.0, "f64"), constant(0.0, "f64")
    low, high = x < 1.0, x >= 8.0
    down = where(low | high, zero, floor(x) - 1.0)
    # -1 / x, or the sum of 1 / (x - i) for 0 < i <= down as one fraction
    top, bottom = where(low, -one, zero), where(low, x, one)
    for step in range(1, 7):
        taken = down >= float(step)
        term = x - float(step)
        top = where(taken, fma(top, term, bottom), top)
        bottom = where(taken, bottom * term, bottom)
    y = where(low, x + 1.0, x - down)
    t = where(high, zero, where(low, x - 0.5, y - 1.5))
    root, root_low = _DIGAMMA_ROOT
    offset = where(low, (x - (root - 1.0)) - root_low, (y - root) - root_low)
    near = fma(offset, polynomial(t, _DIGAMMA_NEAR), top / bottom)
    inverse = 1.0 / x
    square = inverse * inverse
    far = _log(x) - fma(square, polynomial(square, _DIGAMMA), inverse * 0.5)
    return where(high, far, near)


def digamma_f64(x: Expr) -> Expr:
    """The derivative of lgamma; for x < 0 by reflection, digamma(1 - x) - pi / tan(pi x)."""
    negative = x < 0.0
    value = _digamma_positive(where(negative, 1.0 - x, x))
    sine, cosine = sin_cos_pi(x)
    reflected = where(sine == 0.0, constant(NAN, "f64"), value - _PI * cosine / sine)
    value = where(negative, reflected, value)
    return where(x == 0.0, -copysign(constant(INFINITY, "f64"), x), where(x == INFINITY, x, value))


def _integer_power(x: Expr, n: int) -> Expr:
    result = None
    while n:
        if n & 1:
            result = x if result is None else result * x
        x, n = x * x, n >> 1
    return result if result is not None else constant(1.0, x.type)


def _zeta(s: int, x: Expr) -> Expr:
    """Sum of (x + k)**-s over k >= 0 for x > 0, whole s >= 2: some terms, then Euler-Maclaurin."""
    steps = 8 + s
    inverse = 1.0 / (x + float(steps))
    series, rising = [1.0 / (s - 1)], 1.0
    for k, ratio in enumerate(_BERNOULLI_RATIOS):
        rising *= s if k == 0 else (s + 2 * k - 1) * (s + 2 * k)
        series.append(ratio * rising)
    tail = polynomial(inverse * inverse, series) + inverse * 0.5
    total = tail * _integer_power(inverse, s - 1)
    for k in reversed(range(steps)):
        total = total + _integer_power(1.0 / (x + float(k)), s)
    return total


def _cotangent_derivative(n: int) -> list[float]:
    """Coefficients, in c = cot(y), of the n-th derivative of cot(y) (c' = -1 - c**2)."""
    found = [0.0, 1.0]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(found)][1:]
        found = [0.0] * (len(slope) + 2)
        for k, c in enumerate(slope):
            found[k] -= c
            found[k + 2] -= c
    return found


def polygamma(n: int, x: Expr) -> Expr:
    """The n-th derivative of digamma for a whole number n known while compiling; float64 inside."""
    if n == 0:
        return Expr("digamma", (x,), x.type)
    y = convert(x, "f64")
    left = y <= 0.0
    size = float(factorial(n)) * (-1.0 if n % 2 == 0 else 1.0)
    value = _zeta(n + 1, where(left, 1.0 - y, y)) * size
    sine, cosine = sin_cos_pi(y)
    # psi_n(x) = (-1)**n (psi_n(1 - x) - pi d^n cot(pi x) / d(1 - x)^n)
    slope = polynomial(cosine / sine, _cotangent_derivative(n)) * _PI ** (n + 1)
    value = where(left, (value if n % 2 == 0 else -value) - slope, value)
    pole = left & (roundeven(y) == y) & (y > -INFINITY)
    return convert(where(pole, constant(INFINITY if n % 2 else -INFINITY, "f64"), value), x.type)


def i0_f64(x: Expr) -> Expr:
    """A power series up to 8; exp(|x|) / sqrt(|x|) times a polynomial in 1 / |x| beyond."""
    size = fabs(x)
    near = polynomial(x * x * 0.25, _I0_NEAR)
    bounded = where(size > 8.0, size, constant(8.0, "f64"))
    # exp(x) overflows before i0(x) does: 2**10 is put back last
    scaled = exp_double(bounded, constant(0.0, "f64"), -10)
    limited = where(bounded > 1e4, constant(1e4, "f64"), bounded)
    far = scaled / sqrt(limited) * polynomial(1.0 / limited, _I0_FAR) * 1024.0
    far = where(size > 714.0, constant(INFINITY, "f64"), far)
    return where(x != x, x, where(size > 8.0, far, near))


RULES = {
    "lgamma": by_type(through_f64(lgamma_f64), lgamma_f64),
    "digamma": by_type(through_f64(digamma_f64), digamma_f64),
    "polygamma": polygamma,
    "i0": by_type(through_f64(i0_f64), i0_f64),
}
