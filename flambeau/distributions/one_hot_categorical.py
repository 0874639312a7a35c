"""The categorical distribution with one-hot samples."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._around import AroundCategorical
from .categorical import Categorical

__all__ = ["OneHotCategorical", "OneHotCategoricalStraightThrough"]


class OneHotCategorical(AroundCategorical):
    """A vector of zeros with a one at a place drawn with the chances `probs` (their logarithms: `logits`)."""

    has_enumerate_support = True
    support = constraints.one_hot

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None):
        self._settle(Categorical(probs, logits), validate_args)

    def _hot(self, places: Tensor) -> Tensor:
        """A one at each of these places, zeros elsewhere."""
        return flambeau.nn.functional.one_hot(places, self._event_shape[0]).to(self.probs)

    mean: Any = property(lambda self: self.probs, doc="The probabilities.")

    @property
    def mode(self) -> Tensor:
        return self._hot(self._categorical.mode)

    @property
    def variance(self) -> Tensor:
        chance = self.probs
        return chance * (1 - chance)

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        return self._hot(self._categorical.sample(sample_shape))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        ahead = self._categorical.enumerate_support(expand)
        return self._hot(ahead)

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Tensor:
        return self._categorical.entropy()


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot samples whose gradient is that of the probabilities.

    Source: Bengio, Léonard and Courville 2013, arXiv:1308.3432.
    """

    has_rsample = True

    def rsample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        chance = self.probs
        # a difference of 0 whose gradient is that of the first
        return self.sample(sample_shape) + (chance - chance.detach())
