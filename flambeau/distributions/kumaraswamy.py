"""The Kumaraswamy distribution."""

from __future__ import annotations

import math

import flambeau
from flambeau.tensor.tensor import Tensor

from . import constraints
from .transformed_distribution import TransformedDistribution
from .transforms import AffineTransform, PowerTransform
from .uniform import Uniform
from .utils import broadcast_all, euler_constant

__all__ = ["Kumaraswamy"]


class Kumaraswamy(TransformedDistribution):
    """Numbers of [0, 1] with ``P(X <= x) = 1 - (1 - x**concentration1)**concentration0``."""

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1, concentration0, validate_args: bool | None = None):
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        like = self.concentration0.detach()
        base = Uniform(flambeau.zeros_like(like), flambeau.ones_like(like), validate_args=validate_args)
        super().__init__(base, self._steps(), validate_args=validate_args)

    def _steps(self) -> list:
        return [
            PowerTransform(self.concentration0.reciprocal()),
            AffineTransform(loc=1.0, scale=-1.0),
            PowerTransform(self.concentration1.reciprocal()),
        ]

    def _expand_more(self, made, shape) -> None:
        made.base_dist = self.base_dist.expand(shape)
        made.transforms = made._steps()

    def _moment(self, n: int) -> Tensor:
        """The mean of ``x**n``: ``b B(1 + n / a, b)``."""
        b, argument = self.concentration0, 1 + n / self.concentration1
        return (argument.lgamma() + b.lgamma() - (argument + b).lgamma()).exp() * b

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def mode(self) -> Tensor:
        # by logarithms: concentration1 * concentration0 - 1 alone may lose its digits
        a, b = self.concentration1, self.concentration0
        level = a.reciprocal() * ((a - 1).log() - (a * b - 1).log())
        undefined = (a < 1) | (b < 1)
        return level.exp().masked_fill(undefined | ((a == 1) & (b == 1)), math.nan)

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self.mean.pow(2)

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + euler_constant
        return 1 - b.reciprocal() + (1 - a.reciprocal()) * harmonic - a.log() - b.log()
