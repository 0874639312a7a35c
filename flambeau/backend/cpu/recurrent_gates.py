"""The logistic function and the hyperbolic tangent of recurrent networks, in float32.

A network evaluates five of them for each unit and step. These take one path for all arguments and half the
instructions of the exact ones, with an error of at most 2.5 ULP (tested); float64 uses the exact ones.
"""

from __future__ import annotations

from ...ir import expr
from ...ir.expr import Expr, bitcast, constant, copysign, fabs, fma, where
from ...ir.math_parts import polynomial

# (2**r - 1) / r for |r| <= 1/2: relative error 2**-25.4
_POWER = (
    0.6931471824645996, 0.24022650718688965, 0.055503569543361664, 0.009618083015084267,
    0.0013390863314270973, 0.00015453163359779865,
)  # fmt: skip
#: log2(e) as the sum of two float32
_LOG2_E, _LOG2_E_REST = 1.44269502162933349609375, 1.92596299112661746887e-08
#: adding it rounds to a whole number, which the low bits then hold
_ROUNDER = 12582912.0


def _power(x: Expr, factor: float) -> tuple[Expr, Expr]:
    """2**n and 2**r - 1 with x * factor * log2(e) = n + r, for results that are normal numbers."""
    high, low = constant(factor * _LOG2_E, "f32"), constant(factor * _LOG2_E_REST, "f32")
    shifted = fma(x, high, constant(_ROUNDER, "f32"))
    n = shifted - _ROUNDER
    r = fma(x, low, fma(x, high, -n))
    scale = bitcast((bitcast(shifted, "i32") << 23) + (127 << 23), "f32")
    return scale, r * polynomial(r, _POWER)


def sigmoid_f32(x: Expr) -> Expr:
    """1 / (1 + e**-x); below -87 the smallest normal number stands for what is smaller."""
    x = where(x < -87.0, constant(-87.0, "f32"), x)
    x = where(x > 87.0, constant(87.0, "f32"), x)
    scale, rest = _power(x, -1.0)
    return 1.0 / (fma(scale, rest, scale) + 1.0)


def tanh_f32(x: Expr) -> Expr:
    """-m / (2 + m) for m = e**(-2|x|) - 1, which stays accurate where x is small."""
    size = fabs(x)
    size = where(size > 9.1, constant(9.1, "f32"), size)
    scale, rest = _power(size, -2.0)
    less = fma(scale, rest, scale - 1.0)
    return copysign(less / (less + 2.0), x)


def sigmoid(x: Expr) -> Expr:
    return sigmoid_f32(x) if x.type == "f32" else 1.0 / (expr.exp(-x) + 1.0)


def tanh(x: Expr) -> Expr:
    return tanh_f32(x) if x.type == "f32" else expr.tanh(x)
