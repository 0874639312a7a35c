"""The relaxed Bernoulli distribution."""

from __future__ import annotations

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._odds import Odds
from .transformed_distribution import TransformedDistribution
from .transforms import SigmoidTransform
from .utils import clamp_probs, held

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(Odds):
    """Log odds of relaxed Bernoulli samples: a logistic distribution around `logits`, of width 1 / `temperature`.

    Source: Maddison, Mnih and Teh 2017, The concrete distribution.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real
    _shared = ("temperature",)

    def __init__(self, temperature, probs=None, logits=None, validate_args: bool | None = None):
        self.temperature = temperature
        self._start_odds(probs, logits, validate_args)

    def rsample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        shape = self._extended_shape(sample_shape)
        chance = clamp_probs(self.probs.expand(shape))
        u = clamp_probs(flambeau.rand(shape, dtype=chance.dtype, device=chance.device))
        return (u.log() - (-u).log1p() + chance.log() - (-chance).log1p()) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        # how far the logit is from the value's share, on the scale of a logistic distribution
        away = self.logits - self.temperature * value
        return self.temperature.log() + away - 2 * away.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """Numbers of (0, 1) that come close to Bernoulli samples as `temperature` falls, and are differentiable.

    Source: Jang, Gu and Poole 2017, Categorical reparameterization with Gumbel-softmax.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, temperature, probs=None, logits=None, validate_args: bool | None = None):
        odds = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(odds, SigmoidTransform(), validate_args)

    temperature = held("base_dist.temperature", "How soft the samples are.")
    logits = held("base_dist.logits", "Log odds.")
    probs = held("base_dist.probs", "Probability of the limit of temperature 0.")
