"""Distributions of transformed samples."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .distribution import Distribution
from .independent import Independent
from .transforms import ComposeTransform, Transform
from .utils import _sum_rightmost

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """What comes of samples of `base_distribution` by `transforms`, one after the other.

    Its density is the base's at the inverse image, over the transforms' determinant of the Jacobian.

    >>> import flambeau as torch
    >>> from flambeau.distributions import AffineTransform, SigmoidTransform, TransformedDistribution, Uniform
    >>> steps = [SigmoidTransform().inv, AffineTransform(loc=1.0, scale=2.0)]
    >>> logistic = TransformedDistribution(Uniform(0.0, 1.0), steps)
    >>> logistic.cdf(torch.tensor(1.0))
    tensor(0.5000)
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, base_distribution, transforms, validate_args: bool | None = None):
        steps = [transforms] if isinstance(transforms, Transform) else transforms
        if not isinstance(steps, list):
            raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
        if not all(isinstance(step, Transform) for step in steps):
            raise ValueError("transforms must be a Transform or a list of Transforms")
        self.transforms = steps
        self._settle(base_distribution, validate_args)

    def _settle(self, base: Any, validate_args: bool | None) -> None:
        """Fit the base's shapes to the transforms: broadcast its batch, take batch dimensions that events consume."""
        whole = ComposeTransform(self.transforms)
        given = base.batch_shape + base.event_shape
        own_dims = len(base.event_shape)
        taken, made = whole.domain.event_dim, whole.codomain.event_dim
        if len(given) < taken:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {taken}, but got {given}."
            )
        shape = whole.forward_shape(given)
        wanted = whole.inverse_shape(shape)
        if given != wanted:
            base = base.expand(wanted[: len(wanted) - own_dims])
        if taken > own_dims:
            base = Independent(base, taken - own_dims)
        self.base_dist = base
        cut = len(shape) - max(made, own_dims + made - taken)
        Distribution.__init__(self, shape[:cut], shape[cut:], validate_args=validate_args)

    _shared = ("transforms",)

    def _expand_more(self, made, shape) -> None:
        whole = ComposeTransform(self.transforms)
        wanted = whole.inverse_shape(shape + self.event_shape)
        made.base_dist = self.base_dist.expand(wanted[: len(wanted) - len(self.base_dist.event_shape)])

    def _support(self):
        if self.transforms:
            last = self.transforms[-1].codomain
            more = len(self.event_shape) - last.event_dim
            return constraints.independent(last, more) if more > 0 else last
        return self.base_dist.support

    support: Any = constraints.dependent_property(_support, is_discrete=False)
    has_rsample: Any = property(lambda self: self.base_dist.has_rsample)

    def _image(self, x: Tensor) -> Tensor:
        return reduce(lambda point, step: step(point), self.transforms, x)

    def _origin(self, y: Tensor) -> Tensor:
        return reduce(lambda point, step: step.inv(point), reversed(self.transforms), y)

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        # the base may have `sample` alone
        with flambeau.no_grad():
            return self._image(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        return self._image(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        level: Any = 0.0
        dims, y = len(self.event_shape), value
        for step in self.transforms[::-1]:
            x, taken = step.inv(y), step.domain.event_dim
            dims += taken - step.codomain.event_dim
            level = level - _sum_rightmost(step.log_abs_det_jacobian(x, y), dims - taken)
            y = x
        return level + _sum_rightmost(self.base_dist.log_prob(y), dims - len(self.base_dist.event_shape))

    def _by_sign(self, level: Tensor) -> Tensor:
        """A level of the base as one of the whole, and back: a falling transform turns it around."""
        sign: Any = prod((step.sign for step in self.transforms), start=1)
        return level if isinstance(sign, int) and sign == 1 else sign * (level - 0.5) + 0.5

    def cdf(self, value: Tensor) -> Tensor:
        """Probability of a draw up to `value`, through the transforms' inverses; they must be monotone."""
        origin = self._origin(value)
        if self._validate_args:
            self.base_dist._validate_sample(origin)
        return self._by_sign(self.base_dist.cdf(origin))

    def icdf(self, value: Tensor) -> Tensor:
        """The point up to which a draw falls with probability `value`, through the transforms; they must be monotone."""
        return self._image(self.base_dist.icdf(self._by_sign(value)))
