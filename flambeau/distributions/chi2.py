"""The chi-squared distribution."""

from __future__ import annotations

from flambeau.tensor.tensor import Tensor

from . import constraints
from .gamma import Gamma

__all__ = ["Chi2"]


class Chi2(Gamma):
    """The sum of squares of `df` standard normal samples: a gamma distribution."""

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df, validate_args: bool | None = None):
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    def _expand_more(self, made, shape) -> None:
        made.concentration, made.rate = self.concentration.expand(shape), self.rate.expand(shape)

    @property
    def df(self) -> Tensor:
        """Degrees of freedom."""
        return self.concentration * 2
