"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

from .optimizer import (
    GroupOptimizer,
    as_real,
    check_at_least_zero,
    check_lr,
    number,
    scalar_dtype,
    zeros_like,
)

__all__ = ["ASGD"]


class ASGD(GroupOptimizer):
    """Gradient descent that also keeps the average of the parameters.

    Source: Polyak and Juditsky, SIAM 30(4), 1992.

    The averages stand in the state, as ``ax``.

    Args:
        lambd: decay of the parameters and, with `alpha`, of the learning rate: ``lr / (1 + lambd lr
            t)^alpha``.
        t0: the step at which averaging begins.
        weight_decay: pulls the parameters towards zero, as a part of the gradient.
        maximize: climb instead of descending.
        foreach, capturable: accepted for PyTorch programs.
        differentiable: let gradients flow through the step.
    """

    _LATER_OPTIONS = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_at_least_zero(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        lr = number(group["lr"])
        if not state:
            state["step"] = flambeau.zeros((), dtype=scalar_dtype(), device=parameter.device)
            state["eta"] = flambeau.tensor(lr, dtype=scalar_dtype(), device=parameter.device)
            state["mu"] = flambeau.ones((), dtype=scalar_dtype(), device=parameter.device)
            state["ax"] = zeros_like(parameter)
        state["step"] += 1
        step, eta, mu = state["step"].item(), state["eta"].item(), state["mu"].item()
        if group["maximize"]:
            gradient = -gradient
        if group["weight_decay"] != 0:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        parameter, gradient, mean = as_real(parameter, gradient, state["ax"])
        parameter.mul_(1 - group["lambd"] * eta)
        parameter.add_(gradient, alpha=-eta)
        if mu != 1:
            mean.add_(parameter.sub(mean).mul_(mu))
        else:
            mean.copy_(parameter)
        # Rounded to the type of step counts even where a loaded state keeps more digits, as PyTorch does.
        eta = flambeau.tensor(lr / ((1 + group["lambd"] * lr * step) ** group["alpha"]), dtype=scalar_dtype())
        state["eta"].copy_(eta)
        state["mu"].copy_(flambeau.tensor(1 / max(1, step - group["t0"]), dtype=scalar_dtype()))
