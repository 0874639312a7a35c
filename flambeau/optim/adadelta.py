"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.tensor.tensor import Tensor

from .optimizer import GroupOptimizer, as_real, check_at_least_zero, check_lr, new_step, number, zeros_like

__all__ = ["Adadelta"]


class Adadelta(GroupOptimizer):
    """Steps in the ratio of the average sizes of former steps and of gradients.

    Source: Zeiler, arXiv:1212.5701.

    Args:
        rho: how much of the former averages is kept.
        eps: keeps the quotient finite, and the first steps above zero.
        weight_decay: pulls the parameters towards zero, as a part of the gradient.
        maximize: climb instead of descending.
        foreach, capturable: accepted for PyTorch programs.
        differentiable: let gradients flow through the step.
    """

    _LATER_OPTIONS = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_at_least_zero(epsilon=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        if not state:
            state["step"] = new_step(parameter, group)
            state["square_avg"] = zeros_like(parameter)
            state["acc_delta"] = zeros_like(parameter)
        rho, eps = group["rho"], group["eps"]
        state["step"] += 1
        if group["maximize"]:
            gradient = -gradient
        if group["weight_decay"] != 0:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        parameter, gradient, square, moved = as_real(
            parameter, gradient, state["square_avg"], state["acc_delta"]
        )
        square.mul_(rho).addcmul_(gradient, gradient, value=1 - rho)
        ratio = moved.add(eps).sqrt() / square.add(eps).sqrt()
        change = ratio * gradient
        moved.mul_(rho).addcmul_(change, change, value=1 - rho)
        parameter.add_(change, alpha=-number(group["lr"]))
