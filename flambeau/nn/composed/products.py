"""Products of many matrices in one call."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.base.errors import require
from flambeau.tensor.tensor import Tensor


def grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: Any = None,
) -> Tensor:
    """Products of groups of matrices, where groups may differ in one size.

    Args:
        mat_a, mat_b: a stack of matrices, or one matrix whose groups lie side by side.
        offs: where each group ends, along the dimension in which groups of a single matrix lie.

    Shape: ``(G, M, K), (G, K, N) -> (G, M, N)``; with `offs` of ``(G,)``: ``(M, K), (G, K, N) -> (M, N)`` splits the
    rows, ``(G, M, K), (K, N) -> (M, N)`` the columns, ``(M, K), (K, N) -> (G, M, N)`` the inner size.
    """
    require(mat_a.dim() in (2, 3), "mat_a has to be 2 or 3d", RuntimeError)
    require(mat_b.dim() in (2, 3), "mat_b has to be 2 or 3d", RuntimeError)
    require(bias is None, "Bias not supported yet", RuntimeError)
    single = 2 in (mat_a.dim(), mat_b.dim())
    require(
        (offs is not None) == single,
        "Have to provide offsets if there is a 2d matrix, or no offset if both matrices are 3d",
        RuntimeError,
    )
    if not single:
        return _typed(flambeau.bmm(mat_a, mat_b), out_dtype)
    ends = offs.tolist()
    parts = list(zip([0, *ends[:-1]], ends))
    if mat_a.dim() == 2 and mat_b.dim() == 3:
        found = flambeau.cat([mat_a[a:b] @ mat_b[g] for g, (a, b) in enumerate(parts)], 0)
    elif mat_a.dim() == 3:
        found = flambeau.cat([mat_a[g] @ mat_b[:, a:b] for g, (a, b) in enumerate(parts)], 1)
    else:
        found = flambeau.stack([mat_a[:, a:b] @ mat_b[a:b] for a, b in parts], 0)
    return _typed(found, out_dtype)


def _typed(result: Tensor, dtype: Any) -> Tensor:
    return result if dtype is None else result.to(dtype)
