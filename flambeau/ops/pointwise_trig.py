"""Trigonometric and hyperbolic functions, and what works with angles."""

from __future__ import annotations

import math

from ..base.dtype import dtype as DType
from ..ir.expr import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    conj,
    cos,
    cosh,
    hypot,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
    where,
)  # fmt: skip
from .define import op
from .kinds import Pointwise, int_to_float
from .pointwise_types import COMPLEX, FLOAT, int_to_float_in_double, not_implemented, zero_like


def reciprocal_root(x):
    return 1.0 / sqrt(x)


@op("sin(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Sin(Pointwise):
    """Sine of angles in radians."""

    dtype = int_to_float_in_double

    def scalar(input):
        return sin(input)

    def d_input(g, input):
        return g * conj(cos(input))


@op("cos(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Cos(Pointwise):
    """Cosine of angles in radians."""

    dtype = int_to_float_in_double

    def scalar(input):
        return cos(input)

    def d_input(g, input):
        return -(g * conj(sin(input)))


@op("tan(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Tan(Pointwise):
    """Tangent of angles in radians."""

    dtype = int_to_float_in_double

    def scalar(input):
        return tan(input)

    def d_input(g, result):
        return g * conj(result * result + 1)


@op("asin(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="arcsin")
class Asin(Pointwise):
    """Inverse sine, in radians; NaN outside [-1, 1]."""

    def samples(make):
        return [((make(2, 3, low=-0.9, high=0.9),), {})]

    dtype = int_to_float_in_double

    def scalar(input):
        return asin(input)

    def d_input(g, input):
        return g * conj(reciprocal_root(1 - input * input))


@op("acos(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="arccos")
class Acos(Pointwise):
    """Inverse cosine, in radians; NaN outside [-1, 1]."""

    def samples(make):
        return [((make(2, 3, low=-0.9, high=0.9),), {})]

    dtype = int_to_float_in_double

    def scalar(input):
        return acos(input)

    def d_input(g, input):
        return -(g * conj(reciprocal_root(1 - input * input)))


@op("atan(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="arctan")
class Atan(Pointwise):
    """Inverse tangent, in radians."""

    dtype = int_to_float_in_double

    def scalar(input):
        return atan(input)

    def d_input(g, input):
        return g / conj(input * input + 1)


@op("atan2(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor", inplace=True, also="arctan2")
class Atan2(Pointwise):
    """Angle of the point (x = ``other``, y = ``input``), in radians in [-pi, pi]."""

    def dtype(common):
        if common.kind == COMPLEX:
            raise not_implemented("atan2_cpu", common)
        return int_to_float(common)

    def scalar(input, other):
        return atan2(input, other)

    def d_input(g, input, other):
        square = input * input + other * other
        return where(square == 0, zero_like(g), g * other / square)

    def d_other(g, input, other):
        square = input * input + other * other
        return where(square == 0, zero_like(g), -(g * input) / square)


@op("sinh(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Sinh(Pointwise):
    """Hyperbolic sine."""

    dtype = int_to_float_in_double

    def scalar(input):
        return sinh(input)

    def d_input(g, input):
        return g * conj(cosh(input))


@op("cosh(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Cosh(Pointwise):
    """Hyperbolic cosine."""

    dtype = int_to_float_in_double

    def scalar(input):
        return cosh(input)

    def d_input(g, input):
        return g * conj(sinh(input))


@op("tanh(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="nn.functional.tanh")
class Tanh(Pointwise):
    """Hyperbolic tangent."""

    dtype = int_to_float_in_double

    def scalar(input):
        return tanh(input)

    def d_input(g, result):
        return g * conj(1 - result * result)


@op("asinh(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="arcsinh")
class Asinh(Pointwise):
    """Inverse hyperbolic sine."""

    dtype = int_to_float_in_double

    def scalar(input):
        return asinh(input)

    def d_input(g, input):
        return g * conj(reciprocal_root(input * input + 1))


@op("acosh(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="arccosh")
class Acosh(Pointwise):
    """Inverse hyperbolic cosine; NaN below 1."""

    def samples(make):
        return [((make(2, 3, low=1.2, high=3),), {})]

    dtype = int_to_float_in_double

    def scalar(input):
        return acosh(input)

    def d_input(g, input):
        # two roots, so that complex values stay on the branch of acosh
        return g * conj(reciprocal_root(input - 1) * reciprocal_root(input + 1))


@op("atanh(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="arctanh")
class Atanh(Pointwise):
    """Inverse hyperbolic tangent; NaN outside [-1, 1]."""

    def samples(make):
        return [((make(2, 3, low=-0.9, high=0.9),), {})]

    dtype = int_to_float_in_double

    def scalar(input):
        return atanh(input)

    def d_input(g, input):
        return g / conj(1 - input * input)


def floating(kernel: str):
    """The type rule of functions of floats only."""

    def rule(common: DType):
        if common.kind != FLOAT:
            raise not_implemented(kernel, common)
        return common, common

    return rule


@op("hypot(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor", inplace=True)
class Hypot(Pointwise):
    """``sqrt(input**2 + other**2)`` without overflow."""

    dtype = floating("hypot_cpu")

    def scalar(input, other):
        return hypot(input, other)

    def d_input(g, input, result):
        return g * (input / result)

    def d_other(g, other, result):
        return g * (other / result)


@op("sinc(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="special.sinc")
class Sinc(Pointwise):
    """``sin(pi * input) / (pi * input)``, and 1 at 0."""

    dtype = int_to_float_in_double

    def scalar(input):
        angle = input * math.pi
        return where(input == 0, zero_like(input) + 1.0, sin(angle) / angle)

    def d_input(g, input):
        angle = input * math.pi
        slope = (angle * cos(angle) - sin(angle)) / (angle * input)
        return g * conj(where(input == 0, zero_like(slope), slope))


@op("deg2rad(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Deg2rad(Pointwise):
    """Degrees to radians."""

    def dtype(common):
        if common.kind == COMPLEX:
            raise RuntimeError("deg2rad is not supported for complex tensors.")
        return int_to_float(common)

    def scalar(input):
        return input * (math.pi / 180)

    def d_input(g):
        return g * (math.pi / 180)


@op("rad2deg(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Rad2deg(Pointwise):
    """Radians to degrees."""

    def dtype(common):
        if common.kind == COMPLEX:
            raise RuntimeError("rad2deg is not supported for complex tensors.")
        return int_to_float(common)

    def scalar(input):
        return input * (180 / math.pi)

    def d_input(g):
        return g * (180 / math.pi)
