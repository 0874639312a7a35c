"""The half-Cauchy distribution."""

from __future__ import annotations

import math

import flambeau
from flambeau.tensor.tensor import Tensor

from . import constraints
from .cauchy import Cauchy
from .transformed_distribution import TransformedDistribution
from .transforms import AbsTransform
from .utils import where

__all__ = ["HalfCauchy"]


class HalfCauchy(TransformedDistribution):
    """The absolute value of Cauchy samples of median 0 and width `scale`."""

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, scale, validate_args: bool | None = None):
        super().__init__(Cauchy(0, scale, validate_args=False), AbsTransform(), validate_args=validate_args)

    @property
    def scale(self) -> Tensor:
        """Half width at half maximum of the Cauchy samples."""
        return self.base_dist.scale

    @property
    def mean(self) -> Tensor:
        return flambeau.full_like(self.scale.detach(), math.inf).expand(self._extended_shape())

    @property
    def mode(self) -> Tensor:
        return flambeau.zeros_like(self.scale)

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        value = flambeau.as_tensor(value, dtype=self.scale.dtype, device=self.scale.device)
        level = self.base_dist.log_prob(value) + math.log(2)
        return where(value >= 0, level, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        self._checked(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Tensor) -> Tensor:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() - math.log(2)
