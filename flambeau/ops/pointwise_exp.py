"""Exponentials and logarithms."""

from __future__ import annotations

import math

from ..base.dtype import dtype as DType
from ..ir.expr import (
    conj,
    constant,
    exp,
    exp2,
    expm1,
    fabs,
    isnan,
    log,
    log1p,
    log2,
    log10,
    maximum,
    minimum,
    where,
)
from .define import op, ops
from .kinds import Composite, Pointwise, int_to_float
from .out_rules import worded
from .pointwise_types import (
    BOOL,
    COMPLEX,
    FLOAT,
    INTEGER,
    accepting,
    int_to_float_in_double,
    not_implemented,
    zero_like,
)

LN2, LN10 = math.log(2), math.log(10)


@op("exp(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Exp(Pointwise):
    """e to the power of each element.

    Dtype: integers give the default float type.

    >>> import flambeau as torch
    >>> torch.exp(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """

    dtype = int_to_float_in_double

    def scalar(input):
        return exp(input)

    def d_input(g, result):
        return g * conj(result)


@op("exp2(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="special.exp2")
class Exp2(Pointwise):
    """2 to the power of each element."""

    dtype = int_to_float_in_double

    def scalar(input):
        return exp2(input)

    def d_input(g, result):
        return g * conj(result) * LN2


@op("expm1(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="special.expm1")
class Expm1(Pointwise):
    """``exp(input) - 1`` without loss near 0."""

    dtype = int_to_float_in_double

    def scalar(input):
        return expm1(input)

    def d_input(g, result):
        return g * conj(result + 1)


@op("log(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Log(Pointwise):
    """Natural logarithm; -inf at 0, NaN below."""

    def samples(make):
        return [((make(2, 3, low=0.1, high=3),), {})]

    dtype = int_to_float_in_double

    def scalar(input):
        return log(input)

    def d_input(g, input):
        return g / conj(input)


@op("log2(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Log2(Pointwise):
    """Logarithm to base 2."""

    def samples(make):
        return [((make(2, 3, low=0.1, high=3),), {})]

    dtype = int_to_float_in_double

    def scalar(input):
        return log2(input)

    def d_input(g, input):
        return g / (conj(input) * LN2)


@op("log10(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Log10(Pointwise):
    """Logarithm to base 10."""

    def samples(make):
        return [((make(2, 3, low=0.1, high=3),), {})]

    dtype = int_to_float_in_double

    def scalar(input):
        return log10(input)

    def d_input(g, input):
        return g / (conj(input) * LN10)


@op("log1p(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="special.log1p")
class Log1p(Pointwise):
    """``log(1 + input)`` without loss near 0."""

    def samples(make):
        return [((make(2, 3, low=-0.9, high=3),), {})]

    dtype = int_to_float_in_double

    def scalar(input):
        return log1p(input)

    def d_input(g, input):
        return g / (conj(input) + 1)


def _log_sum(name: str):
    """The type rule of the logarithms of sums: floating types, complex included."""

    def rule(common: DType):
        if common.kind < FLOAT:
            raise not_implemented(f"{name}_cpu", common)
        return common, common

    return rule


@op("logaddexp(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor")
class Logaddexp(Pointwise):
    """``log(exp(input) + exp(other))`` without overflow."""

    dtype = _log_sum("logaddexp")

    def scalar(input, other):
        if isinstance(input, type(other)) and not hasattr(
            input, "is_float"
        ):  # complex: by the larger real part
            larger = input.re >= other.re
            high, low = where(larger, input, other), where(larger, other, input)
            return where(
                (input.re == other.re) & (fabs(input.re) == math.inf), high, high + log1p(exp(low - high))
            )
        high = maximum(input, other)
        distance = fabs(input - other)
        return where(fabs(high) == math.inf, high, high + log1p(exp(-distance)))

    def d_input(g, input, result):
        return g * conj(exp(input - result))

    def d_other(g, other, result):
        return g * conj(exp(other - result))


@op("logaddexp2(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor")
class Logaddexp2(Pointwise):
    """``log2(2**input + 2**other)`` without overflow."""

    def dtype(common):
        if common.kind != FLOAT:
            raise not_implemented("logaddexp2_cpu", common)
        return common, common

    def scalar(input, other):
        high = maximum(input, other)
        distance = fabs(input - other)
        return where(fabs(high) == math.inf, high, high + log1p(exp2(-distance)) * (1 / LN2))

    def d_input(g, input, result):
        return g * exp2(input - result)

    def d_other(g, other, result):
        return g * exp2(other - result)


@op(
    "sigmoid(Tensor input, *, Tensor? out=None) -> Tensor",
    inplace=True,
    also="special.expit nn.functional.sigmoid",
)
class Sigmoid(Pointwise):
    """Logistic function ``1 / (1 + exp(-input))``.

    Dtype: integers give the default float type. Never overflows.

    >>> import flambeau as torch
    >>> torch.sigmoid(torch.tensor([0.0, 100.0]))
    tensor([0.5000, 1.0000])
    """

    dtype = int_to_float

    def scalar(input):
        return 1.0 / (exp(-input) + 1.0)

    def d_input(g, result):
        return g * conj(result * (1 - result))


@op("logit(Tensor input, float? eps=None, *, Tensor? out=None) -> Tensor", inplace=True, also="special.logit")
class Logit(Pointwise):
    """``log(input / (1 - input))``; ``eps`` first clamps the input to [eps, 1 - eps]."""

    def samples(make):
        return [
            ((make(2, 3, low=0.1, high=0.9),), {}),
            ((make(2, 3, low=-0.5, high=1.5),), {"eps": 0.1}),
        ]

    def dtype(common):
        if common.kind == COMPLEX:
            raise not_implemented("logit_cpu", common)
        return int_to_float(common)

    def scalar(input, eps):
        x = input
        if eps is not None:
            x = minimum(maximum(x, constant(eps, x.type)), constant(1 - eps, x.type))
        return log(x / (1.0 - x))

    def d_input(g, input, eps):
        slope = g / (input * (1 - input))
        low, high = (0.0, 1.0) if eps is None else (eps, 1 - eps)
        outside = float("nan") if eps is None else 0.0
        return where(
            (input < low) | (input > high), slope * 0 + outside if eps is None else zero_like(g), slope
        )


@op("xlogy(Operand input, Operand other, *, Tensor? out=None) -> Tensor", inplace=True, also="special.xlogy")
class Xlogy(Pointwise):
    """``input * log(other)``, and 0 where ``input`` is 0 (NaN where ``other`` is)."""

    def samples(make):
        return [
            ((make(2, 3), make(2, 3, low=0.2, high=3)), {}),
            ((make(2, 3, low=0.2, high=3), 0.7), {}),
        ]

    dtype = accepting("xlogy_cpu", BOOL, INTEGER, FLOAT, rule=int_to_float)

    def scalar(input, other):
        return where(isnan(other), other, where(input == 0, zero_like(input), input * log(other)))

    def d_input(g, input, other):
        return where((input == 0) & (other <= 0), zero_like(g), g * log(other))

    def d_other(g, input, other):
        return g * input / other


@op("special.xlog1py(Operand input, Operand other, *, Tensor? out=None) -> Tensor")
class Xlog1py(Pointwise):
    """``input * log(1 + other)``, and 0 where ``input`` is 0 (NaN where ``other`` is)."""

    dtype = accepting("xlog1py_cpu", BOOL, INTEGER, FLOAT, rule=int_to_float)

    def scalar(input, other):
        return where(isnan(other), other, where(input == 0, zero_like(input), input * log1p(other)))

    def d_input(g, input, other):
        return where((input == 0) & (other <= -1), zero_like(g), g * log1p(other))

    def d_other(g, input, other):
        return g * input / (other + 1)


@op("ldexp(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor", inplace=True)
class Ldexp(Composite):
    """``input * 2**other``."""

    check_out = worded("ldexp can't be cast to the desired output type {have}")

    def body(input, other):
        return ops.mul(input, ops.pow(2.0, other))
