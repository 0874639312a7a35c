"""The generalised Pareto distribution."""

from __future__ import annotations

import math

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .distribution import Distribution
from .utils import where

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """Excesses over a threshold `loc`: ``P(X > x) = (1 + concentration z)**(-1 / concentration)``, z = (x - loc) / scale.

    A concentration of 0 gives the exponential distribution; below 0 the samples end at ``loc - scale / concentration``.
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True

    def __init__(self, loc, scale, concentration, validate_args: bool | None = None):
        self._start(validate_args, loc=loc, scale=scale, concentration=concentration)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        end = where(self.concentration < 0, self.loc - self.scale / self.concentration, math.inf)
        return constraints.interval(self.loc, end)

    def _branches(self) -> tuple[Tensor, Tensor]:
        """Where the concentration counts as 0, and the concentration with 1 there."""
        none = flambeau.isclose(self.concentration, flambeau.zeros_like(self.concentration))
        return none, where(none, flambeau.ones_like(self.concentration), self.concentration)

    def _z(self, x: Tensor) -> Tensor:
        return (x - self.loc) / self.scale

    def rsample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        shape = self._extended_shape(sample_shape)
        return self.icdf(flambeau.rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        none, k = self._branches()
        z = self._z(value)
        return -self.scale.log() - where(none, z, (1 + 1 / k) * (z * k).log1p())

    def log_survival_function(self, value: Tensor) -> Tensor:
        """Logarithm of the probability of a draw beyond `value`."""
        self._checked(value)
        none, k = self._branches()
        z = self._z(value)
        return where(none, -z, -(k * z).log1p() / k)

    def log_cdf(self, value: Tensor) -> Tensor:
        """Logarithm of `cdf`."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        none, k = self._branches()
        level = (-value).log1p()
        return self.loc + self.scale * where(none, -level, (-k * level).expm1() / k)

    def _where_below(self, limit: float, found: Tensor) -> Tensor:
        return where(self.concentration < limit, found, math.nan)

    @property
    def mean(self) -> Tensor:
        k = self.concentration
        return self._where_below(1, self.loc + self.scale / (1 - k))

    @property
    def variance(self) -> Tensor:
        k = self.concentration
        return self._where_below(0.5, self.scale.pow(2) / ((1 - k).pow(2) * (1 - 2 * k)))

    def entropy(self) -> Tensor:
        return (self.scale.log() + self.concentration + 1).expand(self._batch_shape)

    @property
    def mode(self) -> Tensor:
        return self.loc
