"""Logic on elements: any value but 0 is true."""

from __future__ import annotations

from ..ir.expr import Expr, convert
from .define import op
from .kinds import Pointwise, to_bool


def truth(x) -> Expr:
    """Whether an element is not 0."""
    return x != 0 if hasattr(x, "re") or x.type != "b1" else convert(x, "b1")


@op("logical_and(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor", inplace=True)
class LogicalAnd(Pointwise):
    """Whether both elements are true."""

    dtype = to_bool

    def scalar(input, other):
        return truth(input) & truth(other)


@op("logical_or(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor", inplace=True)
class LogicalOr(Pointwise):
    """Whether either element is true."""

    dtype = to_bool

    def scalar(input, other):
        return truth(input) | truth(other)


@op("logical_xor(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor", inplace=True)
class LogicalXor(Pointwise):
    """Whether exactly one of the elements is true."""

    dtype = to_bool

    def scalar(input, other):
        return truth(input) ^ truth(other)


@op("logical_not(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class LogicalNot(Pointwise):
    """Whether each element is 0."""

    dtype = to_bool

    def scalar(input):
        return ~truth(input)
