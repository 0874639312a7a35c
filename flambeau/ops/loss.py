"""Losses."""

from __future__ import annotations

import warnings
from functools import lru_cache

from ..base import dtype as types
from ..base.errors import require
from ..base.layout import contiguous_layout
from ..ir.expr import exp, fabs, log, log1p, maximum, sigmoid, sign, where
from . import define
from .define import op, ops
from .kinds import Composite, Opaque, Pointwise, promote
from .norm import statistic_dtype


def reduction_of(reduction: str, size_average=None, reduce=None) -> str:
    """'none', 'mean' or 'sum', from the argument or from its deprecated predecessors."""
    if size_average is not None or reduce is not None:
        average = True if size_average is None else size_average
        reduction = "none" if reduce is False else "mean" if average else "sum"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=5,
        )
    require(
        reduction in ("none", "mean", "sum"), f"{reduction} is not a valid value for reduction", ValueError
    )
    return reduction


def reduced(values, reduction: str):
    return values if reduction == "none" else ops.mean(values) if reduction == "mean" else ops.sum(values)


def warn_shapes(input, target, name: str = "target") -> None:
    """A loss that broadcasts is nearly always a mistake."""
    if input.shape != target.shape:
        warnings.warn(
            f"Using a {name} size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely "
            "lead to incorrect results due to broadcasting. Please ensure they have the same "
            "size.", stacklevel=5,
        )  # fmt: skip


@op("squared_error(Tensor input, Tensor target) -> Tensor", function=False, method=False)
class SquaredError(Pointwise):
    """``(input - target) ** 2``."""

    dtype = promote

    def scalar(input, target):
        d = input - target
        return d * d

    def d_input(g, input, target):
        return g * (input - target) * 2

    def d_target(g, input, target):
        return g * (target - input) * 2


@op(
    "nn.functional.mse_loss(Tensor input, Tensor target, any size_average=None, any reduce=None, str "
    "reduction='mean', "
    "Tensor? weight=None) -> Tensor"
)
class MseLoss(Composite):
    """Mean squared error."""

    def body(input, target, size_average, reduce, reduction, weight):
        reduction = reduction_of(reduction, size_average, reduce)
        warn_shapes(input, target)
        values = ops.squared_error(input, target)
        if weight is not None:
            require(weight.shape == input.shape, "Inputs and weight must have the same size.", ValueError)
            values = values * weight
            if reduction == "mean":
                return ops.sum(values) / ops.sum(weight)
        return reduced(values, reduction)


@op(
    "nn.functional.l1_loss(Tensor input, Tensor target, any size_average=None, any reduce=None, str "
    "reduction='mean', "
    "Tensor? weight=None) -> Tensor"
)
class L1Loss(Composite):
    """Mean absolute error."""

    def body(input, target, size_average, reduce, reduction, weight):
        reduction = reduction_of(reduction, size_average, reduce)
        warn_shapes(input, target)
        values = ops.abs(input - target)
        if weight is not None:
            values = values * weight
            if reduction == "mean":
                return ops.sum(values) / ops.sum(weight)
        return reduced(values, reduction)


@op("smooth_l1_each(Tensor input, Tensor target, float beta) -> Tensor", function=False, method=False)
class SmoothL1Each(Pointwise):
    """Quadratic below ``beta``, linear beyond."""

    dtype = promote

    def scalar(input, target, beta):
        d = fabs(input - target)
        return where(d < beta, d * d * (0.5 / beta), d - 0.5 * beta) if beta else d

    def d_input(g, input, target, beta):
        d = input - target
        return g * where(abs(d) < beta, d / beta, sign(d)) if beta else g * sign(d)

    def d_target(g, input, target, beta):
        d = target - input
        return g * where(abs(d) < beta, d / beta, sign(d)) if beta else g * sign(d)


@op(
    "nn.functional.smooth_l1_loss(Tensor input, Tensor target, any size_average=None, any reduce=None, "
    "str reduction='mean', float beta=1.0) -> Tensor"
)
class SmoothL1Loss(Composite):
    """L1 loss that is quadratic within ``beta`` of zero (Girshick 2015)."""

    def body(input, target, size_average, reduce, reduction, beta):
        reduction = reduction_of(reduction, size_average, reduce)
        warn_shapes(input, target)
        require(beta >= 0, "smooth_l1_loss does not support negative values for beta.")
        return reduced(ops.smooth_l1_each(input, target, float(beta)), reduction)


@op(
    "nn.functional.huber_loss(Tensor input, Tensor target, str reduction='mean', float delta=1.0, "
    "Tensor? weight=None) -> Tensor"
)
class HuberLoss(Composite):
    """Quadratic within ``delta`` of zero, linear with slope ``delta`` beyond (Huber 1964)."""

    def body(input, target, reduction, delta, weight):
        reduction = reduction_of(reduction)
        require(delta > 0, "huber_loss does not support non-positive values for delta.")
        warn_shapes(input, target)
        values = ops.smooth_l1_each(input, target, float(delta)) * delta
        if weight is not None:
            values = values * weight
            if reduction == "mean":
                return ops.sum(values) / ops.sum(weight)
        return reduced(values, reduction)


# -- classification --------------------------------------------------------------------------------------------


@op(
    "cross_entropy_rows(Tensor input, Tensor target, Tensor? weight, str reduction, int ignore_index, "
    "float label_smoothing) -> (Tensor, Tensor, Tensor)",
    function=False, method=False,
)  # fmt: skip
class CrossEntropyRows(Opaque):
    """Loss of class scores (N, C) against class indices (N); the rows' log-sum-exp and the total weight are kept."""

    algorithm = "rows.cross_entropy"
    nondifferentiable = (1, 2)
    no_gradient = ("target", "weight")

    def layouts(input, reduction):
        kept = statistic_dtype(input.dtype)
        loss = contiguous_layout((input.shape[0],) if reduction == "none" else (), input.dtype, input.device)
        return [
            loss,
            contiguous_layout((input.shape[0],), kept, input.device),
            contiguous_layout((), kept, input.device),
        ]

    def d_all(g0, input, target, weight, reduction, ignore_index, label_smoothing, result1, result2):
        if not define.RECORDING[0]():
            found = ops.cross_entropy_backward(
                g0, input, target, weight, result1, result2, reduction, ignore_index, label_smoothing
            )
            return found, None, None
        # Differentiable form: probabilities times the row's mass, less what the target row takes.
        classes = input.shape[1]
        valid = ops.ne(target, ignore_index)
        safe = ops.where(valid, target, 0)
        w = (weight[safe] if weight is not None else ops.ones_like(result1).to(input.dtype)) * valid.to(
            input.dtype
        )
        g = g0 / ops.sum(w) if reduction == "mean" else g0
        g = ops.unsqueeze(ops.expand(g, (input.shape[0],)), 1)
        one = ops.zeros_like(input).scatter_(1, ops.unsqueeze(safe, 1), 1.0)
        wanted = one * ops.unsqueeze(w, 1) * (1 - label_smoothing)
        if label_smoothing:
            share = weight if weight is not None else ops.ones((classes,), dtype=input.dtype)
            wanted = wanted + ops.unsqueeze(valid.to(input.dtype), 1) * share * (label_smoothing / classes)
        p = ops.softmax(input, 1)
        return g * (p * ops.sum(wanted, 1, True) - wanted), None, None


@op(
    "cross_entropy_backward(Tensor grad, Tensor input, Tensor target, Tensor? weight, Tensor sums, "
    "Tensor total, "
    "str reduction, int ignore_index, float label_smoothing) -> Tensor",
    function=False, method=False,
)  # fmt: skip
class CrossEntropyBackward(Opaque):
    """Gradient of the scores in one pass."""

    algorithm = "rows.cross_entropy_backward"

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)


@op(
    "nll_rows(Tensor input, Tensor target, Tensor? weight, str reduction, int ignore_index) -> (Tensor, Tensor)",
    function=False, method=False,
)  # fmt: skip
class NllRows(Opaque):
    """Negative log likelihood of class indices (N) under log probabilities (N, C), and the total weight."""

    algorithm = "rows.likelihood"
    nondifferentiable = (1,)
    no_gradient = ("target", "weight")

    def layouts(input, reduction):
        loss = contiguous_layout((input.shape[0],) if reduction == "none" else (), input.dtype, input.device)
        return [loss, contiguous_layout((), statistic_dtype(input.dtype), input.device)]

    def d_all(g0, input_layout, target, weight, reduction, ignore_index, result1):
        found = ops.nll_rows_backward(
            g0, target, weight, result1, tuple(input_layout.shape), reduction, ignore_index
        )
        return found, None, None


@op(
    "nll_rows_backward(Tensor grad, Tensor target, Tensor? weight, Tensor total, int[] size, str reduction, "
    "int ignore_index) -> Tensor",
    function=False, method=False,
)  # fmt: skip
class NllRowsBackward(Opaque):
    """Gradient of the log probabilities."""

    algorithm = "rows.likelihood_backward"
    no_gradient = ("target", "weight", "total")

    def layouts(grad, size):
        return contiguous_layout(size, grad.dtype, grad.device)

    def d_grad(g, target, weight, reduction, ignore_index):
        return ops.nll_rows(g, target, weight, reduction, ignore_index)[0]


def settle(cache: dict, key: tuple | None, plain: bool) -> None:
    """Remember that calls with these layouts and arguments need no check and no other shape."""
    if plain and key is not None and len(cache) < 1024:
        cache[key] = True


def class_rows(input, target):
    """Scores as (rows, C) and targets as (rows,), from (C), (N, C) or (N, C, d1, ...)."""
    if input.dim() == 1:
        return ops.unsqueeze(input, 0), ops.unsqueeze(target, 0) if target.dim() == 0 else target
    if input.dim() == 2:
        return input, target
    return ops.reshape(ops.movedim(input, 1, -1), (-1, input.shape[1])), ops.reshape(target, (-1,))


def check_class_shapes(input, target, weight) -> None:
    check_class_layouts(input._layout, target._layout, None if weight is None else weight._layout)


@lru_cache(4096)
def check_class_layouts(input, target, weight) -> None:
    """Checks scores, targets and class weights (once for each combination of layouts)."""
    require(input.ndim >= 1, "Expected input to have at least one dimension")
    classes = input.shape[0] if input.ndim == 1 else input.shape[1]
    if input.ndim == 1:
        require(target.ndim <= 1 and target.numel == 1 or target.ndim == 0,
                f"size mismatch (got input: {list(input.shape)}, target: {list(target.shape)})")  # fmt: skip
    else:
        require(input.shape[0] == (target.shape[0] if target.ndim else -1),
                f"Expected input batch_size ({input.shape[0]}) to match target batch_size "
                f"({target.shape[0] if target.ndim else 0}).", ValueError)  # fmt: skip
        require(tuple(target.shape[1:]) == tuple(input.shape[2:]),
                f"Expected target size {[input.shape[0], *input.shape[2:]]}, got "
                f"{list(target.shape)}")  # fmt: skip
    require(weight is None or weight.dtype is input.dtype,
            f"expected scalar type {_TYPE_NAMES.get(input.dtype.name)} but found "
            f"{_TYPE_NAMES.get(weight.dtype.name) if weight is not None else ''}")  # fmt: skip
    require(weight is None or weight.ndim == 1 and weight.numel == classes,
            f"weight tensor should be defined either for all {classes} classes or no classes but got "
            f"weight tensor of "
            f"shape: {list(weight.shape) if weight is not None else ()}")  # fmt: skip


@op(
    "nn.functional.cross_entropy(Tensor input, Tensor target, Tensor? weight=None, any size_average=None, "
    "int ignore_index=-100, any reduce=None, str reduction='mean', float label_smoothing=0.0) -> Tensor"
)
class CrossEntropy(Composite):
    """Cross entropy of softmax scores against class indices, or class probabilities.

    Shape: input ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``; target without the class dimension, or of the input's shape
    for probabilities.
    """

    def body(input, target, weight, size_average, ignore_index, reduce, reduction, label_smoothing):
        cache, key = input._layout.cache, None
        if size_average is None and reduce is None:
            kind = None if weight is None else weight._layout
            key = ("cross_entropy", target._layout, kind, reduction, ignore_index, label_smoothing)
            if cache.get(key):
                return ops.cross_entropy_rows(
                    input, target, weight, reduction, ignore_index, float(label_smoothing)
                )[0]
        reduction = reduction_of(reduction, size_average, reduce)
        require(
            0.0 <= label_smoothing <= 1.0,
            f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}",
        )
        if target.shape == input.shape and (target.dtype.kind >= 2):
            require(ignore_index < 0, "ignore_index is not supported for floating point target")
            return probability_loss(input, target, weight, reduction, label_smoothing)
        require(
            target.dtype.kind == 1,
            f"expected scalar type Long but found {_TYPE_NAMES.get(target.dtype.name, target.dtype)}",
        )
        check_class_shapes(input, target, weight)
        rows, indices = class_rows(input, target)
        if rows.numel() == 0 or rows.dtype.kind != 2:
            values = ops.log_softmax(rows, 1)
            return nll(values, indices, weight, ignore_index, reduction, target.shape)
        found = ops.cross_entropy_rows(
            rows, indices, weight, reduction, ignore_index, float(label_smoothing)
        )[0]
        settle(cache, key, rows is input and reduction != "none")
        return ops.reshape(found, target.shape) if reduction == "none" else found


_TYPE_NAMES = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "bool": "Bool",
    "bfloat16": "BFloat16",
}


def probability_loss(input, target, weight, reduction, label_smoothing):
    dim = 0 if input.dim() == 1 else 1
    classes = input.shape[dim]
    values = ops.log_softmax(input, dim)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    if weight is not None:
        require(weight.dim() == 1 and weight.numel() == classes,
                "cross_entropy: weight tensor should be defined either for all "
                f"{classes} classes or no classes but got weight tensor of shape: "
                f"{list(weight.shape)}")  # fmt: skip
        weight = weight if dim == 0 else ops.reshape(weight, (1, classes, *(1 for _ in input.shape[2:])))
        values = values * weight
    losses = -ops.sum(values * target, dim)
    if reduction == "mean":
        return (
            ops.sum(losses) / max(1, input.numel() // max(classes, 1))
            if input.numel()
            else ops.sum(losses) / 0.0
        )
    return ops.sum(losses) if reduction == "sum" else losses


def nll(values, target, weight, ignore_index, reduction, shape):
    """-weight[t] * values[row, t] over rows whose target is not ignored."""
    valid = ops.ne(target, ignore_index)
    classes = values.shape[1]
    if target.numel():
        bad = valid & (ops.lt(target, 0) | ops.ge(target, classes))
        if target.device.type != "meta" and bool(bad.any()):
            position = int(ops.argmax(bad.to(types.uint8)))
            raise IndexError(
                f"Target {int(target[position])} is out of bounds.\n  at    position {position} of the target\n"
                f"  need  0 <= target < {classes}, the number of classes"
            )
    safe = ops.where(valid, target, 0).to(types.int64)
    share = valid.to(values.dtype)
    if weight is not None:
        share = ops.index_select(weight, 0, safe) * share if target.numel() else share
    picked = ops.squeeze(ops.gather(values, 1, ops.unsqueeze(safe, 1)), 1)
    losses = -(ops.where(valid, picked, 0.0) * share)
    if reduction == "none":
        return ops.reshape(losses, shape)
    total = ops.sum(losses)
    return total / ops.sum(share) if reduction == "mean" else total


@op(
    "nn.functional.nll_loss(Tensor input, Tensor target, Tensor? weight=None, any size_average=None, "
    "int ignore_index=-100, any reduce=None, str reduction='mean') -> Tensor"
)
class NllLoss(Composite):
    """Negative log likelihood of class indices under log probabilities."""

    def body(input, target, weight, size_average, ignore_index, reduce, reduction):
        cache, key = input._layout.cache, None
        if size_average is None and reduce is None:
            kind = None if weight is None else weight._layout
            key = ("nll_loss", target._layout, kind, reduction, ignore_index)
            if cache.get(key):
                return ops.nll_rows(input, target, weight, reduction, ignore_index)[0]
        reduction = reduction_of(reduction, size_average, reduce)
        require(
            target.dtype.kind == 1,
            f"expected scalar type Long but found {_TYPE_NAMES.get(target.dtype.name, target.dtype)}",
        )
        check_class_shapes(input, target, weight)
        rows, indices = class_rows(input, target)
        if rows._layout.numel == 0 or rows._layout.dtype.kind != 2:
            return nll(rows, indices, weight, ignore_index, reduction, target.shape)
        found = ops.nll_rows(rows, indices, weight, reduction, ignore_index)[0]
        settle(cache, key, rows is input and reduction != "none")
        return ops.reshape(found, target.shape) if reduction == "none" else found


# -- binary ----------------------------------------------------------------------------------------------------


def clamped_log(x):
    """log(x), at least -100 as the loss defines it."""
    return maximum(log(x), -100.0)


@op("binary_cross_entropy_each(Tensor input, Tensor target) -> Tensor", function=False, method=False)
class BinaryCrossEntropyEach(Pointwise):
    """``-(t log x + (1 - t) log(1 - x))`` with logarithms of at least -100."""

    dtype = promote

    def scalar(input, target):
        return -(target * clamped_log(input) + (1 - target) * clamped_log(1 - input))

    def d_input(g, input, target):
        return g * (input - target) / maximum((1 - input) * input, 1e-12)

    def d_target(g, input):
        return g * (clamped_log(1 - input) - clamped_log(input))


@op(
    "nn.functional.binary_cross_entropy(Tensor input, Tensor target, Tensor? weight=None, any "
    "size_average=None, "
    "any reduce=None, str reduction='mean') -> Tensor"
)
class BinaryCrossEntropy(Composite):
    """Binary cross entropy of probabilities."""

    def body(input, target, weight, size_average, reduce, reduction):
        reduction = reduction_of(reduction, size_average, reduce)
        require(input.shape == target.shape,
                f"Using a target size ({target.shape}) that is different to the input size "
                f"({input.shape}) is deprecated. "
                "Please ensure they have the same size.", ValueError)  # fmt: skip
        require(input.dtype.kind == 2, "binary_cross_entropy needs a floating-point input")
        if input.device.type != "meta" and input.numel():
            require(
                bool(((input >= 0) & (input <= 1)).all()), "all elements of input should be between 0 and 1"
            )
        values = ops.binary_cross_entropy_each(input, target)
        return reduced(values if weight is None else values * weight, reduction)


@op("bce_with_logits_each(Tensor input, Tensor target) -> Tensor", function=False, method=False)
class BceWithLogitsEach(Pointwise):
    """``max(x, 0) - x t + log(1 + exp(-|x|))``."""

    dtype = promote

    def scalar(input, target):
        return maximum(input, 0) - input * target + log1p(exp(-fabs(input)))

    def d_input(g, input, target):
        return g * (sigmoid(input) - target)

    def d_target(g, input):
        return -(g * input)


def log_sigmoid_negative(x):
    """log(1 + exp(-x)) without overflow."""
    return maximum(-x, 0) + log1p(exp(-abs(x)))


@op(
    "bce_with_pos_weight_each(Tensor input, Tensor target, Tensor pos_weight) -> Tensor",
    function=False,
    method=False,
)
class BceWithPosWeightEach(Pointwise):
    """The logistic loss where positive targets count ``pos_weight`` times."""

    dtype = promote

    def scalar(input, target, pos_weight):
        return (1 - target) * input + (1 + (pos_weight - 1) * target) * log_sigmoid_negative(input)

    def d_input(g, input, target, pos_weight):
        return g * ((1 - target) - (1 + (pos_weight - 1) * target) * sigmoid(-input))

    def d_target(g, input, pos_weight):
        return g * ((pos_weight - 1) * log_sigmoid_negative(input) - input)

    def d_pos_weight(g, input, target):
        return g * target * log_sigmoid_negative(input)


@op(
    "nn.functional.binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight=None, "
    "any size_average=None, any reduce=None, str reduction='mean', Tensor? pos_weight=None) -> Tensor"
)
class BinaryCrossEntropyWithLogits(Composite):
    """Binary cross entropy of scores, safe for any size of score."""

    def body(input, target, weight, size_average, reduce, reduction, pos_weight):
        reduction = reduction_of(reduction, size_average, reduce)
        require(target.shape == input.shape,
                f"Target size ({target.shape}) must be the same as input size "
                f"({input.shape})", ValueError)  # fmt: skip
        if pos_weight is None:
            values = ops.bce_with_logits_each(input, target)
        else:
            values = ops.bce_with_pos_weight_each(input, target, pos_weight)
        return reduced(values if weight is None else values * weight, reduction)


@op(
    "nn.functional.kl_div(Tensor input, Tensor target, any size_average=None, any reduce=None, str "
    "reduction='mean', "
    "bool log_target=False) -> Tensor"
)
class KlDiv(Composite):
    """Kullback-Leibler divergence of log probabilities from a target distribution."""

    def body(input, target, size_average, reduce, reduction, log_target):
        if reduction == "batchmean":
            total = kl_each(input, target, log_target).sum()
            return total / input.shape[0] if input.dim() else total
        if reduction == "mean" and size_average is None and reduce is None:
            warnings.warn(
                "reduction: 'mean' divides the total loss by both the batch size and the support "
                "size.'batchmean' divides "
                "only by the batch size, and aligns with the KL div math definition.'mean' will be "
                "changed to behave the "
                "same as 'batchmean' in the next major release.", stacklevel=4,
            )  # fmt: skip
        reduction = reduction_of(reduction, size_average, reduce)
        return reduced(kl_each(input, target, log_target), reduction)


def kl_each(input, target, log_target: bool):
    if log_target:
        return ops.exp(target) * (target - input)
    return ops.xlogy(target, target) - target * input


@op(
    "nn.functional.poisson_nll_loss(Tensor input, Tensor target, bool log_input=True, bool "
    "full=False, any size_average=None, float eps=1e-08, any reduce=None, str reduction='mean') -> "
    "Tensor",
    also="poisson_nll_loss",
)
class PoissonNllLoss(Composite):
    """Negative log likelihood of counts under a Poisson distribution."""

    def body(input, target, log_input, full, size_average, eps, reduce, reduction):
        reduction = reduction_of(reduction, size_average, reduce)
        values = ops.exp(input) - target * input if log_input else input - target * ops.log(input + eps)
        if full:
            stirling = target * ops.log(target) - target + 0.5 * ops.log(2 * 3.141592653589793 * target)
            values = values + ops.where(target > 1, stirling, 0.0)
        return reduced(values, reduction)


@op(
    "nn.functional.gaussian_nll_loss(Tensor input, Tensor target, Operand var, bool full=False, "
    "float eps=1e-06, str reduction='mean') -> Tensor"
)
class GaussianNllLoss(Composite):
    """Negative log likelihood under a normal distribution of given variance."""

    def body(input, target, var, full, eps, reduction):
        if not hasattr(var, "dtype"):
            require(var >= 0, "var has negative entry/entries", ValueError)
            var = ops.full_like(input, var)
        elif var.shape != input.shape:
            if input.shape[:-1] == var.shape:
                var = ops.unsqueeze(var, -1)
            else:
                ok = input.dim() == var.dim() and all(v in (1, n) for v, n in zip(var.shape, input.shape))
                require(ok, "var is of incorrect size", ValueError)
        require(reduction in ("none", "mean", "sum"), f"{reduction} is not valid", ValueError)
        require(not bool((var < 0).any()), "var has negative entry/entries", ValueError)
        var = ops.where(var.detach() < eps, eps, var) if bool((var < eps).any()) else var
        values = 0.5 * (ops.log(var) + (input - target) ** 2 / var)
        if full:
            values = values + 0.9189385332046727
        return reduced(values, reduction)


@op(
    "nn.functional.hinge_embedding_loss(Tensor input, Tensor target, float margin=1.0, any "
    "size_average=None, any reduce=None, str reduction='mean') -> Tensor",
    also="hinge_embedding_loss",
)
class HingeEmbeddingLoss(Composite):
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1."""

    def body(input, target, margin, size_average, reduce, reduction):
        reduction = reduction_of(reduction, size_average, reduce)
        far = ops.where(ops.ne(target, 1), ops.clamp_min(margin - input, 0), 0)
        near = ops.where(ops.ne(target, -1), input, 0)
        return reduced(far + near, reduction)


@op(
    "nn.functional.margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0, "
    "any size_average=None, any reduce=None, str reduction='mean') -> Tensor",
    also="margin_ranking_loss",
)
class MarginRankingLoss(Composite):
    """``max(0, -t (x1 - x2) + margin)``."""

    def body(input1, input2, target, margin, size_average, reduce, reduction):
        reduction = reduction_of(reduction, size_average, reduce)
        same = input1.dim() == input2.dim() == target.dim()
        require(same, f"margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
                f"{input1.shape}, input2: {input2.shape}, target: {target.shape} ")  # fmt: skip
        return reduced(ops.clamp_min(-target * (input1 - input2) + margin, 0), reduction)
