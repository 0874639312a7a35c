"""How many floating-point operations a call takes: a multiplication and an addition of a product count as two."""

from __future__ import annotations

from math import prod
from typing import Any

from ..tensor.tensor import Tensor

__all__ = ["flops_of"]


def flops_of(operator: Any, given: tuple, result: Any) -> int:
    """The operations of one call; 0 for operators that are not counted, or that leave the work to others."""
    rule = _RULES.get(operator.name)
    if rule is None or operator.kind == "Composite" or result is None:
        return 0
    tensors = [x for x in given if isinstance(x, Tensor)]
    return rule(tensors, result)


def _first_rows(tensors: list[Tensor], result: Tensor) -> int:
    return 2 * result.numel() * tensors[0].shape[-1]


def _second_rows(tensors: list[Tensor], result: Tensor) -> int:
    return 2 * result.numel() * tensors[1].shape[-1]


def _convolution(tensors: list[Tensor], result: Tensor) -> int:
    return 2 * result.numel() * prod(tensors[1].shape[1:])


def _transposed(tensors: list[Tensor], result: Tensor) -> int:
    return 2 * tensors[0].numel() * prod(tensors[1].shape[1:])


def _elements(tensors: list[Tensor], result: Tensor) -> int:
    return result.numel()


def _attention(tensors: list[Tensor], result: Tensor) -> int:
    query, key, value = tensors[:3]
    rows = query.numel() // query.shape[-1]
    return 2 * rows * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _attention_backward(tensors: list[Tensor], result: Any) -> int:
    """Five products: the scores again, and the gradients of weights, values, keys and queries."""
    _, query, key, value = tensors[:4]
    rows = query.numel() // query.shape[-1]
    return 2 * rows * key.shape[-2] * (3 * query.shape[-1] + 2 * value.shape[-1])


def _linear_backward(tensors: list[Tensor], result: Any) -> int:
    grad, input = tensors[:2]
    products = sum(1 for r in result[:2] if r is not None) if isinstance(result, tuple) else 1
    return 2 * products * grad.numel() * input.shape[-1]


_RULES = {
    "linear_backward": _linear_backward,
    **dict.fromkeys(("mm", "bmm", "matmul", "mv", "dot", "linear"), _first_rows),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), _second_rows),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed),
    **dict.fromkeys(("mul", "add", "sub", "div"), _elements),
    "attention": _attention,
    "attention_backward": _attention_backward,
}
