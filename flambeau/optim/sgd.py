"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

from .fused import FusedGroups
from .optimizer import check_at_least_zero, check_lr, number

__all__ = ["SGD"]


class SGD(FusedGroups):
    """Stochastic gradient descent, optionally with momentum.

    ``g += weight_decay p;  b = momentum b + (1 - dampening) g;  p -= lr (g + momentum b if nesterov else b)``

    Args:
        momentum: share of the former direction that is kept.
        dampening: share of the gradient that does not enter the momentum.
        weight_decay: pulls the parameters towards zero, as a part of the gradient.
        nesterov: look ahead along the momentum. Source: Sutskever et al., ICML 2013.
        maximize: climb instead of descending.
        foreach, fused: accepted; all parameters of a group are updated in one native call either way.
        differentiable: let gradients flow through the step.

    Example::

        >>> model = flambeau.nn.Linear(2, 1)
        >>> optimizer = flambeau.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> model(flambeau.ones(2)).sum().backward()
        >>> optimizer.step()
        >>> optimizer.zero_grad()
    """

    _LATER_OPTIONS = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        check_at_least_zero(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, defaults)

    def _reference_step(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """The step of one parameter in tensor operators: what `flambeau.ops.optimise.sgd_` must equal."""
        lr, decay, momentum = group["lr"], group["weight_decay"], group["momentum"]
        if group["maximize"]:
            gradient = -gradient
        if isinstance(decay, Tensor) and decay.requires_grad:
            gradient = gradient + parameter.clone() * decay  # the parameter is about to change
        elif decay != 0:
            gradient = gradient.add(parameter, alpha=number(decay))
        if momentum != 0:
            state = self.state[parameter]
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = flambeau.clone(gradient).detach()
            else:
                buffer.mul_(momentum).add_(gradient, alpha=1 - group["dampening"])
            gradient = gradient.add(buffer, alpha=momentum) if group["nesterov"] else buffer
        if isinstance(lr, Tensor) and lr.requires_grad:
            parameter.addcmul_(gradient, lr, value=-1)
        else:
            parameter.add_(gradient, alpha=-number(lr))

    def _state_lists(self, group: dict[str, Any], parameters: list[Tensor]) -> list[list[Tensor]] | None:
        if group["momentum"] == 0:
            return []
        buffers = [self.state[p].get("momentum_buffer") for p in parameters]
        return None if any(buffer is None for buffer in buffers) else [buffers]

    def _native_step(self, group: dict[str, Any]) -> tuple[str, tuple, tuple]:
        static = (group["momentum"] != 0, bool(group["nesterov"]), bool(group["maximize"]))
        decay = float(group["weight_decay"])
        momentum, dampening = float(group["momentum"]), float(group["dampening"])
        return "sgd_", static, (float(group["lr"]), momentum, dampening, decay)
