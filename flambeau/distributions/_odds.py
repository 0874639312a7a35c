"""Parameters given either as probabilities or as logits; the other form is made on first use."""

from __future__ import annotations

from typing import Any

from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from .distribution import Distribution
from .utils import lazy_property, logits_to_probs, probs_to_logits


def one_of(probs: Any, logits: Any) -> str:
    """Which of the two was given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")
    return "logits" if probs is None else "probs"


class Odds(Distribution):
    """Base of distributions with a probability, or its log odds, for each element."""

    def _start_odds(self, probs: Any, logits: Any, validate_args: bool | None, **others: Any) -> None:
        given = one_of(probs, logits)
        self._start(validate_args, **others, **{given: logits if probs is None else probs})

    @lazy_property
    def logits(self) -> Tensor:
        """Log odds of the probability."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """The probability."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def _param(self) -> Tensor:
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.logits  # noqa: SIM401 (logits are made only when needed)

    @property
    def param_shape(self) -> Size:
        """Shape of the parameter that was given."""
        return self._param.size()
