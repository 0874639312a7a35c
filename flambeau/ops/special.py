"""Error functions, gamma functions, Bessel functions and their kin."""

from __future__ import annotations

import math

from ..base import dtype as types
from ..base.dtype import dtype as DType
from ..base.errors import require
from ..ir import expr
from ..ir.expr import (
    Expr, constant, copysign, digamma, erf, erfc, erfinv, exp, fabs, floor, i0, is_symbolic, isnan, lgamma, log, log1p,
    pow, sign, sqrt, trunc, where,
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

    dtype = real_float("erfinv_vml_cpu")

    def scalar(input):
        return erfinv(input)

    def d_input(g, result):
        return g * exp(result * result) * (SQRT_PI / 2)


# (1 + 2 x) exp(x**2) erfc(x) in t = (x - 4) / (x + 4), from x = 0 (t = -1) to infinity (t = 1), by Chebyshev
# interpolation (the form is Shepherd and Laframboise's, 1981)
_ERFCX = ()  # filled below


def scaled_erfc(x):
    """exp(x**2) * erfc(x); on tensors the operator."""
    if not is_symbolic(x):
        return ops.get_erfcx(x) if False else ops.erfcx(x)
    size = fabs(x)
    t = where(size > 1e150, constant(1.0, x.type), (size - 4.0) / (size + 4.0))
    value = chebyshev(t, _ERFCX) / (size * 2.0 + 1.0)
    square = x * x
    return where(x < 0, exp(square) * 2.0 - value, value)
