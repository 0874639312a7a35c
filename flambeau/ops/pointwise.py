"""Arithmetic, element by element."""

from __future__ import annotations

from ..ir.expr import conj, exp, maximum, where
from .define import op
from .kinds import Pointwise, int_to_float, promote


@op(
    "add(Operand input, Operand other, *, Scalar alpha=1, Tensor? out=None) -> Tensor",
    inplace=True, methods="__add__ __radd__ __iadd__",
)  # fmt: skip
class Add(Pointwise):
    """Sum ``input + alpha * other``."""

    dtype = promote

    def scalar(input, other, alpha):
        return input + other * alpha

    def d_input(g):
        return g

    def d_other(g, alpha):
        return g * alpha


@op("mul(Operand input, Operand other, *, Tensor? out=None) -> Tensor", inplace=True, methods="__mul__ __rmul__ __imul__", also="multiply")
class Mul(Pointwise):
    """Product."""

    dtype = promote

    def scalar(input, other):
        return input * other

    def d_input(g, other):
        return g * conj(other)

    def d_other(g, input):
        return g * conj(input)


@op("relu(Tensor input) -> Tensor", inplace=True)
class Relu(Pointwise):
    """``max(input, 0)``."""

    dtype = promote

    def scalar(input):
        return maximum(input, 0)

    def d_input(g, result):
        return where(result > 0, g, 0)


@op("exp(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Exp(Pointwise):
    """e to the power of each element."""

    dtype = int_to_float

    def scalar(input):
        return exp(input)

    def d_input(g, result):
        return g * conj(result)
