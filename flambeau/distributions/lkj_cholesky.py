"""The LKJ distribution of correlation matrices, as Cholesky factors."""

from __future__ import annotations

import math

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import broadcast_all, tiny_of

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices M of size `dim`, with density proportional to ``det(M)**(concentration - 1)``.

    A concentration of 1 is uniform over correlation matrices; larger ones favour the identity.
    Source: Lewandowski, Kurowicka and Joe 2009, Generating random correlation matrices (the onion method).
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _shared = ("dim",)

    def __init__(self, dim: int, concentration=1.0, validate_args: bool | None = None):
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        if not isinstance(dim, int):
            raise TypeError(f"torch.Size() takes an iterable of 'int' (item 0 is '{type(dim).__name__}')")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        # squared length, left of the diagonal, of each row
        before = flambeau.arange(dim - 1, dtype=self.concentration.dtype, device=self.concentration.device)
        before = flambeau.cat([before.new_zeros((1,)), before])
        rest = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1) - 0.5 * before
        self._beta = Beta(before + 0.5, rest)
        Distribution.__init__(self, self.concentration.size(), Size((dim, dim)), validate_args)

    def _expand_more(self, made, shape) -> None:
        made._beta = self._beta.expand(shape + (self.dim,))

    def sample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        with flambeau.no_grad():
            square = self._beta.sample(sample_shape).unsqueeze(-1)
            dtype, device = square.dtype, square.device
            normal = flambeau.randn(self._extended_shape(sample_shape), dtype=dtype, device=device).tril(-1)
            direction = normal / normal.norm(dim=-1, keepdim=True)
            direction[..., 0, :].fill_(0.0)
            below = square.sqrt() * direction
            rest = (1 - below.pow(2).sum(-1)).clamp(min=tiny_of(below)).sqrt()
            return below + flambeau.diag_embed(rest)

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        n, concentration = self.dim, self.concentration
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        rows = flambeau.arange(2, n + 1, device=concentration.device)
        power = 2 * (concentration - 1).unsqueeze(-1) + n - rows
        level = (power * diagonal.log()).sum(-1)
        alpha = concentration + 0.5 * (n - 1)
        gammas = (alpha - 0.5).mvlgamma(n - 1) - (n - 1) * alpha.lgamma()
        return level - gammas - 0.5 * (n - 1) * math.log(math.pi)
