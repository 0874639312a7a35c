"""Adamax."""

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
    zeros_like,
)

__all__ = ["Adamax"]


class Adamax(GroupOptimizer):
    """`Adam` with the greatest gradient so far in place of the average square.

    Source: arXiv:1412.6980, section 7.

    Args:
        betas: how much of the average gradient, and of the greatest one, is kept.
        eps: keeps the quotient finite.
        weight_decay: pulls the parameters towards zero, as a part of the gradient.
        maximize: climb instead of descending.
        foreach, capturable: accepted for PyTorch programs.
        differentiable: let gradients flow through the step.
    """

    _LATER_OPTIONS = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
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
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        if not state:
            state["step"] = new_step(parameter, group)
            state["exp_avg"] = zeros_like(parameter)
            state["exp_inf"] = zeros_like(parameter)
        beta1, beta2 = group["betas"]
        state["step"] += 1
        step = state["step"].item()
        if group["maximize"]:
            gradient = -gradient
        if group["weight_decay"] != 0:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        parameter, gradient, average, largest = as_real(
            parameter, gradient, state["exp_avg"], state["exp_inf"]
        )
        average.lerp_(gradient, 1 - beta1)
        kept = largest * beta2
        largest.copy_(flambeau.maximum(kept, gradient.abs().add(group["eps"])))
        if group["differentiable"]:
            largest = largest.clone()  # the next step overwrites it
        parameter.addcdiv_(average, largest, value=-number(group["lr"]) / (1 - beta1**step))
