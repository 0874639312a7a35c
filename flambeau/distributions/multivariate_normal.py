"""The multivariate normal distribution."""

from __future__ import annotations

import math

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .distribution import Distribution
from .utils import _standard_normal, lazy_property

__all__ = ["MultivariateNormal"]


def _matrix_times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Matrix times vector for a batch of both."""
    return (matrices @ vectors.unsqueeze(-1)).squeeze(-1)


def _distance(lower: Tensor, vectors: Tensor) -> Tensor:
    """``x' (L L')^-1 x`` of vectors x and Cholesky factors L, both broadcast."""
    solved = flambeau.linalg.solve_triangular(lower, vectors.unsqueeze(-1), upper=False)
    return solved.pow(2).sum((-2, -1))


def _precision_to_scale_tril(precision: Tensor) -> Tensor:
    """The Cholesky factor of a matrix's inverse, by factors alone: ``P = (J L)(J L)'`` with rows and columns reversed."""
    reversed_factor = flambeau.linalg.cholesky(precision.flip((-2, -1)))
    inverse_factor = reversed_factor.flip((-2, -1)).mT
    one = flambeau.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return flambeau.linalg.solve_triangular(inverse_factor, one, upper=False)


def log_determinant(lower: Tensor) -> Tensor:
    """Half the logarithm of the determinant of ``L L'``."""
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class MultivariateNormal(Distribution):
    """Normal vectors with mean `loc` and a covariance given as a matrix, its inverse, or its Cholesky factor.

    >>> import flambeau as torch
    >>> d = torch.distributions.MultivariateNormal(torch.zeros(2), scale_tril=torch.eye(2))
    >>> d.log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc,
        covariance_matrix=None,
        precision_matrix=None,
        scale_tril=None,
        validate_args: bool | None = None,
    ):
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        forms = {
            "covariance_matrix": covariance_matrix,
            "scale_tril": scale_tril,
            "precision_matrix": precision_matrix,
        }
        given = {name: matrix for name, matrix in forms.items() if matrix is not None}
        if len(given) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
            )
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            what = "scale_tril matrix" if name == "scale_tril" else name
            raise ValueError(
                f"{what} must be at least two-dimensional, with optional leading batch dimensions"
            )
        shape = flambeau.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand(shape + (-1, -1)))
        self.loc = loc.expand(shape + (-1,))
        Distribution.__init__(self, shape, self.loc.shape[-1:], validate_args=validate_args)
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = matrix
        elif name == "covariance_matrix":
            self._unbroadcasted_scale_tril = flambeau.linalg.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = _precision_to_scale_tril(matrix)

    _shared = ("_unbroadcasted_scale_tril",)

    def _matrix(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The covariance's Cholesky factor."""
        return self._matrix(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        lower = self._unbroadcasted_scale_tril
        return self._matrix(lower @ lower.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The covariance's inverse."""
        return self._matrix(flambeau.cholesky_inverse(self._unbroadcasted_scale_tril))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        variance = self._unbroadcasted_scale_tril.pow(2).sum(-1)
        return variance.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        normal = _standard_normal(self._extended_shape(sample_shape), self.loc.dtype, self.loc.device)
        return self.loc + _matrix_times(self._unbroadcasted_scale_tril, normal)

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        distance = _distance(self._unbroadcasted_scale_tril, value - self.loc)
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + distance) - log_determinant(self._unbroadcasted_scale_tril)

    def entropy(self) -> Tensor:
        level = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        found = level + log_determinant(self._unbroadcasted_scale_tril)
        return found if len(self._batch_shape) == 0 else found.expand(self._batch_shape)
