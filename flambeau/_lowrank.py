"""Approximate decompositions of large matrices by products with few random vectors (Halko, Martinsson, Tropp 2011)."""

from __future__ import annotations

import flambeau

from .tensor.tensor import Tensor

__all__ = ["get_approximate_basis", "pca_lowrank", "svd_lowrank"]


def get_approximate_basis(A: Tensor, q: int, niter: int | None = 2, M: Tensor | None = None) -> Tensor:
    """An orthonormal basis of about the range of a matrix (less `M`): `q` columns.

    niter: rounds of multiplying by the matrix and its adjoint, each of which sharpens the basis.
    """
    rounds = 2 if niter is None else niter
    dtype = A.dtype if A.is_floating_point() or A.is_complex() else flambeau.get_default_dtype()
    if M is not None:
        A = A - M
    A = A.to(dtype)
    start = flambeau.randn(A.shape[-1], q, dtype=dtype, device=A.device)
    basis = flambeau.linalg.qr(A @ start).Q
    for _ in range(rounds):
        basis = flambeau.linalg.qr(A.mH @ basis).Q
        basis = flambeau.linalg.qr(A @ basis).Q
    return basis


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The `q` largest singular values of a matrix (less `M`) and their vectors, approximately: ``A = U diag(S) V^H``.

    Shape: ``(*, m, n) -> (*, m, q), (*, q), (*, n, q)``.
    """
    q = 6 if q is None else q
    m, n = A.shape[-2:]
    if M is not None:
        M = M.expand(A.shape)
    tall = m >= n
    work, less = (A, M) if tall else (A.mH, None if M is None else M.mH)
    basis = get_approximate_basis(work, q, niter, less)
    small = basis.mH @ (work if less is None else work - less)
    U, S, Vh = flambeau.linalg.svd(small, full_matrices=False)
    U, V = basis @ U, Vh.mH
    return (U, S, V) if tall else (V, S, U)


def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """Principal components of the rows of a matrix, approximately: `svd_lowrank` after the mean is taken away.

    Raises: ValueError when `q` or `niter` does not fit.
    """
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    if not center:
        return svd_lowrank(A, q, niter)
    return svd_lowrank(A - A.mean(dim=-2, keepdim=True), q, niter)
