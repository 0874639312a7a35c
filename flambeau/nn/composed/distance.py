"""Distances and lengths of vectors."""

from __future__ import annotations

from collections.abc import Callable

import flambeau
from flambeau.tensor.tensor import Tensor


def normalize(
    input: Tensor,
    p: float = 2.0,
    dim: int | tuple[int, ...] = 1,
    eps: float = 1e-12,
    out: Tensor | None = None,
) -> Tensor:
    """Divides by the p-norm along `dim`, or by `eps` where that is greater.

    Shape: ``(*) -> (*)``.
    """
    length = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return input / length if out is None else flambeau.div(input, length, out=out)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`; lengths below `eps` count as `eps`.

    Shape: the broadcast shape of both, without `dim`.
    """
    common = flambeau.promote_types(x1.dtype, x2.dtype)
    if not common.is_floating_point and not common.is_complex:
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {common}")
    if x1.shape != x2.shape or x1.dtype is not common or x2.dtype is not common:
        x1, x2 = flambeau.broadcast_tensors(x1.to(common), x2.to(common))

    def unit(x: Tensor) -> Tensor:
        length = flambeau.norm(x, 2, dim, keepdim=True)
        if not length.requires_grad:
            return x / length.clamp_min(eps)
        # The limit changes the value and not the derivative.
        return x / (length + (length.detach().clamp_min(eps) - length.detach()))

    return (unit(x1) * unit(x2)).sum(dim)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of ``x1 - x2 + eps`` over the last dimension.

    Shape: ``(*, D), (*, D) -> (*)``.
    """
    return flambeau.norm(x1 - x2 + eps, p, -1, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm of the difference of every two rows, in the order (0, 1), (0, 2), ..., (1, 2), ...

    Shape: ``(N, D) -> (N (N - 1) / 2)``.
    """
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if not input.is_floating_point():
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = flambeau.triu_indices(
        input.shape[0], input.shape[0], offset=1, device=input.device
    ).unbind(0)
    difference = input.index_select(0, first) - input.index_select(0, second)
    return flambeau.norm(difference, p, -1)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` for a distance of one's own.

    Args:
        distance_function: `pairwise_distance` when None.
        swap: also use the distance between positive and negative, if that is smaller.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            "dimensions, but "
            f"got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = flambeau.minimum(far, distance(positive, negative))
    loss = flambeau.clamp_min(margin + near - far, 0)
    return {"mean": flambeau.mean, "sum": flambeau.sum, "none": lambda x: x}[reduction](loss)
