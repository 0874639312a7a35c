"""Distributions around a categorical one: their chances are its own, in either form."""

from __future__ import annotations

from typing import Any

from . import constraints
from .categorical import Categorical
from .distribution import Distribution
from .utils import held

#: what the chances must satisfy
CHANCES = {"logits": constraints.real_vector, "probs": constraints.simplex}


class AroundCategorical(Distribution):
    """Base of distributions whose events are vectors with a place for each outcome of a categorical distribution."""

    arg_constraints: Any = CHANCES
    logits = held("_categorical.logits", "Logarithms of the probabilities.")
    probs = held("_categorical.probs", "The probabilities.")
    param_shape = held("_categorical.param_shape", "Shape of the parameter that was given.")

    def _settle(self, chances: Categorical, validate_args: bool | None) -> None:
        """Take the categorical distribution: its batch, and its number of outcomes as the event."""
        self._categorical = chances
        super().__init__(chances.batch_shape, chances.param_shape[-1:], validate_args)

    def _expand_more(self, made, shape) -> None:
        made._categorical = self._categorical.expand(shape)
