"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

from .optimizer import (
    GroupOptimizer,
    as_real,
    check_at_least_zero,
    check_betas,
    check_lr,
    new_step,
    number,
    scalar_dtype,
    zeros_like,
)

__all__ = ["NAdam"]


class NAdam(GroupOptimizer):
    """`Adam` with Nesterov's look ahead. Source: Dozat, Incorporating Nesterov Momentum into Adam, 2016.

    Args:
        betas: how much of the former averages of the gradient and of its square is kept.
        eps: keeps the quotient finite.
        weight_decay: pulls the parameters towards zero.
        momentum_decay: how the momentum changes over time.
        decoupled_weight_decay: shrink the parameters directly, as `AdamW` does.
        maximize: climb instead of descending.
        foreach, capturable: accepted for PyTorch programs.
        differentiable: let gradients flow through the step.
    """

    _LATER_OPTIONS = {
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_at_least_zero(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        if not state:
            state["step"] = new_step(parameter, group)
            state["mu_product"] = flambeau.ones((), dtype=scalar_dtype())
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
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * group["momentum_decay"]))
        next_mu = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * group["momentum_decay"]))
        state["mu_product"] *= mu
        product = state["mu_product"].item()
        average.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = square.div(1 - beta2**step).sqrt()
        root = root.add(group["eps"]) if group["differentiable"] else root.add_(group["eps"])
        parameter.addcdiv_(gradient, root, value=-lr * (1.0 - mu) / (1.0 - product))
        parameter.addcdiv_(average, root, value=-lr * next_mu / (1.0 - product * next_mu))
