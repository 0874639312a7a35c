"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

from .optimizer import GroupOptimizer, as_real, check_at_least_zero, check_lr, number, scalar_dtype

__all__ = ["Adagrad"]


class Adagrad(GroupOptimizer):
    """Divides each gradient by the root of the sum of its squares so far.

    Source: Duchi et al., JMLR 12, 2011.

    Args:
        lr_decay: the learning rate is divided by ``1 + (step - 1) lr_decay``.
        weight_decay: pulls the parameters towards zero, as a part of the gradient.
        initial_accumulator_value: the sum at first.
        eps: keeps the quotient finite.
        maximize: climb instead of descending.
        foreach, fused: accepted for PyTorch programs.
        differentiable: let gradients flow through the step.
    """

    _LATER_OPTIONS = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_at_least_zero(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                start = group["initial_accumulator_value"]
                state = self.state[parameter]
                state["step"] = flambeau.tensor(0.0, dtype=scalar_dtype(bool(group["fused"])))
                state["sum"] = flambeau.full_like(
                    parameter, complex(start, start) if parameter.is_complex() else start
                ).detach()

    def share_memory(self) -> None:
        """Puts the sums in memory that other processes can map."""
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["sum"].share_memory_()

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        state["step"] += 1
        step = state["step"].item()
        if group["maximize"]:
            gradient = -gradient
        if group["weight_decay"] != 0:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        rate = number(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        parameter, gradient, total = as_real(parameter, gradient, state["sum"])
        total.addcmul_(gradient, gradient, value=1)
        root = total.sqrt() + group["eps"] if group["differentiable"] else total.sqrt().add_(group["eps"])
        parameter.addcdiv_(gradient, root, value=-rate)
