"""Student's t distribution."""

from __future__ import annotations

import math

from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .chi2 import Chi2
from .distribution import Distribution
from .utils import _standard_normal, broadcast_all

__all__ = ["StudentT"]


class StudentT(Distribution):
    """A normal sample over the root of an independent chi-squared one of `df` degrees, over `df`; moved and scaled."""

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df, loc=0.0, scale=1.0, validate_args: bool | None = None):
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        Distribution.__init__(self, self.df.size(), validate_args=validate_args)

    def _expand_more(self, made, shape) -> None:
        made._chi2 = self._chi2.expand(shape)

    @property
    def mean(self) -> Tensor:
        return self.loc.masked_fill(self.df <= 1, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        df = self.df
        found = self.scale.pow(2) * df / (df - 2).masked_fill(df <= 2, 1.0)
        return found.masked_fill((df <= 2) & (df > 1), math.inf).masked_fill(df <= 1, math.nan)

    def rsample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        normal = _standard_normal(self._extended_shape(sample_shape), self.df.dtype, self.df.device)
        square = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * normal * (square / self.df).rsqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        z = (value - self.loc) / self.scale
        return -0.5 * (self.df + 1.0) * (z.pow(2) / self.df).log1p() - self._log_normaliser()

    def _log_normaliser(self) -> Tensor:
        df = self.df
        halves = (0.5 * df).lgamma() - (0.5 * (df + 1.0)).lgamma()
        return self.scale.log() + 0.5 * (df.log() + math.log(math.pi)) + halves

    def entropy(self) -> Tensor:
        df = self.df
        slope = (0.5 * (df + 1.0)).digamma() - (0.5 * df).digamma()
        return self._log_normaliser() + 0.5 * (df + 1.0) * slope
