"""How many floating-point operations a call takes: a multiplication and an addition of a product count as two."""

from __future__ import annotations

from math import prod
from typing import Any

from ..tensor.tensor import Tensor

__all__ = ["flops_of"]


def flops_of(operator: Any, given: tuple) -> int:
    """The operations of one call; 0 for operators that are not counted."""
    rule = _RULES.get(operator.name)
    if rule is None:
        return 0
    tensors = [x for x in given if isinstance(x, Tensor)]
    try:
        return rule(tensors, given)
    except (IndexError, ValueError):  # the call is wrong, and about to say so itself
        return 0


def _matrix(tensors: list[Tensor], given: tuple) -> int:
    a, b = tensors[-2:]
    return 2 * a.numel() * (b.shape[-1] if b.dim() > 1 else 1)


def _linear(tensors: list[Tensor], given: tuple) -> int:
    return 2 * tensors[0].numel() * (tensors[1].shape[0] if tensors[1].dim() > 1 else 1)


def _convolution(tensors: list[Tensor], given: tuple) -> int:
    from .shapes import convolved

    input, weight = tensors[:2]
    return 2 * prod(convolved(input, weight, given)) * prod(weight.shape[1:])


def _transposed(tensors: list[Tensor], given: tuple) -> int:
    input, weight = tensors[:2]
    return 2 * input.numel() * prod(weight.shape[1:])


def _elements(tensors: list[Tensor], given: tuple) -> int:
    return max(t.numel() for t in tensors)


def _attention(tensors: list[Tensor], given: tuple) -> int:
    query, key, value = tensors[:3]
    rows = query.numel() // query.shape[-1]
    return 2 * rows * key.shape[-2] * (query.shape[-1] + value.shape[-1])


_RULES = {
    **dict.fromkeys(("mm", "bmm", "matmul", "addmm", "baddbmm", "mv", "addmv", "dot"), _matrix),
    "linear": _linear,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed),
    **dict.fromkeys(("mul", "add", "sub", "div"), _elements),
    "scaled_dot_product_attention": _attention,
}
