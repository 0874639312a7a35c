"""The categorical distribution."""

from __future__ import annotations

from math import nan

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._odds import one_of
from .distribution import Distribution
from .utils import lazy_property, logits_to_probs, probs_to_logits

__all__ = ["Categorical"]


class Categorical(Distribution):
    """A number of 0 .. k-1, with the chances that the last dimension of `probs` gives (its logarithms: `logits`).

    Neither needs to be normalised.

    >>> import flambeau as torch
    >>> torch.distributions.Categorical(torch.tensor([1.0, 3.0])).probs
    tensor([0.2500, 0.7500])
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _shared = ("_outcomes",)

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None):
        given = one_of(probs, logits)
        found = logits if probs is None else probs
        if found.dim() < 1:
            raise ValueError(f"`{given}` parameter must be at least one-dimensional.")
        if probs is None:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
        else:
            self.probs = probs / probs.sum(-1, keepdim=True)
        self._outcomes = found.size(-1)
        Distribution.__init__(self, found.size()[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        return constraints.integer_interval(0, self._outcomes - 1)

    @lazy_property
    def logits(self) -> Tensor:
        """Logarithms of the probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities."""
        return logits_to_probs(self.logits)

    @property
    def _param(self) -> Tensor:
        return self.__dict__["probs"] if "probs" in self.__dict__ else self.logits  # noqa: SIM401 (logits are made only when needed)

    @property
    def param_shape(self) -> Size:
        """Shape of the parameter that was given."""
        return self._param.size()

    def _undefined(self) -> Tensor:
        return flambeau.full(self._extended_shape(), nan, dtype=self.probs.dtype, device=self.probs.device)

    @property
    def mean(self) -> Tensor:
        return self._undefined()

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(dim=-1)

    @property
    def variance(self) -> Tensor:
        return self._undefined()

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        sample_shape = Size(sample_shape)
        rows = self.probs.detach().reshape(-1, self._outcomes)
        drawn = flambeau.multinomial(rows, sample_shape.numel(), True)
        return drawn.T.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        places, levels = flambeau.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return levels.gather(-1, places[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        # a probability of 0 has the logit -inf, and its share is 0
        kept = self.logits.clamp(min=flambeau.finfo(self.logits.dtype).min)
        return -(kept * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._numbered(flambeau.arange(self._outcomes, device=self._param.device), expand)
