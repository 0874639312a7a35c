"""A linear layer and its cross entropy in one function."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import require
from flambeau.nn import functional as F
from flambeau.tensor.tensor import Tensor


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)``.

    Args:
        weight: a factor for each class.
        options: how PyTorch would cut the batch into pieces; accepted, and without influence on the result.

    Shape: input ``(N, in_features)`` or ``(in_features)``, linear_weight ``(C, *out_features, in_features)``, target
    ``(N, *out_features)`` of class indices or ``(N, C, *out_features)`` of probabilities.
    """
    require(input.dim() in (1, 2), f"expected input with dimensionality 1 or 2, got {input.dim()}")
    require(
        linear_weight.dim() >= 2,
        f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}",
    )
    *batch, in_features = input.shape
    classes, *out_features, width = linear_weight.shape
    require(
        in_features == width,
        "expected equal input and linear_weight last dimensions (in_features), got "
        f"{in_features} and {width}, respectively",
    )
    require(
        linear_bias is None or tuple(linear_bias.shape) == (classes, *out_features),
        f"expected linear_bias shape {(classes, *out_features)}, got "
        f"{None if linear_bias is None else tuple(linear_bias.shape)}",
    )
    require(
        bool(batch) or not out_features,
        f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires "
        "batched input, "
        f"(N, {in_features}), got unbatched input with shape {tuple(input.shape)}",
    )
    shape = (*batch, classes, *out_features)
    require(
        ignore_index is None or tuple(target.shape) != shape,
        "ignore_index cannot be specified when target contains probabilities",
    )
    require(
        not batch or not target.dim() or target.shape[0] == batch[0],
        f"Expected input batch_size ({batch[0] if batch else 1}) to match target batch_size "
        f"({target.shape[0] if target.dim() else 1}).",
        ValueError,
    )
    if out_features:
        linear_weight = linear_weight.reshape(-1, in_features)
        linear_bias = None if linear_bias is None else linear_bias.reshape(-1)
    return F.cross_entropy(
        F.linear(input, linear_weight, linear_bias).reshape(shape),
        target,
        weight=weight,
        reduction=reduction,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
    )
