"""The negative binomial distribution."""

from __future__ import annotations

import flambeau
from flambeau.base.layout import Size
from flambeau.nn.functional import logsigmoid
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._odds import Odds, one_of
from .distribution import Distribution
from .gamma import Gamma
from .utils import broadcast_all, lazy_property

__all__ = ["NegativeBinomial"]


class NegativeBinomial(Odds):
    """Successes of probability `probs` before `total_count` failures, which need not be a whole number."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(self, total_count, probs=None, logits=None, validate_args: bool | None = None):
        given = one_of(probs, logits)
        count, chance = broadcast_all(total_count, logits if probs is None else probs)
        self.total_count = count.type_as(chance)
        setattr(self, given, chance)
        Distribution.__init__(self, chance.size(), validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / (-self.logits).sigmoid()

    @lazy_property
    def _gamma(self) -> Gamma:
        # the samples' Poisson rate
        return Gamma(self.total_count, (-self.logits).exp(), validate_args=False)

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        with flambeau.no_grad():
            return flambeau.poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        n = self.total_count
        level = n * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
        normaliser = (1.0 + value).lgamma() + n.lgamma() - (n + value).lgamma()
        return level - normaliser.masked_fill(n + value == 0.0, 0.0)
