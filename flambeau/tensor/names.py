"""The names that nodes of the gradient graph print with: PyTorch's, where an operator here covers several of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rule = "str | Callable[[Any, dict], str]"


def grad_name(node) -> str:
    """The name of an operator's node, such as ``AddBackward0`` or (a sum over dimensions) ``SumBackward1``."""
    op = node.op
    rule = NAMES.get(op.name)
    if rule is None:
        return plain_name(op.name) + "Backward0"
    found = rule if isinstance(rule, str) else rule(node, dict(zip(op.plain, node.plain)))
    if found.startswith("="):
        return found[1:]
    head, _, last = found.rpartition(" ")
    return f"{head}Backward{last}" if head else f"{found}Backward0"


def plain_name(name: str) -> str:
    """``log_sum`` as ``LogSum``; a letter after a digit is a capital (``Log1P``)."""
    words = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    return "".join(c.upper() if k and words[k - 1].isdigit() else c for k, c in enumerate(words))


def _by_dim(name: str) -> Callable:
    """0 for a reduction of all elements, 1 along dimensions."""
    return lambda node, plain: name if plain["dim"] is None else name + " 1"


#: what a mean or a sum of these elements is called, because PyTorch has the loss as one operator
_LOSSES = {
    "squared_error": "MseLoss", "smooth_l1_each": "SmoothL1Loss", "bce_with_logits_each": "BinaryCrossEntropyWithLogits",
    "bce_with_pos_weight_each": "BinaryCrossEntropyWithLogits", "binary_cross_entropy_each": "BinaryCrossEntropy",
    "huber_each": "HuberLoss",
}  # fmt: skip


def _reduced(name: str) -> Callable:
    def rule(node, plain) -> str:
        below = node.edges[0]
        loss = _LOSSES.get(getattr(getattr(below, "op", None), "name", ""))
        return loss if loss and plain["dim"] is None else _by_dim(name)(node, plain)

    return rule


def _matmul(node, plain) -> str:
    a, b = (where.ndim for where in node.plan.inputs[:2])
    return {(1, 1): "Dot", (2, 1): "Mv", (2, 2): "Mm", (1, 2): "Squeeze 4"}.get((a, b), "UnsafeView")


def _linear(node, plain) -> str:
    ndim, bias = node.plan.inputs[0].ndim, node.plan.inputs[2] is not None
    if ndim == 2:
        return "Addmm" if bias else "Mm"
    return "View" if bias else "Squeeze 4" if ndim == 1 else "UnsafeView"


def _windows(name: str) -> Callable:
    return lambda node, plain: name.format(len(plain["kernel_size"]))


def _clamp(node, plain) -> str:
    return "Clamp" if any(where is not None for where in node.plan.inputs[1:]) else "Clamp 1"


def _with_tensor(name: str, at: int = 1) -> Callable:
    """1 where the operand at this place is a tensor, else 0."""
    return lambda node, plain: name + (" 1" if node.plan.inputs[at] is not None else " 0")


def _with_number(name: str) -> Callable:
    """1 (or the number given) where the operand is a Python number, else 0."""
    head, _, last = name.partition(" ")
    return lambda node, plain: f"{head} {last or 1}" if node.plan.inputs[1] is None else head


def _copied(node, plain) -> str:
    return "Clone" if node.plan.inputs[0].dtype is node.plan.layout.dtype else "ToCopy"


def _rank(node, plain) -> str:
    return {"median": "Median 1", "nanmedian": "Nanmedian 1"}.get(plain.get("mode", ""), "Kthvalue")


#: operator -> name ("Sum 1" for SumBackward1), or a rule of the node and its plain arguments
NAMES: dict[str, Any] = {
    "matmul": _matmul, "linear": _linear, "to_copy": _copied, "clamp": _clamp, "clamp_min": "ClampMin",
    "clamp_max": "ClampMax",
    "sum": _reduced("Sum"), "mean": _reduced("Mean"), "prod": _by_dim("Prod"),
    "max_all": "Max 1", "min_all": "Min 1", "max_along": "Max", "min_along": "Min", "var_along": "Var", "std_along": "Std",
    "var_mean_along": "VarMean", "std_mean_along": "StdMean", "aminmax_along": "Aminmax", "logsumexp_real": "Logsumexp",
    "cumsum_along": "Cumsum", "cumprod_along": "Cumprod", "logcumsumexp_along": "Logcumsumexp", "cummax_along": "Cummax",
    "cummin_along": "Cummin", "sort_along": "Sort", "topk_along": "Topk", "mode_along": "Mode", "rank_along": _rank,
    "power_norm": "LinalgVectorNorm", "largest_norm": "LinalgVectorNorm", "smallest_norm": "LinalgVectorNorm",
    "softmax_along": lambda node, plain: "LogSoftmax" if plain["logarithm"] else "Softmax",
    "power": _with_tensor("Pow"), "power_of": "Pow 2", "square": "Pow", "cube": "Pow", "inverse_square": "Pow",
    "rsub": _with_number("Rsub"), "rdiv": "Mul", "rmod": "Remainder", "lerp": _with_tensor("Lerp", 2),
    "scaled_mask": "Mul", "layer_norm_rows": "NativeLayerNorm", "batch_norm_train": "NativeBatchNorm", "scale_shift": "Mul",
    "cross_entropy_rows": "NllLoss", "max_pool_windows": _windows("MaxPool{}DWithIndices"),
    "adaptive_max_pool_windows": lambda node, plain: f"AdaptiveMaxPool{len(plain['output_size'])}D",
    "avg_pool_windows": _windows("AvgPool{}D"),
    "adaptive_avg_pool_windows": lambda node, plain: f"AdaptiveAvgPool{len(plain['output_size'])}D",
    "gated": "Glu", "selu": "Elu", "celu": "Elu", "relu6": "Hardtanh", "softsign": "Div", "tanhshrink": "Sub",
    "logsigmoid": "LogSigmoid", "prelu_broadcast": "PreluKernel", "rrelu_with_noise": "RreluWithNoise",
    "squeeze": lambda node, plain: "Squeeze" if plain.get("dim") is None else "Squeeze 1",
    "split_evenly": "Split", "strided_at": "AsStrided", "swapaxes": "Transpose", "scatter_into": "Scatter",
    "scatter_sum": "ScatterAdd", "put_flat": "Put", "take_flat": "Take", "index_put_at": "IndexPut",
    "gather_wrapped": "Gather", "index_fill_with": "IndexFill", "bag_rows": "EmbeddingBag", "real_part": "Select",
    "imaginary_part": "Select", "fill": _with_number("Fill 2"), "copy": "=CopyBackwards", "conj_physical": "ConjPhysical",
}  # fmt: skip
