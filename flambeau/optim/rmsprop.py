"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.tensor.tensor import Tensor

from .optimizer import GroupOptimizer, as_real, check_at_least_zero, check_lr, new_step, number, zeros_like

__all__ = ["RMSprop"]


class RMSprop(GroupOptimizer):
    """Divides each gradient by the root of its average square.

    Source: Hinton, lecture 6e of his course, 2012.

    Args:
        alpha: how much of the former average is kept.
        eps: keeps the quotient finite.
        weight_decay: pulls the parameters towards zero, as a part of the gradient.
        momentum: share of the former direction that is kept.
        centered: divide by the standard deviation, and not by the root of the square.
        maximize: climb instead of descending.
        foreach, capturable: accepted for PyTorch programs.
        differentiable: let gradients flow through the step.
    """

    _LATER_OPTIONS = {
        "momentum": 0,
        "centered": False,
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_at_least_zero(epsilon=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        if not state:
            state["step"] = new_step(parameter, group)
            state["square_avg"] = zeros_like(parameter)
            if group["momentum"] > 0:
                state["momentum_buffer"] = zeros_like(parameter)
            if group["centered"]:
                state["grad_avg"] = zeros_like(parameter)
        alpha, lr = group["alpha"], number(group["lr"])
        state["step"] += 1
        if group["maximize"]:
            gradient = -gradient
        if group["weight_decay"] != 0:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        parameter, gradient, square, buffer, mean = as_real(
            parameter, gradient, state["square_avg"], state.get("momentum_buffer"), state.get("grad_avg")
        )
        square.mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
        if group["centered"]:
            mean.lerp_(gradient, 1 - alpha)
            root = square.addcmul(mean, mean, value=-1).sqrt()
        else:
            root = square.sqrt()
        root = root.add(group["eps"]) if group["differentiable"] else root.add_(group["eps"])
        if group["momentum"] > 0:
            buffer.mul_(group["momentum"]).addcdiv_(gradient, root)
            parameter.add_(buffer, alpha=-lr)
        else:
            parameter.addcdiv_(gradient, root, value=-lr)
