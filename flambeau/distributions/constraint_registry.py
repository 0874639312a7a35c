"""Transforms from unconstrained space to the set that a constraint names.

`biject_to(constraint)` gives a bijection, whose density can be followed; `transform_to(constraint)` only has to reach the
set, and may have more parameters than the set has dimensions, which suits optimisation.

>>> import flambeau as torch
>>> from flambeau.distributions import constraints, transform_to
>>> transform_to(constraints.positive)(torch.tensor(0.0))
tensor(1.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Number
from typing import Any

from . import constraints as c
from . import transforms as t

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """Maps the type of a constraint to a function that makes a transform for such a constraint."""

    def __init__(self):
        self._makers: dict[type, Callable[[Any], t.Transform]] = {}

    def register(self, constraint, factory=None):
        """Name the function for a constraint (or for a type of constraints); with one argument a decorator.

        Raises: TypeError for what is no constraint.
        """
        if factory is None:
            return partial(self.register, constraint)
        kind = constraint if isinstance(constraint, type) else type(constraint)
        if not issubclass(kind, c.Constraint):
            raise TypeError(
                f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}"
            )
        self._makers[kind] = factory
        return factory

    def __call__(self, constraint) -> t.Transform:
        """The transform to a constraint's set. Raises: NotImplementedError where none is registered."""
        kind = type(constraint)
        if kind not in self._makers:
            raise NotImplementedError(f"Cannot transform {kind.__name__} constraints")
        return self._makers[kind](constraint)


def _exp_from(origin: Any, direction: int) -> t.Transform:
    """All numbers to those beyond a bound."""
    return t.ComposeTransform([t.ExpTransform(), t.AffineTransform(origin, direction)])


def _between(low: Any, high: Any) -> t.Transform:
    """All numbers to those of an interval."""
    unit = t.SigmoidTransform()
    if isinstance(low, Number) and isinstance(high, Number) and (low, high) == (0, 1):
        return unit
    return t.ComposeTransform([unit, t.AffineTransform(low, high - low)])


def _table(transform_of: ConstraintRegistry, to_simplex: type[t.Transform]) -> dict[Any, Callable]:
    """The transforms that both registries have. transform_of: the registry, for constraints made of constraints."""
    return {
        c.real: lambda k: t.identity_transform,
        c.greater_than: lambda k: _exp_from(k.lower_bound, 1),
        c.greater_than_eq: lambda k: _exp_from(k.lower_bound, 1),
        c.less_than: lambda k: _exp_from(k.upper_bound, -1),
        c.interval: lambda k: _between(k.lower_bound, k.upper_bound),
        c.half_open_interval: lambda k: _between(k.lower_bound, k.upper_bound),
        c.simplex: lambda k: to_simplex(),
        c.corr_cholesky: lambda k: t.CorrCholeskyTransform(),
        c.independent: lambda k: t.IndependentTransform(
            transform_of(k.base_constraint), k.reinterpreted_batch_ndims
        ),
        c.cat: lambda k: t.CatTransform([transform_of(part) for part in k.cseq], k.dim, k.lengths),
        c.stack: lambda k: t.StackTransform([transform_of(part) for part in k.cseq], k.dim),
    }


#: what has more parameters than the set has dimensions
_ONTO = {
    c.lower_cholesky: t.LowerCholeskyTransform,
    c.positive_definite: t.PositiveDefiniteTransform,
    c.positive_semidefinite: t.PositiveDefiniteTransform,
}

biject_to, transform_to = ConstraintRegistry(), ConstraintRegistry()
for _registry, _simplex in ((biject_to, t.StickBreakingTransform), (transform_to, t.SoftmaxTransform)):
    for _constraint, _maker in _table(_registry, _simplex).items():
        _registry.register(_constraint, _maker)
for _constraint, _kind in _ONTO.items():
    transform_to.register(_constraint, lambda k, kind=_kind: kind())
