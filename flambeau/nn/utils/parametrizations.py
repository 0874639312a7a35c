"""Ready parametrisations: weight normalisation, spectral normalisation, orthogonal matrices."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import flambeau
from flambeau.nn import functional as F
from flambeau.nn.modules.module import Module
from flambeau.tensor.tensor import Tensor

from . import parametrize

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def norm_except_dim(v: Tensor, dim: int | None) -> Tensor:
    """The length of each slice along `dim` (of the whole tensor for -1 or None), with the other sizes 1."""
    if dim is None or dim == -1:
        return v.norm()
    others = [d for d in range(v.dim()) if d != dim % v.dim()]
    return v.norm(2, others, keepdim=True) if others else v.abs()


class _WeightNorm(Module):
    """``g v / |v|``: length and direction apart."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Trains the length and the direction of each slice of a weight apart.

    Args:
        dim: the dimension of the slices; None for one length of the whole.

    Source: Salimans and Kingma, Weight Normalization, arXiv:1602.07868.
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def take_older_names(state_dict: dict, prefix: str, *rest: Any) -> None:
        for old, number in ((f"{prefix}{name}_g", 0), (f"{prefix}{name}_v", 1)):
            if old in state_dict:
                state_dict[f"{prefix}parametrizations.{name}.original{number}"] = state_dict.pop(old)

    module._register_load_state_dict_pre_hook(take_older_names)
    return module


class _SpectralNorm(Module):
    """The weight divided by its greatest singular value, which power iteration follows."""

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if dim >= weight.ndim or dim < -weight.ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{weight.ndim}, {weight.ndim - 1}] "
                f"but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + weight.ndim
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._as_matrix(weight).detach()
            height, width = matrix.shape
            u = matrix.new_empty(height).normal_(0, 1)
            v = matrix.new_empty(width).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._iterate(matrix, 15)  # so that the first value is a good one

    def _as_matrix(self, weight: Tensor) -> Tensor:
        if self.dim != 0:
            weight = weight.permute(self.dim, *(d for d in range(weight.dim()) if d != self.dim))
        return weight.flatten(1)

    def _iterate(self, matrix: Tensor, count: int) -> None:
        with flambeau.no_grad():
            for _ in range(count):
                self._u.copy_(F.normalize(flambeau.mv(matrix, self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(flambeau.mv(matrix.t(), self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._as_matrix(weight)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # the next call changes them
        return weight / flambeau.dot(u, flambeau.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Keeps the greatest singular value of a weight at 1.

    Args:
        n_power_iterations: steps a call, in training.
        dim: the dimension of the outputs (1 for transposed convolutions, else 0).

    Source: Miyato et al., Spectral Normalization for GANs, arXiv:1802.05957.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = 1 if getattr(module, "transposed", False) else 0
    chain = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return parametrize.register_parametrization(module, name, chain)


class _OrthMaps(Enum):
    """How a free matrix is made orthogonal."""

    matrix_exp = auto()
    cayley = auto()
    householder = auto()


class _Orthogonal(Module):
    """An orthogonal (or, with more rows than columns, semi-orthogonal) matrix."""

    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: _OrthMaps, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map is _OrthMaps.householder:
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        rows, columns = X.size(-2), X.size(-1)
        wide = rows < columns
        if wide:
            X, rows, columns = X.mT, columns, rows
        if self.orthogonal_map is _OrthMaps.householder:
            reflectors = X.tril(diagonal=-1)  # ones on the diagonal are implied, what stands there are signs
            tau = 2.0 / (1.0 + (reflectors * reflectors).sum(dim=-2))
            result = flambeau.linalg.householder_product(reflectors, tau)
            signs = X.diagonal(dim1=-2, dim2=-1).int().to(result.dtype)
            result = result * signs.unsqueeze(-2)
        else:
            result = self._exponential(X.tril(), rows, columns)
        if hasattr(self, "base") and self.base is not None:
            result = self.base @ result
        return result.mT if wide else result

    def _exponential(self, lower: Tensor, rows: int, columns: int) -> Tensor:
        if rows != columns:
            filler = lower.new_zeros(rows, rows - columns).expand(*lower.shape[:-2], -1, -1)
            lower = flambeau.cat([lower, filler], dim=-1)
        skew = lower - lower.mH
        if self.orthogonal_map is _OrthMaps.matrix_exp:
            result = flambeau.matrix_exp(skew)
        else:  # Cayley: (1 - A/2)^-1 (1 + A/2)
            one = flambeau.eye(rows, dtype=skew.dtype, device=skew.device)
            result = flambeau.linalg.solve(one - skew / 2, one + skew / 2)
        return result[..., :columns] if rows != columns else result

    def right_inverse(self, Q: Tensor) -> Tensor:
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {Q.shape}."
            )
        given = Q
        if Q.size(-2) < Q.size(-1):
            Q = Q.mT
        rows, columns = Q.size(-2), Q.size(-1)
        if not hasattr(self, "base"):
            return self._householder_inverse(Q, given)
        if rows == columns:
            basis = Q.clone() if _is_orthogonal(Q) else _orthonormal(Q)
        else:  # completed by random columns to a square one
            more = flambeau.randn(*(*Q.shape[:-2], rows, rows - columns), dtype=Q.dtype, device=Q.device)
            basis = _orthonormal(flambeau.cat([Q, more], dim=-1))
        self.base = basis
        free = flambeau.zeros_like(Q)
        free.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return free.mT if given.size(-2) < given.size(-1) else free

    def _householder_inverse(self, Q: Tensor, given: Tensor) -> Tensor:
        if self.orthogonal_map in (_OrthMaps.cayley, _OrthMaps.matrix_exp):
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        reflectors, tau = flambeau.geqrf(Q)
        diagonal = reflectors.diagonal(dim1=-2, dim2=-1)
        diagonal.sign_()
        diagonal[tau == 0.0] *= -1
        return reflectors.mT if given.size(-2) < given.size(-1) else reflectors


def _is_orthogonal(matrix: Tensor) -> bool:
    """Whether the columns are orthonormal, to rounding."""
    size = matrix.size(-1)
    one = flambeau.eye(size, dtype=matrix.dtype, device=matrix.device)
    near = 10.0 * size * flambeau.finfo(matrix.dtype).eps
    return bool(flambeau.allclose(matrix.mH @ matrix, one, atol=near))


def _orthonormal(matrix: Tensor) -> Tensor:
    q, r = flambeau.linalg.qr(matrix)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keeps a weight orthogonal: as a matrix of orthonormal rows or columns, whichever are fewer.

    Args:
        orthogonal_map: ``"matrix_exp"``, ``"cayley"`` or ``"householder"`` (the default for matrices that are not
            square).
        use_trivialization: train the distance from a fixed orthogonal matrix.

    Source: Lezcano-Casado, Trivializations, arXiv:1909.09501.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1) or weight.is_complex()
        orthogonal_map = "matrix_exp" if square else "householder"
    found = getattr(_OrthMaps, orthogonal_map, None)
    if found is None:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    chain = _Orthogonal(weight, found, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, chain, unsafe=True)
    return module
