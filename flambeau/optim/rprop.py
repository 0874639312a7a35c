"""Resilient propagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

from .optimizer import GroupOptimizer, as_real, check_lr, new_step, number, zeros_like

__all__ = ["Rprop"]


class Rprop(GroupOptimizer):
    """Steps by the sign of the gradient alone, with a step size for each element.

    Args:
        etas: factors of the step size where the sign of the gradient changed, and where it did not.
        step_sizes: the least and the greatest step size.
        maximize: climb instead of descending.
        foreach, capturable: accepted for PyTorch programs.
        differentiable: let gradients flow through the step.

    Source: Riedmiller and Braun, A direct adaptive method for faster backpropagation learning, ICNN 1993.
    """

    _LATER_OPTIONS = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        if not state:
            lr = number(group["lr"])
            state["step"] = new_step(parameter, group)
            state["prev"] = zeros_like(parameter)
            state["step_size"] = flambeau.full_like(
                gradient, complex(lr, lr) if parameter.is_complex() else lr
            )
        shrink, grow = group["etas"]
        least, greatest = group["step_sizes"]
        state["step"] += 1
        if group["maximize"]:
            gradient = -gradient
        parameter, gradient, former, size = as_real(parameter, gradient, state["prev"], state["step_size"])
        agreement = gradient * (former.clone() if group["differentiable"] else former)
        turned = agreement < 0
        factor = flambeau.ones_like(gradient).masked_fill(agreement > 0, grow).masked_fill(turned, shrink)
        size.mul_(factor).clamp_(least, greatest)
        gradient = gradient.masked_fill(turned, 0)  # where it turned, wait for the next gradient
        step_size = size.clone() if group["differentiable"] else size
        parameter.addcmul_(gradient.sign(), step_size, value=-1)
        former.copy_(gradient)
