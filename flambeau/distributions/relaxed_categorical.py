"""The relaxed categorical distribution."""

from __future__ import annotations

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._around import CHANCES, AroundCategorical
from .categorical import Categorical
from .transformed_distribution import TransformedDistribution
from .transforms import ExpTransform
from .utils import clamp_probs, held

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


class ExpRelaxedCategorical(AroundCategorical):
    """Logarithms of relaxed one-hot samples.

    Source: Maddison, Mnih and Teh 2017, The concrete distribution.
    """

    has_rsample = True
    # PyTorch says so; the samples' exponentials sum to 1, which is narrower
    support = constraints.real_vector
    _shared = ("temperature",)

    def __init__(self, temperature, probs=None, logits=None, validate_args: bool | None = None):
        self.temperature = temperature
        self._settle(Categorical(probs, logits), validate_args)

    def rsample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        logits = self.logits
        uniform = flambeau.rand(self._extended_shape(sample_shape), dtype=logits.dtype, device=logits.device)
        gumbel = -(-clamp_probs(uniform).log()).log()
        return ((logits + gumbel) / self.temperature).log_softmax(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        size, heat = self._event_shape[0], self.temperature
        # (size - 1)! heat^(size - 1)
        constant = flambeau.full_like(heat.detach(), float(size)).lgamma() + heat.log() * (size - 1)
        return (self.logits - heat * value).log_softmax(-1).sum(-1) + constant


class RelaxedOneHotCategorical(TransformedDistribution):
    """Points of the simplex that come close to one-hot samples as `temperature` falls, and are differentiable."""

    arg_constraints = CHANCES
    has_rsample = True
    support = constraints.simplex

    def __init__(self, temperature, probs=None, logits=None, validate_args: bool | None = None):
        logarithms = ExpRelaxedCategorical(temperature, probs, logits, validate_args)
        super().__init__(logarithms, ExpTransform(), validate_args)

    temperature = held("base_dist.temperature", "How soft the samples are.")
    logits = held("base_dist.logits", "Logarithms of the probabilities.")
    probs = held("base_dist.probs", "Probabilities of the limit of temperature 0.")
