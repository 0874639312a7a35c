"""Transforms of vectors and matrices: the simplex, Cholesky factors, several transforms side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import flambeau
from flambeau.nn.functional import logsigmoid, pad, softplus
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._transform import Alike, Transform, need_dims
from .utils import eps_of, tiny_of, tril_matrix_to_vec, vec_to_tril_matrix


class SoftmaxTransform(Alike):
    """Vectors to the simplex by ``exp`` and normalising. Not bijective: what is added to all elements is lost."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x):
        return x.softmax(-1)

    def _inverse(self, y):
        return y.log()

    def forward_shape(self, shape):
        need_dims(shape, 1)
        return shape

    inverse_shape = forward_shape


class StickBreakingTransform(Alike):
    """Vectors of k numbers to points of the simplex with k + 1: each number breaks its share off what is left of a stick.

    A vector of zeros breaks the stick into equal parts.
    """

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def _left(self, x: Tensor) -> Tensor:
        """Logarithm of the number of parts that each break leaves behind: k .. 1."""
        k = x.shape[-1]
        return flambeau.arange(k, 0, -1, dtype=x.dtype, device=x.device).log()

    def _call(self, x):
        share = (x - self._left(x)).sigmoid()
        rest = (1 - share).cumprod(-1)
        return pad(share, [0, 1], value=1) * pad(rest, [1, 0], value=1)

    def _inverse(self, y):
        parts = y[..., :-1]
        rest = (1 - parts.cumsum(-1)).clamp(min=tiny_of(y))
        return parts.log() - rest.log() + self._left(parts)

    def log_abs_det_jacobian(self, x, y):
        x = x - self._left(x)
        return (-x + logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape):
        need_dims(shape, 1)
        return shape[:-1] + (shape[-1] + 1,)

    def inverse_shape(self, shape):
        need_dims(shape, 1)
        return shape[:-1] + (shape[-1] - 1,)


class CorrCholeskyTransform(Alike):
    """Vectors of ``n (n - 1) / 2`` numbers to Cholesky factors of correlation matrices of size n.

    ``tanh`` of a number is a partial correlation; row by row, each takes its part of what is left of the row's length 1.
    Source: Stan reference manual, section on Cholesky factors of correlation matrices.
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x):
        eps = eps_of(x)
        partial = vec_to_tril_matrix(x.tanh().clamp(min=-1 + eps, max=1 - eps), diag=-1)
        rest = (1 - partial.pow(2)).sqrt().cumprod(-1)
        one = flambeau.eye(partial.shape[-1], dtype=partial.dtype, device=partial.device)
        return (partial + one) * pad(rest[..., :-1], [1, 0], value=1)

    def _inverse(self, y):
        rest = 1 - (y * y).cumsum(-1)
        before = pad(rest[..., :-1], [1, 0], value=1)
        partial = tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(before, diag=-1).sqrt()
        return (partial.log1p() - (-partial).log1p()) / 2

    def log_abs_det_jacobian(self, x, y):
        # the last number of a row takes from a length that no later number shares
        rest = 1 - (y * y).cumsum(-1)
        breaks = 0.5 * tril_matrix_to_vec(rest, diag=-2).log().sum(-1)
        return breaks - 2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)

    def forward_shape(self, shape):
        need_dims(shape, 1)
        k = shape[-1]
        n = round((0.25 + 2 * k) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != k:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return shape[:-1] + (n, n)

    def inverse_shape(self, shape):
        need_dims(shape, 2)
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        n = shape[-1]
        return shape[:-2] + (n * (n - 1) // 2,)


class LowerCholeskyTransform(Alike):
    """Matrices to lower-triangular ones with a positive diagonal: ``exp`` of the diagonal, nothing above it."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x):
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y):
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Alike):
    """Matrices to positive-definite ones, through their Cholesky factor."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x):
        lower = LowerCholeskyTransform()(x)
        return lower @ lower.mT

    def _inverse(self, y):
        return LowerCholeskyTransform().inv(flambeau.linalg.cholesky(y))


class _Several(Transform):
    """Base of transforms that act on parts of a tensor along one dimension."""

    def __init__(self, tseq: Sequence[Transform], dim: int, cache_size: int):
        if not all(isinstance(t, Transform) for t in tseq):
            raise AssertionError("All elements of tseq must be Transform instances")
        super().__init__(cache_size=cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.dim = dim

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(t.bijective for t in self.transforms)

    def _need(self, x: Tensor, size: int, what: str, name: str = "x") -> None:
        if not (-x.dim() <= self.dim < x.dim()):
            raise AssertionError(f"dim {self.dim} out of range for tensor with {x.dim()} dimensions")
        if x.size(self.dim) != size:
            raise AssertionError(f"{name}.size({self.dim}) = {x.size(self.dim)} must equal {what} {size}")


class CatTransform(_Several):
    """Transform k acts on the next lengths[k] places along `dim`.

    lengths: one place for each transform by default.
    """

    def __init__(self, tseq, dim: int = 0, lengths: Sequence[int] | None = None, cache_size: int = 0):
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError(
                f"lengths ({len(self.lengths)}) must match transforms ({len(self.transforms)})"
            )

    @property
    def event_dim(self) -> int:
        return max(t.event_dim for t in self.transforms)

    @property
    def length(self) -> int:
        """Places along `dim` together."""
        return sum(self.lengths)

    def with_cache(self, cache_size: int = 1) -> Transform:
        if self._cache_size == cache_size:
            return self
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _parts(self, x: Tensor, name: str = "x") -> list[Tensor]:
        self._need(x, self.length, "length", name)
        starts = [sum(self.lengths[:k]) for k in range(len(self.lengths))]
        return [x.narrow(self.dim, start, n) for start, n in zip(starts, self.lengths)]

    def _call(self, x):
        return flambeau.cat([t(part) for t, part in zip(self.transforms, self._parts(x))], dim=self.dim)

    def _inverse(self, y):
        parts = self._parts(y, "y")
        return flambeau.cat([t.inv(part) for t, part in zip(self.transforms, parts)], dim=self.dim)

    def log_abs_det_jacobian(self, x, y):
        dims, found = self.event_dim, []
        for transform, a, b in zip(self.transforms, self._parts(x), self._parts(y, "y")):
            share = transform.log_abs_det_jacobian(a, b)
            more = dims - transform.event_dim
            found.append(share.flatten(-more).sum(-1) if more > 0 else share)
        at = self.dim - x.dim() if self.dim >= 0 else self.dim
        if at + dims < 0:  # the parts are side by side in the batch
            return flambeau.cat(found, dim=at + dims)
        return sum(found[1:], found[0])

    @constraints.dependent_property
    def domain(self):
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self):
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)


class StackTransform(_Several):
    """Transform k acts on place k along `dim`."""

    def __init__(self, tseq, dim: int = 0, cache_size: int = 0):
        super().__init__(tseq, dim, cache_size)

    def with_cache(self, cache_size: int = 1) -> Transform:
        return (
            self if self._cache_size == cache_size else StackTransform(self.transforms, self.dim, cache_size)
        )

    def _slice(self, z: Tensor, name: str = "x") -> list[Tensor]:
        self._need(z, len(self.transforms), "len(transforms)", name)
        return [z.select(self.dim, k) for k in range(z.size(self.dim))]

    def _call(self, x):
        return flambeau.stack([t(part) for t, part in zip(self.transforms, self._slice(x))], self.dim)

    def _inverse(self, y):
        parts = self._slice(y, "y")
        return flambeau.stack([t.inv(part) for t, part in zip(self.transforms, parts)], self.dim)

    def log_abs_det_jacobian(self, x, y):
        pairs = zip(self.transforms, self._slice(x), self._slice(y, "y"))
        return flambeau.stack([t.log_abs_det_jacobian(a, b) for t, a, b in pairs], dim=self.dim)

    @constraints.dependent_property
    def domain(self):
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self):
        return constraints.stack([t.codomain for t in self.transforms], self.dim)
