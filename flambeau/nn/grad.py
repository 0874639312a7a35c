"""Gradients of convolutions as functions of their own: with respect to the input, or to the weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"]


def _gradient(
    dims: int, input: Tensor, weight: Tensor, grad_output: Tensor, wanted: Tensor, options: dict
) -> Tensor:
    """The gradient of `wanted`, one of input and weight; convolution is linear, so its values do not matter."""
    convolve = getattr(flambeau.nn.functional, f"conv{dims}d")
    with flambeau.enable_grad():
        result = convolve(input, weight, **options)
    return flambeau.autograd.grad(result, wanted, grad_output)[0]


def _pair(dims: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    def of_input(
        input_size: Any,
        weight: Tensor,
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        input = grad_output.new_zeros(input_size).requires_grad_()
        return _gradient(dims, input, weight.detach(), grad_output, input, options)

    def of_weight(
        input: Tensor,
        weight_size: Any,
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        weight = grad_output.new_zeros(weight_size).requires_grad_()
        return _gradient(dims, input.detach(), weight, grad_output, weight, options)

    for function, what in ((of_input, "input"), (of_weight, "weight")):
        function.__name__ = function.__qualname__ = f"conv{dims}d_{what}"
        function.__doc__ = f"The gradient of ``conv{dims}d`` with respect to its {what}, whose size is given, for a gradient of its result."
    return of_input, of_weight


conv1d_input, conv1d_weight = _pair(1)
conv2d_input, conv2d_weight = _pair(2)
conv3d_input, conv3d_weight = _pair(3)
