"""Helpers that optimisers written for PyTorch import from `torch.optim.optimizer`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor


def _use_grad_for_differentiable(func: Callable) -> Callable:
    """A ``step`` that records gradients only where the optimiser is differentiable."""

    @functools.wraps(func)
    def _use_grad(*args: Any, **kwargs: Any) -> Any:
        with flambeau.set_grad_enabled(bool(args[0].defaults["differentiable"])):
            return func(*args, **kwargs)

    return _use_grad


def _get_value(x: Any) -> Any:
    """The number in a tensor; a number as it is."""
    return x.item() if isinstance(x, Tensor) else x


def _stack_if_compiling(x: list) -> Any:
    """The list itself: nothing is stacked while a program runs."""
    return x


def _default_to_fused_or_foreach(
    params: list[Tensor], differentiable: bool, use_fused: bool = False
) -> tuple[bool, bool]:
    """Whether to take a fused step or one over lists by default: neither, loops over parameters are as fast here."""
    return False, False


def _view_as_real(params: list[Tensor], *state_and_grads: list[Tensor]) -> None:
    """Puts real views in place of the complex parameters and what goes with them, in the lists themselves."""
    for k, parameter in enumerate(params):
        if parameter.is_complex():
            params[k] = flambeau.view_as_real(parameter)
            for others in state_and_grads:
                others[k] = flambeau.view_as_real(others[k])


def _get_scalar_dtype(is_fused: bool | None = None) -> Any:
    """The dtype of step counts."""
    if is_fused or flambeau.get_default_dtype() is not flambeau.float64:
        return flambeau.float32
    return flambeau.float64


def _disable_dynamo_if_unsupported(single_tensor_fn: Callable | None = None) -> Callable:
    """A decorator that leaves a function as it is: compilation does without it."""
    return lambda func: func


def _to_scalar(x: Any) -> Any:
    """A tensor of one element without dimensions; other values as they are."""
    return x.squeeze() if isinstance(x, Tensor) and x.dim() != 0 else x
