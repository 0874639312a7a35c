"""Error functions, gamma functions, Bessel functions and their kin."""

from __future__ import annotations

import math

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..base.errors import require
from ..ir.expr import (
    Expr,
    constant,
    copysign,
    digamma,
    erf,
    erfc,
    erfinv,
    exp,
    fabs,
    floor,
    i0,
    is_symbolic,
    isnan,
    lgamma,
    log,
    log1p,
    pow,
    sign,
    sqrt,
    trunc,
    where,
)  # fmt: skip
from .define import op, ops
from .kinds import Pointwise, int_to_float
from .pointwise_types import COMPLEX, not_implemented, zero_like

SQRT_HALF, SQRT_PI = math.sqrt(0.5), math.sqrt(math.pi)
SQRT_2PI = math.sqrt(2 * math.pi)


def real_float(kernel: str):
    """The type rule of functions of real numbers: integers give the default float type."""

    def rule(common: DType):
        if common.kind == COMPLEX:
            raise not_implemented(kernel, common)
        return int_to_float(common)

    return rule


def in_float64(kernel: str):
    """As `real_float`, computing in float64."""
    inner = real_float(kernel)

    def rule(common: DType):
        return types.float64, inner(common)[1]

    return rule


def chebyshev(t: Expr, coefficients) -> Expr:
    """Sum of coefficients[k] * T_k(t) by Clenshaw's recurrence."""
    after, next_after = constant(0.0, t.type), constant(0.0, t.type)
    twice = t + t
    for c in reversed(coefficients[1:]):
        after, next_after = twice * after - next_after + c, after
    return t * after - next_after + coefficients[0]


def power_series(x: Expr, coefficients) -> Expr:
    total = constant(coefficients[-1], x.type)
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


# -- error functions -------------------------------------------------------------------------------------------------


@op("erf(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="special.erf")
class Erf(Pointwise):
    """Error function ``2 / sqrt(pi) * integral of exp(-t**2) from 0 to input``."""

    dtype = real_float("erf_vml_cpu")

    def scalar(input):
        return erf(input)

    def d_input(g, input):
        return g * exp(-(input * input)) * (2 / SQRT_PI)


@op("erfc(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="special.erfc")
class Erfc(Pointwise):
    """``1 - erf(input)`` without loss for large input."""

    dtype = real_float("erfc_vml_cpu")

    def scalar(input):
        return erfc(input)

    def d_input(g, input):
        return g * exp(-(input * input)) * (-2 / SQRT_PI)


@op("erfinv(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="special.erfinv")
class Erfinv(Pointwise):
    """Inverse of the error function; NaN outside [-1, 1]."""

    def samples(make):
        return [((make(2, 3, low=-0.9, high=0.9),), {})]

    dtype = real_float("erfinv_vml_cpu")

    def scalar(input):
        return erfinv(input)

    def d_input(g, result):
        return g * exp(result * result) * (SQRT_PI / 2)


# (1 + 2 x) exp(x**2) erfc(x) in t = (x - 4) / (x + 4), from x = 0 (t = -1) to infinity (t = 1); the form is Shepherd
# and Laframboise's (1981). Chebyshev coefficients, by interpolation in 40 digits; so are those below.
_ERFCX = (
    1.1774832005374487, -0.007260796620301901, -0.081265123236185, 0.06009212804122225, -0.02875393558027666,
    0.01059566336347286, -0.003136927294554264, 0.0007456494372536184, -0.0001369696503010054, 1.7183861600300937e-05,
    -7.158364623450346e-07, -2.4261399442449534e-07, 5.5765709395703566e-08, -2.1057869513809494e-09,
    -1.1717889351884957e-09, 1.9098355172456688e-10, 1.408871764208813e-11, -6.901108320480815e-12,
    9.167958364111294e-14, 2.1454508286554553e-13, -1.4716575027010623e-14, -6.668675118770408e-15,
    7.504598509880083e-16, 2.22009300666632e-16, -3.1704898956330886e-17, -8.193570309884333e-18, 1.2459819733129574e-18,
)  # fmt: skip


def scaled_erfc(x):
    """exp(x**2) * erfc(x); on tensors the operator."""
    if not is_symbolic(x):
        return getattr(ops, "special.erfcx")(x)
    size = fabs(x)
    t = where(size > 1e150, constant(1.0, x.type), (size - 4.0) / (size + 4.0))
    value = chebyshev(t, _ERFCX) / (size * 2.0 + 1.0)
    value = where(x < 0, exp(x * x) * 2.0 - value, value)
    return where(isnan(x), x, value)


@op("special.erfcx(Tensor input, *, Tensor? out=None) -> Tensor")
class Erfcx(Pointwise):
    """``exp(input**2) * erfc(input)`` without overflow for large input."""

    dtype = in_float64("erfcx_cpu")

    def scalar(input):
        return scaled_erfc(input)

    def d_input(g, input, result):
        return g * (input * result * 2 - 2 / SQRT_PI)


# -- the normal distribution -----------------------------------------------------------------------------------------


def normal_density(x):
    return exp(x * x * -0.5) * (1 / SQRT_2PI)


@op("special.ndtr(Tensor input, *, Tensor? out=None) -> Tensor")
class Ndtr(Pointwise):
    """Area under the normal density up to ``input``."""

    dtype = in_float64("erf_vml_cpu")

    def scalar(input):
        return erfc(input * -SQRT_HALF) * 0.5

    def d_input(g, input):
        return g * normal_density(input)


def log_normal_area(x: Expr) -> Expr:
    """log(ndtr(x)): through erfcx in the left tail."""
    tail = log(scaled_erfc(x * -SQRT_HALF) * 0.5) - x * x * 0.5
    return where(x < -1, tail, log1p(erfc(x * SQRT_HALF) * -0.5))


@op("special.log_ndtr(Tensor input, *, Tensor? out=None) -> Tensor")
class LogNdtr(Pointwise):
    """Logarithm of the area under the normal density up to ``input``."""

    dtype = in_float64("log_ndtr_cpu")

    def scalar(input):
        return where(input == -math.inf, input, log_normal_area(input))

    def d_input(g, input):
        return g / scaled_erfc(input * -SQRT_HALF) * math.sqrt(2 / math.pi)


@op("special.ndtri(Tensor input, *, Tensor? out=None) -> Tensor")
class Ndtri(Pointwise):
    """The point up to which the area under the normal density is ``input``; inverse of ``ndtr``."""

    def samples(make):
        return [((make(2, 3, low=0.1, high=0.9),), {})]

    dtype = in_float64("ndtri_cpu")

    def scalar(input):
        small = where(input > 0.5, 1.0 - input, input)
        middle = erfinv(input * 2.0 - 1.0) * math.sqrt(2)
        # in the tails Newton's method on the logarithm, from the leading term of the asymptotic series
        level = log(where(small > 0, small, constant(1e-300, small.type)))
        x = -sqrt(level * -2.0 - log(level * (-4 * math.pi) + 1e-300))
        for _ in range(4):
            x = x + (level - log_normal_area(x)) * (scaled_erfc(x * -SQRT_HALF) * (SQRT_2PI * 0.5))
        tail = where(input > 0.5, -x, x)
        value = where(small < 0.02, tail, middle)
        edge = where(input == 0, constant(-math.inf, input.type), constant(math.inf, input.type))
        value = where((input == 0) | (input == 1), edge, value)
        return where((input >= 0) & (input <= 1), value, constant(math.nan, input.type))

    def d_input(g, result):
        return g * exp(result * result * 0.5) * SQRT_2PI


@op("special.entr(Tensor input, *, Tensor? out=None) -> Tensor")
class Entr(Pointwise):
    """``-input * log(input)``; 0 at 0 and -inf below."""

    def samples(make):
        return [((make(2, 3, low=0.2, high=3),), {})]

    dtype = real_float("entr_cpu")

    def scalar(input):
        below = where(input == 0, zero_like(input), constant(-math.inf, input.type))
        return where(input > 0, -(input * log(input)), where(isnan(input), input, below))

    def d_input(g, input):
        return -(g * (log(input) + 1))


# -- gamma functions -------------------------------------------------------------------------------------------------


@op("lgamma(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="special.gammaln")
class Lgamma(Pointwise):
    """Logarithm of the absolute value of the gamma function."""

    def samples(make):
        return [((make(2, 3, low=0.2, high=3),), {})]

    dtype = real_float("lgamma_vml_cpu")

    def scalar(input):
        return lgamma(input)

    def d_input(g, input):
        return g * digamma(input)


@op("digamma(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="special.digamma special.psi")
class Digamma(Pointwise):
    """Derivative of the logarithm of the gamma function."""

    def samples(make):
        return [((make(2, 3, low=0.2, high=3),), {})]

    dtype = real_float("digamma")

    def scalar(input):
        return digamma(input)

    def d_input(g, input):
        return g * higher(1, input)


def higher(n: int, x):
    """polygamma(n, x) on expressions and tensors."""
    return Expr("polygamma", (n, x), x.type) if isinstance(x, Expr) else ops.polygamma(n, x)


@op("polygamma(int n, Tensor input, *, Tensor? out=None) -> Tensor", method=False, also="special.polygamma")
class Polygamma(Pointwise):
    """The n-th derivative of `digamma`."""

    def samples(make):
        return [((n, make(2, 3, low=-2.4, high=3)), {}) for n in range(4)]

    dtype = real_float("polygamma")

    def check(n):
        require(n >= 0, "polygamma(n, x) does not support negative n.")

    def scalar(n, input):
        return higher(n, input)

    def d_input(g, n, input):
        return g * higher(n + 1, input)


@op("mvlgamma(Tensor input, int p, *, Tensor? out=None) -> Tensor", inplace=True, also="special.multigammaln")
class Mvlgamma(Pointwise):
    """Logarithm of the multivariate gamma function of dimension ``p``."""

    def samples(make):
        return [((make(2, 3, low=2.2, high=4), 3), {})]

    dtype = real_float("mvlgamma")

    def check(p):
        require(p >= 1, "p has to be greater than or equal to 1")

    def scalar(input, p):
        total = constant(p * (p - 1) / 4 * math.log(math.pi), input.type)
        for k in range(p):
            total = total + lgamma(input - k * 0.5)
        return total

    def d_input(g, input, p):
        slope = digamma(input)
        for k in range(1, p):
            slope = slope + digamma(input - k * 0.5)
        return g * slope


_BERNOULLI = (
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
    43867 / 798,
    -174611 / 330,
)


@op("special.zeta(Operand input, Operand other, *, Tensor? out=None) -> Tensor")
class Zeta(Pointwise):
    """Hurwitz zeta function: sum of ``(k + other) ** -input`` over k = 0, 1, 2, ..."""

    dtype = in_float64("zeta_cpu")

    def scalar(input, other):
        steps = 10
        last = other + float(steps)
        total = pow(last, -input) * 0.5
        for k in reversed(range(steps)):
            total = total + pow(other + float(k), -input)
        # Euler and Maclaurin's remainder
        base = pow(last, 1.0 - input)
        tail, rising, inverse = base / (input - 1.0), input, base / (last * last)
        factorial = 1.0
        for k, bernoulli in enumerate(_BERNOULLI):
            factorial *= (2 * k + 1) * (2 * k + 2)
            tail = tail + rising * inverse * (bernoulli / factorial)
            rising = rising * (input + (2.0 * k + 1)) * (input + (2.0 * k + 2))
            inverse = inverse / (last * last)
        infinite = (input == 1) | ((other <= 0) & (floor(other) == other))
        undefined = (input < 1) | ((other <= 0) & (trunc(input) != input))
        found = where(infinite, constant(math.inf, input.type), total + tail)
        return where(undefined | isnan(input) | isnan(other), constant(math.nan, input.type), found)

    def d_other(g, input, other):
        return (
            -(g * input * getattr(ops, "special.zeta")(input + 1, other))
            if not is_symbolic(g)
            else zero_like(g)
        )


# -- modified Bessel functions ---------------------------------------------------------------------------------------

# exp(-x) sqrt(x) i0(x) and i1(x) in t = 16 / x - 1 for x >= 8
_I0_FAR = (
    0.4022452055070544, 0.0033691164782556943, 6.889758346916825e-05, 2.8913705208347567e-06, 2.0489185894690638e-07,
    2.266668990498178e-08, 3.3962320257083865e-09, 4.94060238822497e-10, 1.1889147107846439e-11, -3.1499165279632416e-11,
    -1.3215811840447713e-11, -1.7941785315068062e-12, 7.180124451383666e-13, 3.8527783827421426e-13,
    1.54008621752141e-14, -4.150569347287222e-14, -9.554846698828307e-15, 3.811680669352621e-15, 1.7725601330565245e-15,
    -3.425485619677142e-16, -2.827623980516646e-16, 3.461222867695658e-17, 4.465621420302078e-17, -4.8305044859640105e-18,
)  # fmt: skip
_I1_FAR = (
    0.38928811750914005, -0.009761097491361469, -0.00011058893876262371, -3.882564808877691e-06, -2.512236237870209e-07,
    -2.6314688468895196e-08, -3.835380385964237e-09, -5.589743462196584e-10, -1.8974958123505413e-11,
    3.2526035830154884e-11, 1.4125807436613782e-11, 2.0356285441470896e-12, -7.198551776245908e-13,
    -4.0835511110921974e-13, -2.1015418427726643e-14, 4.2724400167119517e-14, 1.0420276984128802e-14,
    -3.814403072437007e-15, -1.8803547755107805e-15, 3.30820231092085e-16, 2.9626289976460157e-16, -3.209525921991637e-17,
    -4.6503053684947827e-17, 4.414348323093937e-18,
)  # fmt: skip
_I0_NEAR = tuple(1 / math.factorial(k) ** 2 for k in range(26))
_I1_NEAR = tuple(1 / (math.factorial(k) * math.factorial(k + 1)) for k in range(26))


def bessel(order: int, x: Expr, scaled: bool) -> Expr:
    """i0 or i1 of x, times exp(-|x|) where `scaled`: a power series up to 8, Chebyshev beyond."""
    size = fabs(x)
    far = size > 8
    bounded = where(far, size, constant(8.0, x.type))
    near_at = where(far, zero_like(x), x * x * 0.25)
    near = power_series(near_at, _I1_NEAR if order else _I0_NEAR)
    near = near * size * 0.5 if order else near
    large = chebyshev(16.0 / bounded - 1.0, _I1_FAR if order else _I0_FAR) / sqrt(bounded)
    if scaled:
        near = near * exp(-size)
    else:  # exp overflows before the function does: half of it first
        half = exp(bounded * 0.5)
        large = large * half * half
    found = where(far, large, near)
    found = copysign(found, x) if order else found
    return where(isnan(x), x, found)


def bessel_of(name: str, x):
    """A Bessel function in a derivative: an expression, or the operator on a tensor."""
    if not is_symbolic(x):
        return ops.i0(x) if name == "i0" else getattr(ops, "special." + name)(x)
    return bessel(int(name[1]), x, name.endswith("e"))


@op("i0(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="special.i0")
class I0(Pointwise):
    """Modified Bessel function of the first kind of order 0."""

    dtype = in_float64("i0_vml_cpu")

    def scalar(input):
        return i0(input)

    def d_input(g, input):
        return g * bessel_of("i1", input)


@op("special.i0e(Tensor input, *, Tensor? out=None) -> Tensor")
class I0e(Pointwise):
    """``exp(-|input|) * i0(input)``."""

    dtype = in_float64("i0e_cpu")

    def scalar(input):
        return bessel(0, input, True)

    def d_input(g, input, result):
        return g * (bessel_of("i1e", input) - sign(input) * result)


@op("special.i1(Tensor input, *, Tensor? out=None) -> Tensor")
class I1(Pointwise):
    """Modified Bessel function of the first kind of order 1."""

    dtype = in_float64("i1_cpu")

    def scalar(input):
        return bessel(1, input, False)

    def d_input(g, input, result):
        zero = input == 0
        ratio = where(zero, 0.5, result / where(zero, 1, input))
        return g * (bessel_of("i0", input) - ratio)


@op("special.i1e(Tensor input, *, Tensor? out=None) -> Tensor")
class I1e(Pointwise):
    """``exp(-|input|) * i1(input)``."""

    dtype = in_float64("i1e_cpu")

    def scalar(input):
        return bessel(1, input, True)

    def d_input(g, input, result):
        zero = input == 0
        ratio = where(zero, 0.5, result * (sign(input) + 1.0 / where(zero, 1, input)))
        return g * (bessel_of("i0e", input) - ratio)
