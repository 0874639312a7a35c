"""The Wishart distribution."""

from __future__ import annotations

import math
import warnings

import flambeau
from flambeau.base.layout import Size
from flambeau.tensor.tensor import Tensor

from . import constraints
from .chi2 import Chi2
from .distribution import Distribution
from .exp_family import ExponentialFamily
from .multivariate_normal import _precision_to_scale_tril, log_determinant
from .utils import eps_of, lazy_property, where

__all__ = ["Wishart"]

_LOG_TWO = math.log(2)


def _digammas(x: Tensor, p: int) -> Tensor:
    """Derivative of the logarithm of the multivariate gamma function of dimension p."""
    steps = flambeau.arange(p, dtype=x.dtype, device=x.device) / 2
    return (x.unsqueeze(-1) - steps).digamma().sum(-1)


class Wishart(ExponentialFamily):
    """Sums of `df` outer products of normal vectors of mean 0: positive-definite matrices.

    The vectors' covariance is given as a matrix, its inverse, or its Cholesky factor; `df` need not be a whole number but
    must be larger than the matrices' size less 1.
    Source: Sawyer 2007, Wishart distributions and inverse-Wishart sampling.
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    @property
    def arg_constraints(self):
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def __init__(
        self,
        df,
        covariance_matrix=None,
        precision_matrix=None,
        scale_tril=None,
        validate_args: bool | None = None,
    ):
        forms = {
            "covariance_matrix": covariance_matrix,
            "scale_tril": scale_tril,
            "precision_matrix": precision_matrix,
        }
        given = {name: matrix for name, matrix in forms.items() if matrix is not None}
        if len(given) != 1:
            raise AssertionError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
            )
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, with optional leading batch dimensions"
            )
        df = df if isinstance(df, Tensor) else flambeau.tensor(df, dtype=matrix.dtype, device=matrix.device)
        batch, event = flambeau.broadcast_shapes(df.shape, matrix.shape[:-2]), matrix.shape[-2:]
        self.df = df.expand(batch)
        setattr(self, name, matrix.expand(batch + (-1, -1)))
        if (self.df <= event[-1] - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {event[-1] - 1}.")
        if name == "scale_tril":
            self._factor = matrix
        else:
            factor = flambeau.linalg.cholesky_ex(matrix).L if name == "covariance_matrix" else None
            self._factor = _precision_to_scale_tril(matrix) if factor is None else factor
        # the squared diagonal of a standard sample's Cholesky factor
        self._squares = Chi2(self.df.unsqueeze(-1) - self._steps(event[-1]).expand(batch + (-1,)))
        Distribution.__init__(self, batch, event, validate_args=validate_args)
        if self._validate_args and (self.df < event[-1]).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.",
                stacklevel=2,
            )

    _shared = ("_factor",)

    def _steps(self, n: int) -> Tensor:
        return flambeau.arange(n, dtype=self.df.dtype, device=self.df.device)

    def _expand_more(self, made, shape) -> None:
        made._squares = self._squares.expand(shape + self.event_shape[-1:])

    def _matrix(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the vectors' covariance."""
        return self._matrix(self._factor)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The vectors' covariance."""
        lower = self._factor
        return self._matrix(lower @ lower.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the vectors' covariance."""
        return self._matrix(flambeau.cholesky_inverse(self._factor))

    def _wide_df(self) -> Tensor:
        return self.df.view(self._batch_shape + (1, 1))

    @property
    def mean(self) -> Tensor:
        return self._wide_df() * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        beyond = self._beyond
        # a density that is highest where matrices are singular has no mode
        return beyond.where(beyond > 0, math.nan)[..., None, None] * self.covariance_matrix

    @property
    def _beyond(self) -> Tensor:
        """What `df` has beyond the matrices' size plus 1."""
        return self.df - (self._event_shape[-1] + 1)

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self._wide_df() * (v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _drawn(self, sample_shape=Size()) -> Tensor:  # noqa: B008
        """Samples through the Cholesky factor of a standard one: roots of chi-squared samples, normal below them."""
        n = self._event_shape[-1]
        root = self._squares.rsample(sample_shape).clamp_min(eps_of(self.df)).sqrt()
        noise = flambeau.diag_embed(root)
        row, column = flambeau.tril_indices(n, n, offset=-1)
        below = flambeau.randn(
            Size(sample_shape) + self._batch_shape + (n * (n - 1) // 2,),
            dtype=noise.dtype,
            device=noise.device,
        )
        noise[..., row, column] = below
        factor = self._factor @ noise
        return factor @ factor.mT

    def rsample(self, sample_shape=Size(), max_try_correction: int | None = None) -> Tensor:  # noqa: B008
        """Draws; those that rounding made singular are drawn again, up to `max_try_correction` times."""
        tries = 3 if max_try_correction is None else max_try_correction
        # PyTorch throws its first draw away; doing so too gives the same samples for the same seed
        self._drawn(sample_shape)
        kept = self._drawn(sample_shape)
        usable = self.support.check(kept)
        if not usable.all():
            warnings.warn("Singular sample detected.", stacklevel=2)
        while tries > 0 and not usable.all():
            kept = where(usable[..., None, None], kept, self._drawn(sample_shape))
            usable = self.support.check(kept)
            tries -= 1
        return kept

    def _log_level(self) -> Tensor:
        """The logarithm of the normaliser, of the parameters alone."""
        n = self._event_shape[-1]
        half = self.df / 2
        return self.df * log_determinant(self._factor) + half * n * _LOG_TWO + half.mvlgamma(n)

    def log_prob(self, value: Tensor) -> Tensor:
        self._checked(value)
        lower = self._factor
        solved = flambeau.cholesky_solve(value, lower)
        trace = solved.diagonal(dim1=-2, dim2=-1).sum(-1)
        log_det = flambeau.linalg.slogdet(value).logabsdet
        return self._beyond / 2 * log_det - trace / 2 - self._log_level()

    def entropy(self) -> Tensor:
        n = self._event_shape[-1]
        half = self.df / 2
        level = half.mvlgamma(n) - self._beyond / 2 * _digammas(half, n) + half * n
        return level + (n + 1) * (log_determinant(self._factor) + n * _LOG_TWO / 2)

    @property
    def _natural_params(self) -> tuple[Tensor, Tensor]:
        return -self.precision_matrix / 2, self._beyond / 2

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:
        n = self._event_shape[-1]
        half = y + (n + 1) / 2
        return half * (-flambeau.linalg.slogdet(-2 * x).logabsdet + _LOG_TWO * n) + half.mvlgamma(n)
