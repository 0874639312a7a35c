"""The multivariate normal distribution with a covariance of low rank plus a diagonal."""

from __future__ import annotations

import math
from typing import Any

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .distribution import Distribution
from .multivariate_normal import _matrix_times, log_determinant
from .utils import _standard_normal, lazy_property

__all__ = ["LowRankMultivariateNormal"]


def _inner_factor(factor: Tensor, diagonal: Tensor) -> Tensor:
    """Cholesky factor of ``I + W' D^-1 W``, through which ``W W' + D`` is inverted (Woodbury)."""
    product = (factor.mT / diagonal.unsqueeze(-2)) @ factor
    one = flambeau.eye(factor.size(-1), dtype=factor.dtype, device=factor.device)
    return flambeau.linalg.cholesky(product + one)


def _low_rank_log_det(factor: Tensor, diagonal: Tensor, inner_tril: Tensor) -> Tensor:
    """Logarithm of the determinant of ``W W' + D``, by the matrix determinant lemma."""
    return 2 * log_determinant(inner_tril) + diagonal.log().sum(-1)


def _low_rank_distance(factor: Tensor, diagonal: Tensor, x: Tensor, inner_tril: Tensor) -> Tensor:
    """``x' (W W' + D)^-1 x``, by Woodbury's identity."""
    inner = _matrix_times(factor.mT, x / diagonal)
    solved = flambeau.linalg.solve_triangular(inner_tril, inner.unsqueeze(-1), upper=False)
    return (x.pow(2) / diagonal).sum(-1) - solved.pow(2).sum((-2, -1))


class LowRankMultivariateNormal(Distribution):
    """Normal vectors with mean `loc` and covariance ``cov_factor cov_factor' + diag(cov_diag)``.

    It costs what the rank of the factor costs, never a matrix of full size.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc, cov_factor, cov_diag, validate_args: bool | None = None):
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        size = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch dimensions"
            )
        if cov_factor.shape[-2:-1] != size:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {size[0]} x m")
        if cov_diag.shape[-1:] != size:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {size}")
        try:
            shape = flambeau.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, cov_diag {cov_diag.shape}"
            ) from error
        self.loc = loc.expand(shape + size)
        self.cov_factor = cov_factor.expand(shape + cov_factor.shape[-2:])
        self.cov_diag = cov_diag.expand(shape + size)
        self._thin, self._own = cov_factor, cov_diag
        self._inner = _inner_factor(cov_factor, cov_diag)
        Distribution.__init__(self, shape, size, validate_args=validate_args)

    _shared = ("_thin", "_own", "_inner")

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        variance = self._thin.pow(2).sum(-1) + self._own
        return variance.expand(self._batch_shape + self._event_shape)

    def _matrix(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The covariance's Cholesky factor: that of ``I + W' W`` with W scaled by the diagonal's root, scaled back."""
        root = self._own.sqrt().unsqueeze(-1)
        scaled = self._thin / root
        inner = scaled @ scaled.mT + flambeau.eye(scaled.shape[-2], dtype=scaled.dtype, device=scaled.device)
        return self._matrix(root * flambeau.linalg.cholesky(inner))

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        factor = self._thin
        return self._matrix(factor @ factor.mT + flambeau.diag_embed(self._own))

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The covariance's inverse, by Woodbury's identity."""
        diagonal = self._own
        scaled = self._thin.mT / diagonal.unsqueeze(-2)
        solved = flambeau.linalg.solve_triangular(self._inner, scaled, upper=False)
        return self._matrix(flambeau.diag_embed(diagonal.reciprocal()) - solved.mT @ solved)

    def rsample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        shape = self._extended_shape(sample_shape)
        dtype, device = self.loc.dtype, self.loc.device
        inner = _standard_normal(shape[:-1] + self.cov_factor.shape[-1:], dtype, device)
        outer = _standard_normal(shape, dtype, device)
        spread = _matrix_times(self._thin, inner)
        return self.loc + spread + self._own.sqrt() * outer

    def _log_determinant(self) -> Any:
        return _low_rank_log_det(self._thin, self._own, self._inner)

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        distance = _low_rank_distance(
            self._thin,
            self._own,
            value - self.loc,
            self._inner,
        )
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (self._log_determinant() + distance + constant)

    def entropy(self) -> Tensor:
        level = self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        found = (self._log_determinant() + level) * 0.5
        return found if len(self._batch_shape) == 0 else found.expand(self._batch_shape)
