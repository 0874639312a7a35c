"""Invertible maps of samples, with the logarithm of their Jacobian's determinant."""

from __future__ import annotations

import math
from numbers import Number
from typing import Any

import flambeau
from flambeau.nn.functional import softplus
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._transform import (
    ByRule,
    ComposeTransform,
    Derived,
    IndependentTransform,
    ReshapeTransform,
    Rule,
    Transform,
    _InverseTransform,
    identity_transform,
)
from ._vector_transforms import (
    CatTransform,
    CorrCholeskyTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    SoftmaxTransform,
    StackTransform,
    StickBreakingTransform,
)
from .utils import _sum_rightmost, eps_of, tiny_of

__all__ = [
    "Transform", "identity_transform",
    # of numbers
    "AbsTransform", "AffineTransform", "CumulativeDistributionTransform", "ExpTransform", "PowerTransform",
    "SigmoidTransform", "SoftplusTransform", "TanhTransform",
    # of vectors and matrices
    "CorrCholeskyTransform", "LowerCholeskyTransform", "PositiveDefiniteTransform", "ReshapeTransform",
    "SoftmaxTransform", "StickBreakingTransform",
    # of transforms
    "CatTransform", "ComposeTransform", "IndependentTransform", "StackTransform",
]  # fmt: skip
# no part of the interface, but libraries that treat inverses in a way of their own look for it here
_ = _InverseTransform

_REAL, _POSITIVE = constraints.real, constraints.positive


def _inside(share: Tensor) -> Tensor:
    """Numbers kept off 0 and 1 by the type's precision."""
    return share.clamp(min=tiny_of(share), max=1.0 - eps_of(share))


def _logit(share: Tensor) -> Tensor:
    share = _inside(share)
    return share.log() - (-share).log1p()


class ExpTransform(ByRule, between=(_REAL, _POSITIVE), sign=1):
    """``y = exp(x)``"""

    rule = Rule(lambda x: x.exp(), lambda y: y.log(), lambda x, y: x)


class SigmoidTransform(ByRule, between=(_REAL, constraints.unit_interval), sign=1):
    """``y = 1 / (1 + exp(-x))``, kept off 0 and 1 so that the inverse is finite."""

    rule = Rule(lambda x: _inside(x.sigmoid()), _logit, lambda x, y: -(softplus(x) + softplus(-x)))


class SoftplusTransform(ByRule, between=(_REAL, _POSITIVE), sign=1):
    """``y = log(1 + exp(x))``"""

    rule = Rule(softplus, lambda y: y + (-(-y).expm1()).log(), lambda x, y: -softplus(-x))


class TanhTransform(ByRule, between=(_REAL, constraints.interval(-1.0, 1.0)), sign=1):
    """``y = tanh(x)``; with ``cache_size=1`` the inverse of an image near 1 is exact."""

    # the slope is 1 - tanh(x)**2, here without the difference
    rule = Rule(
        lambda x: x.tanh(), lambda y: y.atanh(), lambda x, y: 2 * (math.log(2) - x - softplus(-2 * x))
    )


class AbsTransform(ByRule, between=(_REAL, _POSITIVE)):
    """``y = |x|``; of two inverse images it gives the positive one."""

    rule = Rule(lambda x: x.abs(), lambda y: y)


def _wide(shape, *parameters: Any):
    """A shape broadcast with those of parameters; a number has none."""
    return flambeau.broadcast_shapes(shape, *[p.shape for p in parameters if isinstance(p, Tensor)])


class PowerTransform(Transform):
    """``y = x ** exponent`` of positive numbers."""

    takes = equal_by = ("exponent",)
    domain = codomain = _POSITIVE
    bijective = True

    def __init__(self, exponent: Tensor, cache_size: int = 0):
        Transform.__init__(self, cache_size)
        self.exponent = exponent

    sign: Any = property(lambda self: self.exponent.sign())

    def _call(self, x):
        return x**self.exponent

    def _inverse(self, y):
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x, y):
        slope = y / x * self.exponent
        return slope.abs().log()

    def forward_shape(self, shape):
        return _wide(shape, self.exponent)

    def inverse_shape(self, shape):
        return _wide(shape, self.exponent)


class AffineTransform(Derived):
    """``y = loc + scale * x``

    event_dim: dimensions of one event, over which the Jacobian's logarithm sums.
    """

    takes = ("loc", "scale", "event_dim")
    equal_by = ("loc", "scale")
    bijective = True
    event_dim: Any = 0

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0):
        Transform.__init__(self, cache_size)
        self.loc, self.scale, self.event_dim = loc, scale, event_dim

    def _end(self, which):
        return constraints.independent(_REAL, self.event_dim) if self.event_dim else _REAL

    @property
    def sign(self):
        scale = self.scale
        return (scale > 0) - (scale < 0) if isinstance(scale, Number) else scale.sign()  # type: ignore[operator]

    def _call(self, x):
        return self.loc + self.scale * x

    def _inverse(self, y):
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x, y):
        if isinstance(self.scale, Number):
            slope = flambeau.full_like(x.detach(), math.log(abs(self.scale)))  # type: ignore[arg-type]
        else:
            slope = self.scale.abs().log().expand(x.shape)
        return _sum_rightmost(slope, self.event_dim)

    def forward_shape(self, shape):
        return _wide(shape, self.loc, self.scale)

    def inverse_shape(self, shape):
        return _wide(shape, self.loc, self.scale)


class CumulativeDistributionTransform(Transform):
    """A distribution's `cdf` as a transform to [0, 1]; its inverse is `icdf`."""

    takes = ("distribution",)
    codomain = constraints.unit_interval
    domain: Any = property(lambda self: self.distribution.support)
    bijective, sign = True, 1

    def __init__(self, distribution, cache_size: int = 0):
        Transform.__init__(self, cache_size)
        self.distribution = distribution

    def _call(self, x):
        return self.distribution.cdf(x)

    def _inverse(self, y):
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x, y):
        return self.distribution.log_prob(x)
