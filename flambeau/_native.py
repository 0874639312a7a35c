"""Functions of the top name space whose arguments PyTorch orders otherwise than their namesakes in `nn.functional`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau

from .tensor.tensor import Tensor

__all__ = [
    "adaptive_max_pool1d", "affine_grid_generator", "binary_cross_entropy_with_logits", "cond", "embedding_bag",
    "frobenius_norm", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "instance_norm", "kl_div", "norm_except_dim",
    "nuclear_norm", "set_anomaly_enabled", "while_loop",
]  # fmt: skip

_REDUCTIONS = ("none", "mean", "sum")


def instance_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None,
    use_input_stats: bool, momentum: float, eps: float, cudnn_enabled: bool = False,
) -> Tensor:  # fmt: skip
    """`nn.functional.instance_norm`."""
    return flambeau.nn.functional.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def kl_div(input: Tensor, target: Tensor, reduction: int = 1, *, log_target: bool = False) -> Tensor:
    """`nn.functional.kl_div`; reduction: 0 none, 1 mean, 2 sum."""
    return flambeau.nn.functional.kl_div(
        input, target, reduction=_REDUCTIONS[reduction], log_target=log_target
    )


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None, reduction: int = 1
) -> Tensor:  # fmt: skip
    """`nn.functional.binary_cross_entropy_with_logits`; reduction: 0 none, 1 mean, 2 sum."""
    return flambeau.nn.functional.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_REDUCTIONS[reduction], pos_weight=pos_weight
    )


def adaptive_max_pool1d(input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
    """`nn.functional.adaptive_max_pool1d`, with the positions of the largest values."""
    return flambeau.nn.functional.adaptive_max_pool1d(input, output_size, return_indices=True)


def embedding_bag(
    weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False, mode: int = 0, sparse: bool = False,
    per_sample_weights: Tensor | None = None, include_last_offset: bool = False, padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """`nn.functional.embedding_bag` and, for each index, the bag that it is in, and the size of each bag.

    mode: 0 sum, 1 mean, 2 max. The last result, where the largest values were, is left empty.
    """
    result = flambeau.nn.functional.embedding_bag(
        indices, weight, offsets, None, 2.0, scale_grad_by_freq, ("sum", "mean", "max")[mode], sparse, per_sample_weights,
        include_last_offset, padding_idx,
    )  # fmt: skip
    starts = offsets[:-1] if include_last_offset else offsets
    places = flambeau.arange(indices.numel(), dtype=offsets.dtype)
    bags = flambeau.searchsorted(starts.contiguous(), places, right=True) - 1
    sizes = flambeau.bincount(bags, minlength=starts.numel()).to(offsets.dtype)
    return result, bags.to(offsets.dtype), sizes, offsets.new_empty(0)


_SAMPLING = (("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"))


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`nn.functional.grid_sample`, with numbers for the modes."""
    return flambeau.nn.functional.grid_sample(
        input, grid, _SAMPLING[0][interpolation_mode], _SAMPLING[1][padding_mode], align_corners
    )


grid_sampler_2d = grid_sampler_3d = grid_sampler


def affine_grid_generator(theta: Tensor, size: Any, align_corners: bool) -> Tensor:
    """`nn.functional.affine_grid`."""
    return flambeau.nn.functional.affine_grid(theta, size, align_corners)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norm over all dimensions but one (over all for ``dim=-1``), kept as dimensions of size 1."""
    if dim == -1:
        return v.norm(pow)
    others = [d for d in range(v.dim()) if d != dim % v.dim()]
    return flambeau.linalg.vector_norm(v, pow, others, keepdim=True)


def frobenius_norm(input: Tensor, dim: Any, keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The root of the sum of squares over dimensions."""
    return flambeau.linalg.vector_norm(input, 2, dim or None, keepdim, out=out)


def nuclear_norm(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The sum of the singular values of a matrix."""
    return flambeau.linalg.matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim, out=out)


def cond(pred: Any, true_fn: Callable, false_fn: Callable, operands: Any = ()) -> Any:
    """``true_fn(*operands)`` if `pred`, else ``false_fn(*operands)``."""
    return (true_fn if bool(pred) else false_fn)(*operands)


def while_loop(cond_fn: Callable, body_fn: Callable, carried_inputs: Any) -> Any:
    """Call ``body_fn`` on its own results as long as ``cond_fn`` holds for them."""
    values = tuple(carried_inputs)
    while bool(cond_fn(*values)):
        found = body_fn(*values)
        values = found if isinstance(found, tuple) else tuple(found) if isinstance(found, list) else (found,)
    return values


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Switch the mode of `torch.autograd.set_detect_anomaly`."""
    flambeau.autograd.set_detect_anomaly(enabled, check_nan)


def _assert_async(input: Tensor, assert_msg: str = "") -> None:
    """Raise when the only element is zero."""
    if not bool(input):
        raise RuntimeError(assert_msg or "Expected Tensor to be non-zero")


def _assert(condition: Any, message: str) -> None:
    """``assert`` as a function."""
    assert bool(condition), message


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.dropout` in place."""
    return flambeau.nn.functional.dropout(input, p, train, inplace=True)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.alpha_dropout` in place."""
    return flambeau.nn.functional.alpha_dropout(input, p, train, inplace=True)
