"""Rounding to whole numbers."""

from __future__ import annotations

from ..base.dtype import dtype as DType
from ..base.errors import require
from ..ir.expr import Expr, ceil, floor, roundeven, trunc
from .define import op
from .kinds import Pointwise
from .out_rules import same_type_out
from .pointwise_types import BOOL, COMPLEX, FLOAT, not_implemented, zero_like


def rounding(kernel: str, name: str):
    """The type rule of rounding: real types but bool; integers stay as they are."""

    def rule(common: DType):
        require(common.kind != COMPLEX, f"{name} is not supported for complex inputs", NotImplementedError)
        if common.kind == BOOL:
            raise not_implemented(kernel, common)
        return common, common

    return rule


def rounded(function, x: Expr) -> Expr:
    return function(x) if x.is_float else x


@op("floor(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Floor(Pointwise):
    """Largest whole number not above each element."""

    check_out = same_type_out
    dtype = rounding("floor_vml_cpu", "floor")

    def scalar(input):
        return rounded(floor, input)

    def d_input(g):
        return zero_like(g)


@op("ceil(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Ceil(Pointwise):
    """Smallest whole number not below each element."""

    check_out = same_type_out
    dtype = rounding("ceil_vml_cpu", "ceil")

    def scalar(input):
        return rounded(ceil, input)

    def d_input(g):
        return zero_like(g)


@op("trunc(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True, also="fix")
class Trunc(Pointwise):
    """Integer part: each element without its fraction."""

    check_out = same_type_out
    dtype = rounding("trunc_vml_cpu", "trunc")

    def scalar(input):
        return rounded(trunc, input)

    def d_input(g):
        return zero_like(g)


def round_type(common: DType, decimals: int):
    if common.kind in (BOOL, COMPLEX) or decimals and common.kind != FLOAT:
        raise not_implemented("round_cpu" if decimals else "round_vml_cpu", common)
    return common, common


@op("round(Tensor input, *, int decimals=0, Tensor? out=None) -> Tensor", inplace=True, also="special.round")
class Round(Pointwise):
    """Nearest whole number, ties to even; ``decimals`` keeps that many digits after the point (before it if negative).

    >>> import flambeau as torch
    >>> torch.tensor([0.5, 1.5, 2.567]).round(decimals=1)
    tensor([0.5000, 1.5000, 2.6000])
    """

    def samples(make):
        return [
            ((make(2, 3),), {}),
            ((make(2, 3),), {"decimals": 2}),
            ((make(2, 3),), {"decimals": -1}),
        ]

    check_out = same_type_out
    dtype = round_type

    def scalar(input, decimals):
        if decimals == 0:
            return rounded(roundeven, input)
        scale = 10.0 ** abs(decimals)
        if decimals > 0:
            return roundeven(input * scale) / scale
        return roundeven(input / scale) * scale

    def d_input(g):
        return zero_like(g)


@op("frac(Tensor input, *, Tensor? out=None) -> Tensor", inplace=True)
class Frac(Pointwise):
    """The fraction: ``input - trunc(input)``."""

    check_out = same_type_out

    def dtype(common):
        if common.kind != FLOAT:
            raise not_implemented("frac_cpu", common)
        return common, common

    def scalar(input):
        return input - trunc(input)

    def d_input(g):
        return g
