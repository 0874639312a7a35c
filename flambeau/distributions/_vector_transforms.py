"""Transforms of vectors and matrices: the simplex, Cholesky factors, several transforms side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import accumulate
from operator import add
from typing import Any

import flambeau
from flambeau.nn.functional import logsigmoid, pad, softplus
from flambeau.tensor.tensor import Tensor

from . import constraints
from ._transform import Derived, Fixed, Transform, need_dims
from .utils import _sum_rightmost, eps_of, tiny_of, tril_matrix_to_vec, vec_to_tril_matrix

_MATRIX = constraints.independent(constraints.real, 2)


def _is_vector(shape):
    need_dims(shape, 1)
    return shape


class SoftmaxTransform(Fixed, between=(constraints.real_vector, constraints.simplex)):
    """Vectors to the simplex by ``exp`` and normalising. Not bijective: what is added to all elements is lost."""

    def _call(self, x):
        return x.softmax(-1)

    def _inverse(self, y):
        return y.log()

    def forward_shape(self, shape):
        return _is_vector(shape)

    def inverse_shape(self, shape):
        return _is_vector(shape)


def _after_each(parts: Tensor) -> Tensor:
    """A vector moved on by one place, with a 1 before it."""
    return pad(parts, [1, 0], value=1)


class StickBreakingTransform(Fixed, between=(constraints.real_vector, constraints.simplex), bijective=True):
    """Vectors of k numbers to points of the simplex with k + 1: each number breaks its share off what is left of a stick.

    A vector of zeros breaks the stick into equal parts.
    """

    def _left(self, x: Tensor) -> Tensor:
        """Logarithm of the number of parts that each break leaves behind: k .. 1."""
        k = x.shape[-1]
        return flambeau.arange(k, 0, -1, dtype=x.dtype, device=x.device).log()

    def _call(self, x):
        share = (x - self._left(x)).sigmoid()
        stick = _after_each((1 - share).cumprod(-1))
        return stick * pad(share, [0, 1], value=1)

    def _inverse(self, y):
        parts = y[..., :-1]
        stick = (1 - parts.cumsum(-1)).clamp(min=tiny_of(y))
        return self._left(parts) + (parts.log() - stick.log())

    def log_abs_det_jacobian(self, x, y):
        score = x - self._left(x)
        slopes = logsigmoid(score) - score + y[..., :-1].log()
        return slopes.sum(-1)

    def forward_shape(self, shape):
        return self._longer(shape, 1)

    def inverse_shape(self, shape):
        return self._longer(shape, -1)

    def _longer(self, shape, by: int):
        *batch, size = _is_vector(shape)
        return type(shape)((*batch, size + by))


class CorrCholeskyTransform(
    Fixed, between=(constraints.real_vector, constraints.corr_cholesky), bijective=True
):
    """Vectors of ``n (n - 1) / 2`` numbers to Cholesky factors of correlation matrices of size n.

    ``tanh`` of a number is a partial correlation; row by row, each takes its part of what is left of the row's length 1.
    Source: Stan reference manual, section on Cholesky factors of correlation matrices.
    """

    def _call(self, x):
        edge = 1 - eps_of(x)
        partial = vec_to_tril_matrix(x.tanh().clamp(min=-edge, max=edge), diag=-1)
        left = (1 - partial.pow(2)).sqrt().cumprod(-1)
        one = flambeau.eye(partial.shape[-1], dtype=partial.dtype, device=partial.device)
        return (one + partial) * _after_each(left[..., :-1])

    def _inverse(self, y):
        before = _after_each(self._length_left(y)[..., :-1])
        partial = tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(before, diag=-1).sqrt()
        return (partial.log1p() - (-partial).log1p()) / 2

    @staticmethod
    def _length_left(y: Tensor) -> Tensor:
        """What each element of a row leaves of the row's squared length."""
        return 1 - y.square().cumsum(-1)

    def log_abs_det_jacobian(self, x, y):
        # the last number of a row takes from a length that no later number shares
        shared = tril_matrix_to_vec(self._length_left(y), diag=-2)
        log_cosh = x + softplus(-2 * x) - math.log(2.0)
        return shared.log().sum(-1) / 2 - 2 * log_cosh.sum(-1)

    def forward_shape(self, shape):
        *batch, k = _is_vector(shape)
        n = (1 + math.isqrt(1 + 8 * k)) // 2
        if n * (n - 1) != 2 * k:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return type(shape)((*batch, n, n))

    def inverse_shape(self, shape):
        need_dims(shape, 2)
        *batch, n, columns = shape
        if n != columns:
            raise ValueError("Input is not square")
        return type(shape)((*batch, n * (n - 1) // 2))


def _on_diagonal(matrix: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """A matrix's lower triangle with its diagonal changed."""
    return matrix.tril(-1) + change(matrix.diagonal(dim1=-2, dim2=-1)).diag_embed()


class LowerCholeskyTransform(Fixed, between=(_MATRIX, constraints.lower_cholesky)):
    """Matrices to lower-triangular ones with a positive diagonal: ``exp`` of the diagonal, nothing above it."""

    def _call(self, x):
        return _on_diagonal(x, flambeau.exp)

    def _inverse(self, y):
        return _on_diagonal(y, flambeau.log)


class PositiveDefiniteTransform(Fixed, between=(_MATRIX, constraints.positive_definite)):
    """Matrices to positive-definite ones, through their Cholesky factor."""

    def _call(self, x):
        factor = _on_diagonal(x, flambeau.exp)
        return factor @ factor.mT

    def _inverse(self, y):
        return _on_diagonal(flambeau.linalg.cholesky(y), flambeau.log)


# -- several transforms side by side ---------------------------------------------------------------------------------


class _SideBySide(Derived):
    """Base of transforms that act on parts of a tensor along one dimension: `_parts` takes it apart, `_joined` undoes that."""

    def __init__(self, tseq: Sequence[Transform], dim: int, cache_size: int):
        Transform.__init__(self, cache_size)
        if not all(isinstance(t, Transform) for t in tseq):
            raise AssertionError("All elements of tseq must be Transform instances")
        self.dim = dim
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)

    bijective: Any = property(lambda self: all(t.bijective for t in self.transforms))

    def _parts(self, z: Tensor, name: str) -> list[Tensor]:
        raise NotImplementedError

    def _joined(self, parts: list[Tensor]) -> Tensor:
        raise NotImplementedError

    def _need(self, z: Tensor, size: int, what: str, name: str) -> None:
        if not (-z.dim() <= self.dim < z.dim()):
            raise AssertionError(f"dim {self.dim} out of range for tensor with {z.dim()} dimensions")
        if z.size(self.dim) != size:
            raise AssertionError(f"{name}.size({self.dim}) = {z.size(self.dim)} must equal {what} {size}")

    def _call(self, x):
        return self._joined([t(part) for t, part in zip(self.transforms, self._parts(x, "x"))])

    def _inverse(self, y):
        return self._joined([t.inv(part) for t, part in zip(self.transforms, self._parts(y, "y"))])

    def _shares(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """The logarithm of each transform's determinant."""
        triples = zip(self.transforms, self._parts(x, "x"), self._parts(y, "y"))
        return [t.log_abs_det_jacobian(before, after) for t, before, after in triples]


class CatTransform(_SideBySide):
    """Transform k acts on the next lengths[k] places along `dim`.

    lengths: one place for each transform by default.
    """

    takes = ("transforms", "dim", "lengths")

    def __init__(self, tseq, dim: int = 0, lengths: Sequence[int] | None = None, cache_size: int = 0):
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1 for _ in self.transforms] if lengths is None else list(lengths)
        parts, places = len(self.transforms), len(self.lengths)
        if parts != places:
            raise AssertionError(f"lengths ({places}) must match transforms ({parts})")

    @property
    def event_dim(self) -> int:
        return max(t.event_dim for t in self.transforms)

    @property
    def length(self) -> int:
        """Places along `dim` together."""
        return sum(self.lengths)

    def _end(self, which):
        return constraints.cat([getattr(t, which) for t in self.transforms], self.dim, self.lengths)

    def _parts(self, z, name):
        self._need(z, self.length, "length", name)
        ends = accumulate(self.lengths)
        return [z.narrow(self.dim, end - size, size) for end, size in zip(ends, self.lengths)]

    def _joined(self, parts):
        return flambeau.cat(parts, dim=self.dim)

    def log_abs_det_jacobian(self, x, y):
        widest = self.event_dim
        shares = [
            _sum_rightmost(share, widest - t.event_dim)
            for share, t in zip(self._shares(x, y), self.transforms)
        ]
        # `dim` from the end, once events are summed: negative where the parts are side by side in the batch
        at = self.dim - (x.dim() if self.dim >= 0 else 0) + widest
        return flambeau.cat(shares, dim=at) if at < 0 else reduce(add, shares)


class StackTransform(_SideBySide):
    """Transform k acts on place k along `dim`."""

    takes = ("transforms", "dim")

    def __init__(self, tseq, dim: int = 0, cache_size: int = 0):
        super().__init__(tseq, dim, cache_size)

    def _end(self, which):
        return constraints.stack([getattr(t, which) for t in self.transforms], self.dim)

    def _parts(self, z, name):
        self._need(z, len(self.transforms), "len(transforms)", name)
        return list(z.unbind(self.dim))

    def _joined(self, parts):
        return flambeau.stack(parts, self.dim)

    def log_abs_det_jacobian(self, x, y):
        return self._joined(self._shares(x, y))
