"""Batch dimensions taken as event dimensions."""

from __future__ import annotations

from typing import Any

from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .distribution import Distribution
from .utils import _sum_rightmost, held

__all__ = ["Independent"]


class Independent(Distribution):
    """A distribution whose last `reinterpreted_batch_ndims` batch dimensions belong to the event.

    >>> import flambeau as torch
    >>> from flambeau.distributions import Independent, Normal
    >>> d = Independent(Normal(torch.zeros(2, 3), torch.ones(2, 3)), 1)
    >>> d.batch_shape, d.event_shape
    (torch.Size([2]), torch.Size([3]))
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(self, base_distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None):
        given = len(base_distribution.batch_shape)
        if reinterpreted_batch_ndims > given:
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                f"{reinterpreted_batch_ndims} vs {given}"
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        shape = base_distribution.batch_shape + base_distribution.event_shape
        kept = given - reinterpreted_batch_ndims
        Distribution.__init__(self, shape[:kept], shape[kept:], validate_args=validate_args)

    _shared = ("reinterpreted_batch_ndims",)

    def _expand_more(self, made, shape) -> None:
        made.base_dist = self.base_dist.expand(shape + self.event_shape[: self.reinterpreted_batch_ndims])

    has_rsample: Any = held("base_dist.has_rsample", "Whether the base has it.")

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_enumerate_support and not self._adds

    @constraints.dependent_property
    def support(self):
        found = self.base_dist.support
        return constraints.independent(found, self.reinterpreted_batch_ndims) if self._adds else found

    @property
    def _adds(self) -> bool:
        return self.reinterpreted_batch_ndims > 0

    mean = held("base_dist.mean", "The base's mean.")
    mode = held("base_dist.mode", "The base's mode.")
    variance = held("base_dist.variance", "The base's variance.")

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return _sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return _sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        if self._adds:
            raise NotImplementedError("Enumeration over cartesian product is not implemented")
        return self.base_dist.enumerate_support(expand=expand)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {self.reinterpreted_batch_ndims})"
