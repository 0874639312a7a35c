"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

from .fused import FusedGroups
from .optimizer import as_real, check_at_least_zero, check_betas, check_lr, new_step, number, zeros_like

__all__ = ["Adam", "AdamW"]


class Adam(FusedGroups):
    """Steps of even size along the average gradient, by its average square.

    Source: Kingma and Ba, arXiv:1412.6980.

    ``m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g²;  p -= lr m̂ / (sqrt(v̂) + eps)``, where the
    hat
    divides by ``1 - beta^step``.

    Args:
        betas: how much of the former averages of the gradient and of its square is kept.
        eps: keeps the quotient finite.
        weight_decay: pulls the parameters towards zero, as a part of the gradient.
        amsgrad: divide by the greatest average square so far. Source: Reddi et al., arXiv:1904.09237.
        maximize: climb instead of descending.
        foreach, fused, capturable: accepted; all parameters of a group are updated in one native call either
            way.
        differentiable: let gradients flow through the step.
        decoupled_weight_decay: shrink the parameters directly, as `AdamW` does.
    """

    _LATER_OPTIONS = {
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        _check_tensor_options(lr, betas, foreach, capturable)
        if not lr >= 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not eps >= 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        check_at_least_zero(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _start(self, parameter: Tensor, group: dict[str, Any]) -> dict:
        """The state of a parameter, made at its first step."""
        state = self.state[parameter]
        if not state:
            state["step"] = new_step(parameter, group)
            state["exp_avg"] = zeros_like(parameter)
            state["exp_avg_sq"] = zeros_like(parameter)
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = zeros_like(parameter)
        return state

    def _reference_step(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """The step of one parameter in tensor operators: what `flambeau.ops.optimise.adam_` must equal."""
        state = self._start(parameter, group)
        differentiable = group["differentiable"]
        lr = group["lr"] if differentiable else number(group["lr"])
        beta1, beta2 = (b if differentiable else number(b) for b in group["betas"])
        if group["maximize"]:
            gradient = -gradient
        state["step"] += 1
        if group["weight_decay"] != 0:
            if group["decoupled_weight_decay"]:
                parameter.mul_(1 - lr * group["weight_decay"])
            else:
                gradient = gradient.add(parameter, alpha=group["weight_decay"])
        parameter, gradient, average, square, largest = as_real(
            parameter, gradient, state["exp_avg"], state["exp_avg_sq"], state.get("max_exp_avg_sq")
        )
        average.lerp_(gradient, 1 - beta1)
        if differentiable and isinstance(beta2, Tensor):
            square.mul_(beta2).addcmul_(gradient, gradient * (1 - beta2))
        else:
            square.mul_(beta2).addcmul_(gradient, gradient, value=number(1 - beta2))
        step = state["step"] if differentiable else state["step"].item()
        first, second = 1 - beta1**step, 1 - beta2**step
        if largest is not None:
            kept = largest.clone() if differentiable else largest
            largest.copy_(flambeau.maximum(kept, square))
            square = largest
        if differentiable:
            size = lr / first
            parameter.addcdiv_(average, square.sqrt() / (second.sqrt() * -size) + group["eps"] / -size)
        else:
            parameter.addcdiv_(average, (square.sqrt() / second**0.5).add_(group["eps"]), value=-(lr / first))

    def _state_lists(self, group: dict[str, Any], parameters: list[Tensor]) -> list[list[Tensor]]:
        states = [self._start(parameter, group) for parameter in parameters]
        names = ["step", "exp_avg", "exp_avg_sq"] + (["max_exp_avg_sq"] if group["amsgrad"] else [])
        return [[state[name] for state in states] for name in names]

    def _native_step(self, group: dict[str, Any]) -> tuple[str, tuple, tuple]:
        static = (bool(group["amsgrad"]), bool(group["maximize"]), bool(group["decoupled_weight_decay"]))
        beta1, beta2 = (float(b) for b in group["betas"])
        return (
            "adam_",
            static,
            (float(group["lr"]), beta1, beta2, float(group["eps"]), float(group["weight_decay"])),
        )


def _check_tensor_options(lr: Any, betas: Any, foreach: bool | None, capturable: bool) -> None:
    if isinstance(lr, Tensor):
        if foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        check_lr(lr)
    are_tensors = [isinstance(b, Tensor) for b in betas]
    if any(are_tensors) and not all(are_tensors):
        raise ValueError("betas must be either both floats or both Tensors")
    for index, is_tensor in enumerate(are_tensors):
        if is_tensor:
            if foreach and not capturable:
                raise ValueError(
                    f"betas[{index}] as a Tensor is not supported for capturable=False and foreach=True"
                )
            if betas[index].numel() != 1:
                raise ValueError(f"Tensor betas[{index}] must be 1-element")


class AdamW(Adam):
    """`Adam` that shrinks the parameters directly: ``p *= 1 - lr weight_decay`` before each step.

    Arguments are those of `Adam`.  Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization,
    arXiv:1711.05101.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True  # also where the state was saved before the option
