"""The Gumbel distribution."""

from __future__ import annotations

import math

import flambeau
from flambeau.tensor.tensor import Tensor

from . import constraints
from .transformed_distribution import TransformedDistribution
from .transforms import AffineTransform, ExpTransform
from .uniform import Uniform
from .utils import broadcast_all, eps_of, euler_constant, tiny_of

__all__ = ["Gumbel"]


class Gumbel(TransformedDistribution):
    """Largest values of many samples: ``P(X <= x) = exp(-exp(-(x - loc) / scale))``."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(self, loc, scale, validate_args: bool | None = None):
        self.loc, self.scale = broadcast_all(loc, scale)
        # uniform samples kept off 0 and 1, where the logarithms are infinite
        ends = (
            flambeau.full_like(self.loc.detach(), tiny_of(self.loc)),
            flambeau.full_like(self.loc.detach(), 1 - eps_of(self.loc)),
        )
        if not isinstance(loc, Tensor) and not isinstance(scale, Tensor):
            ends = tuple(end.item() for end in ends)
        base = Uniform(*ends, validate_args=validate_args)
        super().__init__(base, self._steps(), validate_args=validate_args)

    def _steps(self) -> list:
        scale = self.scale
        return [
            ExpTransform().inv,
            AffineTransform(loc=0, scale=-flambeau.ones_like(scale)),
            ExpTransform().inv,
            AffineTransform(loc=self.loc, scale=-scale),
        ]

    def _expand_more(self, made, shape) -> None:
        made.base_dist = self.base_dist.expand(shape)
        made.transforms = made._steps()

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        z = (self.loc - value) / self.scale
        return (z - z.exp()) - self.scale.log()

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * euler_constant

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Tensor:
        return self.stddev.pow(2)

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + euler_constant)
