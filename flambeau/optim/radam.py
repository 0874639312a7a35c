"""RAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.tensor.tensor import Tensor

from .optimizer import (
    GroupOptimizer,
    as_real,
    check_at_least_zero,
    check_betas,
    check_lr,
    new_step,
    number,
    zeros_like,
)

__all__ = ["RAdam"]


class RAdam(GroupOptimizer):
    """`Adam` that uses the average square only once its variance is small.

    Source: Liu et al., arXiv:1908.03265.

    Args:
        betas: how much of the former averages of the gradient and of its square is kept.
        eps: keeps the quotient finite.
        weight_decay: pulls the parameters towards zero.
        decoupled_weight_decay: shrink the parameters directly, as `AdamW` does.
        maximize: climb instead of descending.
        foreach, capturable: accepted for PyTorch programs.
        differentiable: let gradients flow through the step.
    """

    _LATER_OPTIONS = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_at_least_zero(epsilon=eps)
        check_betas(betas)
        check_at_least_zero(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        if not state:
            state["step"] = new_step(parameter, group)
            state["exp_avg"] = zeros_like(parameter)
            state["exp_avg_sq"] = zeros_like(parameter)
        beta1, beta2 = group["betas"]
        lr, decay = number(group["lr"]), group["weight_decay"]
        state["step"] += 1
        step = state["step"].item()
        if group["maximize"]:
            gradient = -gradient
        if decay != 0:
            if group["decoupled_weight_decay"]:
                parameter.mul_(1 - lr * decay)
            else:
                gradient = gradient.add(parameter, alpha=decay)
        parameter, gradient, average, square = as_real(
            parameter, gradient, state["exp_avg"], state["exp_avg_sq"]
        )
        average.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        first, second = 1 - beta1**step, 1 - beta2**step
        change = average / first * lr
        # How many gradients the average square stands for, now and in the limit.
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * step * beta2**step / second
        if length > 5.0:
            variance = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
            root = square.sqrt()
            root = root.add(group["eps"]) if group["differentiable"] else root.add_(group["eps"])
            change = change * (second**0.5 / root) * variance**0.5
        parameter.add_(change, alpha=-1.0)
