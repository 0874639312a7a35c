"""The binomial distribution."""

from __future__ import annotations

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._odds import Odds, one_of
from .distribution import Distribution
from .utils import broadcast_all

__all__ = ["Binomial"]


class Binomial(Odds):
    """Successes among `total_count` trials of probability `probs` (log odds `logits`).

    >>> import flambeau as torch
    >>> torch.distributions.Binomial(2, torch.tensor(0.5)).enumerate_support()
    tensor([0., 1., 2.])
    """

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(self, total_count=1, probs=None, logits=None, validate_args: bool | None = None):
        given = one_of(probs, logits)
        count, chance = broadcast_all(total_count, logits if probs is None else probs)
        self.total_count = count.type_as(chance)
        setattr(self, given, chance)
        Distribution.__init__(self, chance.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        shape = self._extended_shape(sample_shape)
        with flambeau.no_grad():
            return flambeau.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        n, logits = self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        # log(1 + exp(logits)) without overflow
        normaliser = logits.clamp(min=0) + (-logits.abs()).exp().log1p()
        return ways + value * logits - n * normaliser

    def _one_count(self, what: str) -> int:
        count = int(self.total_count.max())
        if not self.total_count.min() == count:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{what}`.")
        return count

    def entropy(self) -> Tensor:
        self._one_count("entropy")
        level = self.log_prob(self.enumerate_support(False))
        return -(level.exp() * level).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        count = self._one_count("enumerate_support")
        values = flambeau.arange(1 + count, dtype=self._param.dtype, device=self._param.device)
        return self._numbered(values, expand)
