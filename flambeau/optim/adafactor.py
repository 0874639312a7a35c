"""Adafactor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

from .optimizer import GroupOptimizer, number, scalar_dtype, zeros_like

__all__ = ["Adafactor"]


class Adafactor(GroupOptimizer):
    """`Adam` in little memory: the average square of a matrix is kept as one row and one column.

    Args:
        beta2_decay: the averages keep ``1 - step ** beta2_decay`` of the former ones.
        eps: the least average square (the machine epsilon when None), and the least size of a step.
        d: steps are limited to this root mean square.
        weight_decay: shrinks the parameters directly.
        foreach: accepted for PyTorch programs.
        maximize: climb instead of descending.

    Source: Shazeer and Stern, Adafactor, arXiv:1804.04235.
    """

    _LATER_OPTIONS = {"foreach": None}

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        if parameter.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        if not state:
            _start(gradient, state)
        least, smallest_step = group["eps"]
        least = flambeau.finfo(parameter.dtype).eps if least is None else least
        lr = number(group["lr"])
        if group["maximize"]:
            gradient = -gradient
        state["step"] += 1
        step = state["step"].item()
        new = step ** group["beta2_decay"]
        size = max(smallest_step, _root_mean_square(parameter)) * min(lr, 1 / step**0.5)
        if group["weight_decay"] != 0:
            parameter.mul_(1 - lr * group["weight_decay"])
        if gradient.dim() > 1:
            row, column = state["row_var"], state["col_var"]
            row.lerp_(gradient.norm(dim=-1, keepdim=True).square().div(gradient.size(-1)), new)
            column.lerp_(gradient.norm(dim=-2, keepdim=True).square().div(gradient.size(-2)), new)
            square = (row @ column).div_(row.mean(dim=-2, keepdim=True).clamp_(min=least))
        else:
            state["variance"].lerp_(gradient * gradient, new)
            square = state["variance"].clone()
        change = square.clamp_(min=least * least).rsqrt_().mul_(gradient)
        parameter.add_(change, alpha=-size / max(1.0, _root_mean_square(change) / group["d"]))


def _start(gradient: Tensor, state: dict) -> None:
    state["step"] = flambeau.tensor(0.0, dtype=scalar_dtype())
    if gradient.dim() > 1:
        *rest, rows, columns = gradient.shape
        state["row_var"] = gradient.new_zeros([*rest, rows, 1])
        state["col_var"] = gradient.new_zeros([*rest, 1, columns])
    else:
        state["variance"] = zeros_like(gradient)


def _root_mean_square(tensor: Tensor) -> float:
    return tensor.norm(2).item() / tensor.numel() ** 0.5
