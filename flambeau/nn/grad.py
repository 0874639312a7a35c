"""The derivatives of convolutions on their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import grad
from ..tensor.grad_modes import enable_grad
from ..tensor.tensor import Tensor

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"]


def _with_respect_to_input(convolve: Callable, size: Sequence[int], weight: Tensor, grad_output: Tensor, *how: Any) -> Tensor:
    input = grad_output.new_empty(1).expand(tuple(size)).detach().requires_grad_()
    return _gradient(convolve, input, weight, grad_output, input, how)


def _with_respect_to_weight(convolve: Callable, input: Tensor, size: Sequence[int], grad_output: Tensor, *how: Any) -> Tensor:
    weight = grad_output.new_zeros(1).expand(tuple(size)).detach().requires_grad_()
    return _gradient(convolve, input.detach(), weight, grad_output, weight, how)


def _gradient(convolve: Callable, input: Tensor, weight: Tensor, grad_output: Tensor, wanted: Tensor, how: tuple) -> Tensor:
    stride, padding, dilation, groups = how
    with enable_grad():
        result = convolve(input, weight, None, stride, padding, dilation, groups)
        return grad(result, wanted, grad_output)[0]


def _pair(dimensions: int) -> tuple[Callable, Callable]:
    def convolve(*arguments: Any) -> Tensor:
        from . import functional

        return getattr(functional, f"conv{dimensions}d")(*arguments)

    def input_gradient(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
        return _with_respect_to_input(
            convolve, input_size, weight.detach(), grad_output, stride, padding, dilation, groups
        )

    def weight_gradient(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
        return _with_respect_to_weight(
            convolve, input, weight_size, grad_output, stride, padding, dilation, groups
        )

    input_gradient.__name__ = input_gradient.__qualname__ = f"conv{dimensions}d_input"
    input_gradient.__doc__ = (
        f"The gradient of conv{dimensions}d with respect to an input of `input_size`."
    )
    weight_gradient.__name__ = weight_gradient.__qualname__ = f"conv{dimensions}d_weight"
    weight_gradient.__doc__ = (
        f"The gradient of conv{dimensions}d with respect to a weight of `weight_size`."
    )
    return input_gradient, weight_gradient


conv1d_input, conv1d_weight = _pair(1)
conv2d_input, conv2d_weight = _pair(2)
conv3d_input, conv3d_weight = _pair(3)
