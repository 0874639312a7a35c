"""Losses of margins: hinges between classes, between distances and between angles."""

from __future__ import annotations

from ..base import dtype as types
from ..base.errors import require
from .define import op, ops
from .kinds import Composite
from .loss import reduced, reduction_of


@op(
    "nn.functional.soft_margin_loss(Tensor input, Tensor target, any size_average=None, any "
    "reduce=None, str reduction='mean') -> Tensor"
)
class SoftMarginLoss(Composite):
    """``log(1 + exp(-t x))``."""

    def body(input, target, size_average, reduce, reduction):
        reduction = reduction_of(reduction, size_average, reduce)
        return reduced(ops.log1p(ops.exp(-input * target)), reduction)


@op(
    "nn.functional.cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float "
    "margin=0, any size_average=None, any reduce=None, str reduction='mean') -> Tensor",
    also="cosine_embedding_loss",
)
class CosineEmbeddingLoss(Composite):
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1."""

    def body(input1, input2, target, margin, size_average, reduce, reduction):
        reduction = reduction_of(reduction, size_average, reduce)
        require(target.dim() in (0, 1), "0D or 1D target tensor expected, multi-target not supported")
        dim = target.dim()
        product = ops.sum(input1 * input2, dim)
        first = ops.sum(input1 * input1, dim) + 1e-12
        second = ops.sum(input2 * input2, dim) + 1e-12
        cosine = product / ops.sqrt(first * second)
        near = ops.where(ops.eq(target, 1), 1 - cosine, 0)
        far = ops.where(ops.eq(target, -1), ops.clamp_min(cosine - margin, 0), 0)
        return reduced(near + far, reduction)


@op(
    "nn.functional.triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float "
    "margin=1.0, float p=2, float eps=1e-06, bool swap=False, any size_average=None, any "
    "reduce=None, str reduction='mean') -> Tensor",
    also="triplet_margin_loss",
)
class TripletMarginLoss(Composite):
    """``max(0, |a - p| - |a - n| + margin)`` (Schroff et al. 2015)."""

    def body(anchor, positive, negative, margin, p, eps, swap, size_average, reduce, reduction):
        reduction = reduction_of(reduction, size_average, reduce)
        require(margin > 0, f"margin must be greater than 0, got {margin}", ValueError)
        a, b, c = anchor.dim(), positive.dim(), negative.dim()
        require(
            a == b == c,
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {a}D, positive {b}D, and negative {c}D inputs",
        )
        near = distance(anchor, positive, p, eps)
        far = distance(anchor, negative, p, eps)
        if swap:
            far = ops.minimum(far, distance(positive, negative, p, eps))
        return reduced(ops.clamp_min(near - far + margin, 0), reduction)


def distance(a, b, p: float, eps: float):
    return ops.norm(a - b + eps, p, -1)


@op(
    "nn.functional.multilabel_soft_margin_loss(Tensor input, Tensor target, Tensor? weight=None, any "
    "size_average=None, any reduce=None, str reduction='mean') -> Tensor"
)
class MultilabelSoftMarginLoss(Composite):
    """Mean binary logistic loss over the classes."""

    def body(input, target, weight, size_average, reduce, reduction):
        reduction = reduction_of(reduction, size_average, reduce)
        values = ops.bce_with_logits_each(input, target.to(input.dtype))
        if weight is not None:
            values = values * weight
        return reduced(ops.mean(values, -1), reduction)


def check_vector_or_matrix(input) -> None:
    """Only the batch may be empty."""
    shape = tuple(input.shape)
    good = len(shape) == 2 and shape[1] > 0 or len(shape) == 1 and shape[0] > 0 or not shape
    require(
        good, f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(shape)}"
    )


def check_long(target) -> None:
    require(
        target.dtype is types.int64, f"expected scalar type Long but found {types.type_name(target.dtype)}"
    )


@op(
    "nn.functional.multi_margin_loss(Tensor input, Tensor target, float p=1, float margin=1.0, "
    "Tensor? weight=None, any size_average=None, any reduce=None, str reduction='mean') -> Tensor"
)
class MultiMarginLoss(Composite):
    """``sum_i max(0, margin - x[t] + x[i]) ** p / C`` over the classes other than the target."""

    def body(input, target, p, margin, weight, size_average, reduce, reduction):
        reduction = reduction_of(reduction, size_average, reduce)
        require(p in (1, 2), "only p == 1 and p == 2 supported", ValueError)
        rows = input if input.dim() == 2 else ops.reshape(input, (1, -1))
        require(weight is None or weight.dim() == 1, "weight must be one-dimensional", ValueError)
        check_vector_or_matrix(input)
        require(
            target.dim() <= 1 and target.numel() == rows.shape[0],
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch size). "
            f"Expected target size [{rows.shape[0]}], but got {list(target.shape)}. Input has shape "
            f"{list(input.shape)}.",
        )
        require(
            weight is None or weight.numel() == rows.shape[1],
            f"inconsistent weight size, expected {rows.shape[1]} but got {list(weight.shape) if weight is not None else 0}",
        )
        check_long(target)
        index = ops.reshape(target, (-1, 1))
        values = ops.clamp_min(margin - ops.gather(rows, 1, index) + rows, 0)
        if p == 2:
            values = values * values
        if weight is not None:
            values = values * ops.reshape(ops.index_select(weight, 0, ops.reshape(index, (-1,))), (-1, 1))
        values = ops.scatter(values, 1, index, 0.0)
        losses = ops.sum(values, 1) / rows.shape[1]
        return reduced(ops.reshape(losses, target.shape) if reduction == "none" else losses, reduction)


@op(
    "nn.functional.multilabel_margin_loss(Tensor input, Tensor target, any size_average=None, any "
    "reduce=None, str reduction='mean') -> Tensor"
)
class MultilabelMarginLoss(Composite):
    """Hinge between each target class (up to the first -1 of a row) and each class that is none."""

    def body(input, target, size_average, reduce, reduction):
        reduction = reduction_of(reduction, size_average, reduce)
        check_vector_or_matrix(input)
        require(
            target.shape == input.shape
            or (input.dim() < 2 and target.dim() < 2 and target.numel() == input.numel()),
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}",
        )
        check_long(target)
        rows = ops.reshape(input, (1, -1)) if input.dim() != 2 else input
        wanted = ops.reshape(target, rows.shape)
        alive = ops.cumsum(ops.lt(wanted, 0).to(types.int64), 1) == 0
        index = ops.where(alive, wanted, 0)
        hit = ops.zeros_like(rows).scatter_add(1, index, alive.to(rows.dtype)) > 0
        scores = ops.gather(rows, 1, index)
        gap = ops.clamp_min(1 - (ops.unsqueeze(scores, 2) - ops.unsqueeze(rows, 1)), 0)
        keep = ops.unsqueeze(alive, 2) & ~ops.unsqueeze(hit, 1)
        losses = ops.sum(ops.where(keep, gap, 0), (1, 2)) / rows.shape[1]
        if reduction == "none":
            return losses if input.dim() == 2 else ops.reshape(losses, ())
        return reduced(losses, reduction)
