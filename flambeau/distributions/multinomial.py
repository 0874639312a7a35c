"""The multinomial distribution."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._around import AroundCategorical
from .binomial import Binomial
from .categorical import Categorical
from .utils import broadcast_all

__all__ = ["Multinomial"]


class Multinomial(AroundCategorical):
    """How often each of k outcomes occurs in `total_count` draws with the chances `probs` (logarithms: `logits`)."""

    _shared = ("total_count",)

    def __init__(self, total_count: int = 1, probs=None, logits=None, validate_args: bool | None = None):
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        chances = Categorical(probs, logits)
        self.total_count = total_count
        # how often one outcome occurs
        self._of_one = Binomial(total_count, chances.probs)
        self._settle(chances, validate_args)

    def _expand_more(self, made, shape) -> None:
        super()._expand_more(made, shape)
        made._of_one = self._of_one.expand(shape + self._event_shape)

    support: Any = constraints.dependent_property(
        lambda self: constraints.multinomial(self.total_count), is_discrete=True, event_dim=1
    )

    @property
    def mean(self) -> Tensor:
        return self._of_one.mean

    @property
    def variance(self) -> Tensor:
        return self._of_one.variance

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        sample_shape = Size(sample_shape)
        drawn = self._categorical.sample(Size((self.total_count,)) + sample_shape)
        drawn = drawn.movedim(0, -1)  # (*, total_count)
        counts = drawn.new_zeros(self._extended_shape(sample_shape))
        counts.scatter_add_(-1, drawn, flambeau.ones_like(drawn))
        return counts.type_as(self.probs)

    def entropy(self) -> Tensor:
        n = flambeau.tensor(self.total_count)
        counts = self._of_one.enumerate_support(expand=False)[1:]
        chances = self._of_one.log_prob(counts).exp()
        return (
            n * self._categorical.entropy()
            - (n + 1).lgamma()
            + (chances * (counts + 1).lgamma()).sum([0, -1])
        )

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        logits, value = broadcast_all(self.logits, value)
        logits = logits.masked_fill((value == 0) & (logits == -flambeau.inf), 0)
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        return ways + (logits * value).sum(-1)
