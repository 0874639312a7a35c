"""The von Mises distribution."""

from __future__ import annotations

import math

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .distribution import Distribution
from .utils import lazy_property, where

__all__ = ["VonMises"]


class VonMises(Distribution):
    """Angles in radians around `loc`: density proportional to ``exp(concentration cos(x - loc))``.

    >>> import flambeau as torch
    >>> torch.distributions.VonMises(torch.tensor(1.0), torch.tensor(4.0)).mean
    tensor(1.)
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(self, loc, concentration, validate_args: bool | None = None):
        self._start(validate_args, loc=loc, concentration=concentration)

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        k = self.concentration
        return k * ((value - self.loc).cos() - 1) - math.log(2 * math.pi) - flambeau.special.i0e(k).log()

    @lazy_property
    def _loc(self) -> Tensor:
        return self.loc.double()

    @lazy_property
    def _concentration(self) -> Tensor:
        return self.concentration.double()

    @lazy_property
    def _proposal_r(self) -> Tensor:
        k = self._concentration
        tau = 1 + (1 + 4 * k.square()).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * k)
        # for small k the difference above has no digits left
        return where(k < 1e-5, 1 / k + k, (1 + rho.square()) / (2 * rho))

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        """Draws by rejection from a wrapped Cauchy distribution (Best and Fisher 1979), in float64."""
        shape = self._extended_shape(sample_shape)
        with flambeau.no_grad():
            k, r = self._concentration, self._proposal_r
            angle = flambeau.empty(shape, dtype=k.dtype, device=self.loc.device)
            done = flambeau.zeros(shape, dtype=flambeau.bool, device=self.loc.device)
            while not done.all():
                u1, u2, u3 = flambeau.rand((3,) + shape, dtype=k.dtype, device=self.loc.device).unbind()
                z = (math.pi * u1).cos()
                f = (1 + r * z) / (r + z)
                c = k * (r - f)
                taken = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
                angle = where(taken, (u3 - 0.5).sign() * f.acos(), angle)
                done = done | taken
            wrapped = (angle + math.pi + self._loc) % (2 * math.pi) - math.pi
            return wrapped.to(self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        """The circular variance: one less the mean of ``cos(x - loc)``."""
        k = self.concentration
        return 1 - flambeau.special.i1e(k) / flambeau.special.i0e(k)
