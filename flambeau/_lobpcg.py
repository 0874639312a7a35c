"""A few eigenvalues of a large symmetric matrix by products with it alone.

Source: Knyazev 2001, Toward the optimal preconditioned eigensolver: locally optimal block preconditioned conjugate
gradient method; the bases are orthonormalised as in Duersch, Shao, Yang and Gu 2018, so that it does not break down.
"""

from __future__ import annotations

from collections.abc import Callable

import flambeau

from .tensor.tensor import Tensor

__all__ = ["LOBPCG", "lobpcg"]


def lobpcg(
    A: Tensor,
    k: int | None = None,
    B: Tensor | None = None,
    X: Tensor | None = None,
    n: int | None = None,
    iK: Tensor | None = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Callable | None = None,
    ortho_iparams: dict[str, int] | None = None,
    ortho_fparams: dict[str, float] | None = None,
    ortho_bparams: dict[str, bool] | None = None,
) -> tuple[Tensor, Tensor]:
    """The `k` largest (or smallest) eigenvalues of a symmetric matrix and their vectors: ``A X = B X diag(E)``.

    B: symmetric and positive definite; the identity unless given. X: where to start, `n` columns. iK: a matrix near the
    inverse of A, which speeds it up. niter: rounds, 1000 at most by default. tol: relative error to reach, the root of the
    type's precision by default. tracker: called with the `LOBPCG` after each round. `method` and the `ortho_` parameters
    are accepted; there is one way of orthonormalising.

    Shape: ``(*, m, m) -> (*, k), (*, m, k)``.
    Raises: ValueError for a matrix of fewer than ``3 n`` rows, for which `torch.linalg.eigh` is the right function.

    >>> import flambeau as torch
    >>> E, X = torch.lobpcg(torch.diag(torch.arange(1.0, 10.0)), k=1)
    >>> round(E.item(), 4)
    9.0
    """
    k = (1 if X is None else X.shape[-1]) if k is None else k
    n = (k if n is None else n) if X is None else X.shape[-1]
    _check(A, B, X, n)
    dtype = A.dtype if A.is_floating_point() else flambeau.get_default_dtype()
    start = flambeau.randn((*A.shape[:-1], n), dtype=dtype, device=A.device) if X is None else X
    options = {
        "k": k, "n": n, "niter": 1000 if niter is None else niter,
        "tol": flambeau.finfo(dtype).eps ** 0.5 if tol is None else tol, "largest": largest is not False,
    }  # fmt: skip
    with flambeau.no_grad():
        E, V = _solve_all(A.detach(), B, start, iK, options, tracker)
    if not flambeau.is_grad_enabled() or not (A.requires_grad or (B is not None and B.requires_grad)):
        return E, V
    if B is not None:
        raise ValueError("lobpcg.backward does not support backward with B != I yet.")
    return _differentiable(A, E, V)


def _check(A: Tensor, B: Tensor | None, X: Tensor | None, n: int) -> None:
    if A.shape[-2] != A.shape[-1]:
        raise AssertionError(f"A must be square, got shape {A.shape}")
    if B is not None and A.shape != B.shape:
        raise AssertionError(f"A and B must have the same shape, got {A.shape} and {B.shape}")
    m = A.shape[-1]
    if m < 3 * n:
        raise ValueError(
            f"LOBPCG algorithm is not applicable when the number of A rows (={m}) is smaller than 3 x the number of "
            f"requested eigenpairs (={n})"
        )
    if X is not None and tuple(X.shape[-2:]) != (m, n):
        raise AssertionError(f"X shape mismatch: got {X.shape}, expected {(m, n)}")


def _solve_all(A, B, start, iK, options, tracker):
    """Each matrix of a batch by itself: they take different numbers of rounds."""
    batch, m = A.shape[:-2], A.shape[-1]

    def rows(x):
        return None if x is None else x.detach().expand((*batch, *x.shape[-2:])).reshape(-1, *x.shape[-2:])

    matrices, seconds, starts, nears = rows(A), rows(B), rows(start), rows(iK)
    found = []
    for i in range(matrices.shape[0]):
        one = LOBPCG(
            matrices[i], None if seconds is None else seconds[i], starts[i], None if nears is None else nears[i],
            options, tracker,
        )  # fmt: skip
        found.append(one.run())
    kept = min(options["k"], options["n"])
    E = flambeau.stack([e[:kept] for e, _ in found]).reshape(*batch, kept)
    return E, flambeau.stack([x[:, :kept] for _, x in found]).reshape(*batch, m, kept)


class LOBPCG:
    """One run: what a `tracker` is given. E, X: eigenvalues and vectors so far; R: residuals; S: the basis searched."""

    def __init__(self, A, B, X, iK, options: dict, tracker: Callable | None):
        self.A, self.B, self.X, self.iK, self.tracker = A, B, X, iK, tracker
        self.method = "ortho"
        self.iparams = {"m": A.shape[-1], "n": options["n"], "k": options["k"], "niter": options["niter"]}
        self.fparams = {"tol": options["tol"]}
        self.bparams = {"largest": options["largest"]}
        self.ivars = {
            "istep": 0,
            "converged_count": 0,
            "iterations_left": options["niter"],
            "converged_end": 0,
        }
        self.fvars: dict[str, float] = {}
        self.tvars: dict[str, Tensor] = {}
        self.bvars: dict[str, bool] = {}
        self.S: Tensor = X
        self.E: Tensor = X[0]
        self.R: Tensor = X

    def times_b(self, x: Tensor) -> Tensor:
        return x if self.B is None else self.B @ x

    def run(self) -> tuple[Tensor, Tensor]:
        """Search until enough pairs have converged, the rounds are spent, or the tracker says stop."""
        start = self.X
        length = start.norm()
        self.fvars["X_norm"] = float(length)
        self.fvars["A_norm"] = float((self.A @ start).norm() / length)
        self.fvars["B_norm"] = float(self.times_b(start).norm() / length)
        basis = orthonormal(start, self.times_b)
        self._choose(basis, 0)
        directions = start[:, :0]
        while not self._stops():
            self.ivars["istep"] += 1
            self.ivars["iterations_left"] -= 1
            towards = self.R if self.iK is None else self.iK @ self.R
            # residuals of pairs that have converged are noise: their directions are left out
            towards = towards[:, self.ivars["converged_count"] :]
            more = flambeau.cat([towards, directions], 1)
            for _ in range(2):
                more = more - self.X @ (self.X.mT @ self.times_b(more))
            more = orthonormal(more, self.times_b)
            directions = self._choose(flambeau.cat([self.X, more], 1), self.X.shape[1])
        return self.E, self.X

    def _choose(self, basis: Tensor, own: int) -> Tensor:
        """Rayleigh and Ritz: the best pairs in the span of a basis; gives their part beyond its first `own` columns."""
        self.S = basis
        levels, mixes = flambeau.linalg.eigh(basis.mT @ (self.A @ basis))
        if self.bparams["largest"]:
            levels, mixes = levels.flip(-1), mixes.flip(-1)
        n = min(self.iparams["n"], basis.shape[1])
        self.E, mixes = levels[:n], mixes[:, :n]
        self.X = basis @ mixes
        beyond = basis[:, own:] @ mixes[own:] if own else basis[:, :0]
        self.R = self.A @ self.X - self.times_b(self.X) * self.E
        self._count()
        if self.tracker is not None:
            self.tracker(self)
        return beyond

    def _count(self) -> None:
        """How many of the first pairs have a small enough residual."""
        size = self.X.norm(dim=0) * (self.fvars["A_norm"] + self.E.abs() * self.fvars["B_norm"])
        error = self.R.norm(dim=0) / size
        fits = (error < self.fparams["tol"]).tolist()
        self.ivars["converged_count"] = self.ivars["converged_end"] = ([*fits, False]).index(False)
        self.tvars["rerr"] = error

    def _stops(self) -> bool:
        enough = self.ivars["converged_count"] >= min(self.iparams["k"], self.iparams["n"])
        return self.bvars.get("force_stop", False) or self.ivars["iterations_left"] <= 0 or enough


def orthonormal(U: Tensor, times_b: Callable[[Tensor], Tensor]) -> Tensor:
    """A basis of the span of columns with ``V' B V = I``; directions that rounding cannot tell apart are dropped."""
    eps = flambeau.finfo(U.dtype).eps
    for _ in range(2):  # once more, for what the first left undone
        length = (U * times_b(U)).sum(0).clamp(min=0).sqrt()
        U = U[:, length > 0] / length[length > 0]
        levels, turns = flambeau.linalg.eigh(U.mT @ times_b(U))
        if U.shape[1] == 0:
            return U
        kept = levels > eps * U.shape[0] * levels[-1]
        U = (U @ turns[:, kept]) / levels[kept].sqrt()
    return U


def _differentiable(A: Tensor, E: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs again, as functions of the matrix whose first derivatives are right (perturbation theory).

    ``dE_i = v_i' dA v_i``; ``dv_i`` has the part ``v_j (v_j' dA v_i) / (E_i - E_j)`` along each other vector found, and the
    solution of ``(A - E_i) dv = -dA v_i`` across all of them.
    """
    symmetric = (A + A.mT) / 2
    image = symmetric @ V
    moved = V.mT @ image
    levels = E + (moved - moved.detach()).diagonal(dim1=-2, dim2=-1)
    gap = E.unsqueeze(-2) - E.unsqueeze(-1)
    apart = flambeau.where(gap == 0, 0.0, 1 / flambeau.where(gap == 0, 1.0, gap))
    along = V @ (apart * (moved - moved.detach()))
    one = flambeau.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    others = one - V @ V.mT
    across = []
    for i in range(E.shape[-1]):
        shifted = A.detach() - E[..., i, None, None] * one
        whole = others @ shifted @ others + V @ V.mT
        change = (image - image.detach())[..., i : i + 1]
        across.append(flambeau.linalg.solve(whole, -(others @ change)))
    return levels, V + along + flambeau.cat(across, -1)
