"""Exponential families: densities ``exp(<natural parameters, statistics(x)> - log normaliser + carrier(x))``."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

from .distribution import Distribution, _unsaid
from .utils import _sum_rightmost

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """Base of exponential families; entropy and divergence follow from the log normaliser and its gradient.

    Source: Nielsen and Nock, ICIP 2010.
    """

    _natural_params: Any = _unsaid("The natural parameters.")
    _mean_carrier_measure: Any = _unsaid("The mean of the carrier.")

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError

    def _normaliser_and_means(self) -> tuple[tuple[Tensor, ...], Tensor, tuple[Tensor, ...]]:
        """Natural parameters, log normaliser, and its gradient: the means of the statistics."""
        parameters = tuple(p.detach().requires_grad_() for p in self._natural_params)
        with flambeau.enable_grad():
            level = self._log_normalizer(*parameters)
            means = flambeau.autograd.grad(level.sum(), parameters, create_graph=True)
        return parameters, level, means

    def entropy(self) -> Tensor:
        """The log normaliser less the mean of what it is compared with (Bregman)."""
        result = -self._mean_carrier_measure
        parameters, level, means = self._normaliser_and_means()
        result = result + level
        for parameter, mean in zip(parameters, means):
            share = parameter * mean
            result = result - _sum_rightmost(share, share.dim() - len(self._batch_shape))
        return result
