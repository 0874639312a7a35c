"""The geometric distribution."""

from __future__ import annotations

import flambeau
from flambeau.base.layout import Size
from flambeau.nn.functional import binary_cross_entropy_with_logits
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._odds import Odds
from .utils import broadcast_all, tiny_of

__all__ = ["Geometric"]


class Geometric(Odds):
    """Failures before the first success of trials with probability `probs`: ``P(k) = (1 - probs)**k probs``."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None):
        self._start_odds(probs, logits, validate_args)
        if self._validate_args and probs is not None and not (self.probs > 0).all():
            found = self.probs
            raise ValueError(
                f"Expected parameter probs ({type(found).__name__} of shape {tuple(found.shape)}) of distribution {self!r} "
                f"to be positive but found invalid values:\n{found[found <= 0]}"
            )

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return flambeau.zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        shape = self._extended_shape(sample_shape)
        with flambeau.no_grad():
            u = self.probs.new_empty(shape).uniform_(tiny_of(self.probs), 1)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        value, probs = broadcast_all(value, self.probs)
        # log1p(-1) * 0 would be NaN
        certain = probs.masked_fill((probs == 1) & (value == 0), 0)
        return value * (-certain).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs
