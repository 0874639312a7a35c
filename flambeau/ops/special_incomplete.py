"""Incomplete gamma functions."""

from __future__ import annotations

from ..base import dtype as types
from ..base.layout import contiguous_layout
from .define import op, ops
from .kinds import Composite, Opaque
from .out_rules import castable
from .pointwise_types import COMPLEX, FLOAT, not_implemented


@op(
    "incomplete_gamma(Tensor input, Tensor other, Tensor factor, bool upper) -> Tensor",
    function=False, method=False,
)  # fmt: skip
class IncompleteGamma(Opaque):
    """The regularised function of float64 tensors of one shape; factor: ``other**input exp(-other) / gamma(input)``."""

    algorithm = "polynomials.incomplete_gamma"
    no_gradient = ("input", "factor")

    def layouts(other):
        return contiguous_layout(other.shape, other.dtype, other.device)

    def d_other(g, other, factor, upper):
        slope = g * factor / other
        return -slope if upper else slope


def regularised(name: str, input, other, upper: bool):
    common = ops.mul(input, other).dtype
    if common.kind == COMPLEX or common.kind < FLOAT:
        raise not_implemented(f"{name}_cpu", common)
    a, x = ops.to_copy(input, dtype=types.float64), ops.to_copy(other, dtype=types.float64)
    a, x = ops.broadcast_tensors((a, x))
    if input.requires_grad:
        raise NotImplementedError(f"the derivative for '{name}: input' is not implemented.")
    fixed = x.detach()
    factor = ops.exp(ops.xlogy(a, fixed) - fixed - ops.lgamma(a))
    return ops.to_copy(ops.incomplete_gamma(a, x, factor, upper), dtype=common)


@op(
    "igamma(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor", inplace=True, also="special.gammainc"
)
class Igamma(Composite):
    """Regularised lower incomplete gamma function of ``input`` at ``other``; from 0 to 1."""

    check_out = castable

    def body(input, other):
        return regularised("igamma", input, other, False)


@op(
    "igammac(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor",
    inplace=True,
    also="special.gammaincc",
)
class Igammac(Composite):
    """Regularised upper incomplete gamma function: ``1 - igamma(input, other)`` without loss."""

    check_out = castable

    def body(input, other):
        return regularised("igammac", input, other, True)
