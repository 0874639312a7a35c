"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math

import flambeau
from flambeau.base.layout import Size
from flambeau.nn.functional import binary_cross_entropy_with_logits
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._odds import Odds, one_of
from .distribution import Distribution
from .exp_family import ExponentialFamily
from .utils import broadcast_all, clamp_probs, where

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(Odds, ExponentialFamily):
    """Numbers of [0, 1] with density proportional to ``probs**x (1 - probs)**(1 - x)``.

    lims: between these probabilities, where the formulas divide by nearly 0, a Taylor series around 1/2 stands for them.
    Source: Loaiza-Ganem and Cunningham 2019, The continuous Bernoulli.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0
    _shared = ("_lims",)

    def __init__(self, probs=None, logits=None, lims=(0.499, 0.501), validate_args: bool | None = None):
        given = one_of(probs, logits)
        (found,) = broadcast_all(logits if probs is None else probs)
        if given == "probs":
            if validate_args is not None and not self.arg_constraints["probs"].check(found).all():
                raise ValueError("The parameter probs has invalid values")
            found = clamp_probs(found)
        setattr(self, given, found)
        self._lims = lims
        Distribution.__init__(self, found.size(), validate_args=validate_args)

    def _by_region(self, formula, series) -> Tensor:
        """formula(probs) away from 1/2, series(probs - 1/2) near it; neither meets the other's arguments."""
        low, high = self._lims
        stable = (self.probs <= low) | (self.probs > high)
        far = where(stable, self.probs, low * flambeau.ones_like(self.probs))
        return where(stable, formula(far), series(self.probs - 0.5))

    def _cont_bern_log_norm(self) -> Tensor:
        """Logarithm of ``2 atanh(1 - 2 probs) / (1 - 2 probs)``, which is 2 at 1/2."""

        def formula(p):
            return ((-p).log1p() - p.log()).abs().log() - (1 - 2 * p).abs().log()

        return self._by_region(formula, lambda x: math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x * x) * x * x)

    @property
    def mean(self) -> Tensor:
        return self._by_region(
            lambda p: p / (2.0 * p - 1.0) + 1.0 / ((-p).log1p() - p.log()),
            lambda x: 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x * x) * x,
        )

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    @property
    def variance(self) -> Tensor:
        return self._by_region(
            lambda p: p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / ((-p).log1p() - p.log()).pow(2),
            lambda x: 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x * x) * x * x,
        )

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        with flambeau.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        shape = self._extended_shape(sample_shape)
        return self.icdf(flambeau.rand(shape, dtype=self.probs.dtype, device=self.probs.device))

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        logits, value = broadcast_all(self.logits, value)
        return self._cont_bern_log_norm() - binary_cross_entropy_with_logits(logits, value, reduction="none")

    def cdf(self, value: Tensor) -> Tensor:
        self._checked(value)
        found = self._by_region(
            lambda p: (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0),
            lambda x: value,
        )
        return where(value <= 0.0, 0.0, where(value >= 1.0, 1.0, found))

    def icdf(self, value: Tensor) -> Tensor:
        return self._by_region(
            lambda p: ((value * (2.0 * p - 1.0) - p).log1p() - (-p).log1p()) / (p.log() - (-p).log1p()),
            lambda x: value,
        )

    def entropy(self) -> Tensor:
        at_zero, at_one = (-self.probs).log1p(), self.probs.log()
        return self.mean * (at_zero - at_one) - self._cont_bern_log_norm() - at_zero

    @property
    def _natural_params(self) -> tuple[Tensor]:
        return (self.logits,)

    def _log_normalizer(self, x: Tensor) -> Tensor:
        """``log((exp(x) - 1) / x)``"""
        low, high = (math.log(p / (1 - p)) for p in self._lims)
        stable = (x <= low) | (x > high)
        far = where(stable, x, low * flambeau.ones_like(x))
        near = x * (0.5 + x * (1.0 / 24.0 - x * x / 2880.0))
        return where(stable, far.expm1().abs().log() - far.abs().log(), near)
