"""Mixtures of distributions of one family."""

from __future__ import annotations

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .categorical import Categorical
from .distribution import Distribution

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A mixture: the last batch dimension of `component_distribution` holds the components, `mixture_distribution` picks one.

    >>> import flambeau as torch
    >>> from flambeau.distributions import Categorical, MixtureSameFamily, Normal
    >>> two = MixtureSameFamily(Categorical(torch.ones(2)), Normal(torch.tensor([-1.0, 1.0]), 1.0))
    >>> two.mean, two.variance
    (tensor(0.), tensor(2.))
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False
    _shared = ("_components", "_event_dims")

    def __init__(self, mixture_distribution, component_distribution, validate_args: bool | None = None):
        self._chooser = mixture_distribution
        self._offered = component_distribution
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                " The Mixture distribution needs to be an  instance of torch.distributions.Categorical"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an instance of torch.distributions.Distribution"
            )
        chosen, offered = mixture_distribution.batch_shape, component_distribution.batch_shape[:-1]
        if any(a != b and 1 not in (a, b) for a, b in zip(reversed(chosen), reversed(offered))):
            raise ValueError(
                f"`mixture_distribution.batch_shape` ({chosen}) is not compatible with "
                f"`component_distribution.batch_shape`({offered})"
            )
        weights, components = mixture_distribution.logits.shape[-1], component_distribution.batch_shape[-1]
        if components is not None and weights != components:
            raise ValueError(
                f"`mixture_distribution component` ({weights}) does not equal `component_distribution.batch_shape[-1]` "
                f"({components})"
            )
        self._components = weights
        event_shape = component_distribution.event_shape
        self._event_dims = len(event_shape)
        Distribution.__init__(self, offered, event_shape, validate_args=validate_args)

    def _expand_more(self, made, shape) -> None:
        made._offered = self._offered.expand(shape + (self._components,))
        made._chooser = self._chooser.expand(shape)

    @constraints.dependent_property
    def support(self):
        return constraints.MixtureSameFamilyConstraint(self._offered.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """Which component is drawn from."""
        return self._chooser

    @property
    def component_distribution(self) -> Distribution:
        """The components, along the last batch dimension."""
        return self._offered

    @property
    def _weights(self) -> Tensor:
        weights = self.mixture_distribution.probs
        return weights.reshape(weights.shape + (1,) * self._event_dims)

    def _average(self, values: Tensor) -> Tensor:
        """The mean over components of values of shape batch + (components,) + event."""
        return (self._weights * values).sum(dim=-1 - self._event_dims)

    @property
    def mean(self) -> Tensor:
        return self._average(self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        within = self._average(self.component_distribution.variance)
        centre = self.mean.unsqueeze(-1 - self._event_dims)
        return within + self._average((self.component_distribution.mean - centre).pow(2))

    def _pad(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1 - self._event_dims)

    def cdf(self, value: Tensor) -> Tensor:
        levels = self.component_distribution.cdf(self._pad(value))
        return (levels * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        levels = self.component_distribution.log_prob(self._pad(value))
        return (levels + self.mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        sample_shape = Size(sample_shape)
        with flambeau.no_grad():
            ahead = len(sample_shape) + len(self.batch_shape)
            picked = self.mixture_distribution.sample(sample_shape)
            drawn = self.component_distribution.sample(sample_shape)
            # one place along the components, for every element of the event
            places = picked.reshape(picked.shape + (1,) * (self._event_dims + 1))
            places = places.expand(picked.shape + (1,) + self.event_shape)
            return drawn.gather(ahead, places).squeeze(ahead)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
