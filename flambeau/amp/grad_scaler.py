"""`GradScaler`: keeps the gradients of low-precision training in the range that float16 can hold."""

from __future__ import annotations

import inspect
import warnings
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from typing import Any

import flambeau

from ..ops.define import OPERATORS, function_of
from ..tensor.tensor import Tensor

__all__ = ["GradScaler", "OptState"]


class OptState(Enum):
    """How far an optimiser is in the current iteration."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _fresh_state() -> dict[str, Any]:
    return {"stage": OptState.READY, "found_inf_per_device": {}}


class GradScaler:
    """Multiplies losses by a factor, divides gradients by it before the step, and finds the factor as it goes.

    A step whose gradients are infinite or no numbers is left out, and the factor shrinks; after `growth_interval` good
    steps it grows.

    Args:
        device: kind of device of the parameters; "cuda" without a GPU disables the scaler.
        init_scale: the first factor.
        growth_factor: what it is multiplied by when it grows; above 1.
        backoff_factor: what it is multiplied by when it shrinks; below 1.
        enabled: False makes all methods do nothing but step the optimiser.

    Example::

        >>> import flambeau as torch
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> scaler = torch.amp.GradScaler("cpu")
        >>> loss = model(torch.ones(3, 2)).square().mean()
        >>> scaler.scale(loss).backward()
        >>> scaler.step(optimizer)
        >>> scaler.update()
        >>> scaler.get_scale()
        65536.0
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if device == "cuda" and enabled and not flambeau.cuda.is_available():
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.", stacklevel=2
            )
            self._enabled = False
        if self._enabled:
            if not growth_factor > 1.0:
                raise AssertionError("The growth factor must be > 1.0.")
            if not backoff_factor < 1.0:
                raise AssertionError("The backoff factor must be < 1.0.")
            self._init_scale = init_scale
            self._scale: Tensor | None = None  # made by the first `scale`, which knows the device
            self._growth_factor = growth_factor
            self._backoff_factor = backoff_factor
            self._growth_interval = growth_interval
            self._init_growth_tracker = 0
            self._growth_tracker: Tensor | None = None
            self._per_optimizer_states: dict[int, dict[str, Any]] = defaultdict(_fresh_state)

    def _started(self, funcname: str) -> tuple[Any, Any]:
        hint = "This may indicate your script did not use scaler.scale(loss or outputs) earlier in the iteration."
        for name, tensor in (("_scale", self._scale), ("_growth_tracker", self._growth_tracker)):
            if tensor is None:
                raise AssertionError(f"Attempted {funcname} but {name} is None.  " + hint)
        return self._scale, self._growth_tracker

    _check_scale_growth_tracker = _started

    def _lazy_init_scale_growth_tracker(self, dev: Any) -> None:
        if self._growth_tracker is not None:
            raise AssertionError("_growth_tracker initialized before _scale")
        self._scale = flambeau.full((), self._init_scale, dtype=flambeau.float32, device=dev)
        self._growth_tracker = flambeau.full((), self._init_growth_tracker, dtype=flambeau.int32, device=dev)

    def scale(self, outputs: Any) -> Any:
        """A tensor, or the tensors of nested lists and tuples, times the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._lazy_init_scale_growth_tracker(outputs.device)
            return outputs * self._scale.to(device=outputs.device)
        if isinstance(outputs, Iterable):
            found = [self.scale(one) for one in outputs]
            if isinstance(outputs, (list, tuple)):
                return type(outputs)(*found) if hasattr(outputs, "_make") else type(outputs)(found)
            return iter(found)
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _unscale_grads_(
        self, optimizer: Any, inv_scale: Tensor, found_inf: Tensor, allow_fp16: bool
    ) -> dict[Any, Tensor]:
        """Multiplies all gradients of an optimiser in place; per device, 1 where one was not finite."""
        marks: dict[Any, Tensor] = {}
        groups: dict[tuple, list[Tensor]] = {}
        loose: list[Tensor] = []
        with flambeau.no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    gradient = parameter.grad
                    if gradient is None:
                        continue
                    if not allow_fp16 and gradient.dtype is flambeau.float16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    layout = gradient._layout
                    fits = layout.dense and layout.dtype.is_floating_point and layout.device.type == "cpu"
                    if fits:
                        groups.setdefault((layout.device, layout.dtype), []).append(gradient)
                    else:
                        loose.append(gradient)
            unscale = function_of(OPERATORS["gradients.unscale_"])
            for (device, _), gradients in groups.items():
                mark = marks.setdefault(device, found_inf.to(device, copy=True))
                unscale(gradients, mark, inv_scale.to(device))
            for gradient in loose:
                mark = marks.setdefault(gradient.device, found_inf.to(gradient.device, copy=True))
                mark.copy_(flambeau.maximum(mark, (~gradient.isfinite()).any().to(mark.dtype)))
                gradient.mul_(inv_scale.to(gradient.device))
        return marks

    def unscale_(self, optimizer: Any) -> None:
        """Divides the gradients of an optimiser by the factor, to clip them for example; `step` will not do so again."""
        if not self._enabled:
            return
        scale, _ = self._started("unscale_")
        states = self._per_optimizer_states[id(optimizer)]
        if states["stage"] is OptState.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if states["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        inverse = scale.double().reciprocal().float()
        found = flambeau.full((), 0.0, dtype=flambeau.float32, device=scale.device)
        states["found_inf_per_device"] = self._unscale_grads_(optimizer, inverse, found, False)
        states["stage"] = OptState.UNSCALED

    def _maybe_opt_step(
        self, optimizer: Any, optimizer_state: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        if not sum(mark.item() for mark in optimizer_state["found_inf_per_device"].values()):
            return optimizer.step(*args, **kwargs)
        return None

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Unscales the gradients (unless `unscale_` did) and steps the optimiser if all of them are finite.

        Returns:
            What ``optimizer.step(*args, **kwargs)`` returned; None where the step was left out.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        scale, _ = self._started("step")
        states = self._per_optimizer_states[id(optimizer)]
        if states["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            result = self._step_that_scales(optimizer, states, scale, args, kwargs)
            states["stage"] = OptState.STEPPED
            return result
        if states["stage"] is OptState.READY:
            self.unscale_(optimizer)
        if len(states["found_inf_per_device"]) == 0:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = self._maybe_opt_step(optimizer, states, *args, **kwargs)
        states["stage"] = OptState.STEPPED
        return result

    def _step_that_scales(
        self, optimizer: Any, states: dict, scale: Tensor, args: tuple, kwargs: dict
    ) -> Any:
        """The step of an optimiser that unscales by itself: it finds `grad_scale` and `found_inf` among its attributes."""
        if "grad_scaler" in inspect.signature(optimizer.step).parameters:
            warnings.warn(
                "GradScaler is going to stop passing itself as a keyword argument to the passed optimizer. In the "
                "near future GradScaler registers `grad_scale: Tensor` and `found_inf: Tensor` to the passed "
                "optimizer and let the optimizer use them directly.",
                FutureWarning,
                stacklevel=3,
            )
            return optimizer.step(*args, **dict(kwargs, grad_scaler=self))
        if states["stage"] is OptState.READY:
            self._check_inf_per_device(optimizer)
        marks = list(states["found_inf_per_device"].values())
        found = sum(mark.to(scale.device) for mark in marks)
        given = getattr(optimizer, "grad_scale", None)
        optimizer.grad_scale = (
            None if states["stage"] is OptState.UNSCALED else scale * (1 if given is None else given)
        )
        optimizer.found_inf = found
        result = optimizer.step(*args, **kwargs)
        del optimizer.grad_scale
        del optimizer.found_inf
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Ends an iteration: shrinks the factor if any step was left out, or counts towards the next growth.

        Args:
            new_scale: the next factor, where it should not be found here.
        """
        if not self._enabled:
            return
        scale, tracker = self._started("update")
        with flambeau.no_grad():
            if new_scale is not None:
                self._set_scale(scale, new_scale)
            else:
                self._find_scale(scale, tracker)
        self._per_optimizer_states = defaultdict(_fresh_state)

    def _set_scale(self, scale: Tensor, new_scale: float | Tensor) -> None:
        if isinstance(new_scale, Tensor):
            reason = (
                "new_scale should be a float or a 1-element torch.cuda.FloatTensor or torch.FloatTensor with "
                "requires_grad=False."
            )
            if new_scale.device.type != self._device or new_scale.numel() != 1 or new_scale.requires_grad:
                raise AssertionError(reason)
            scale.copy_(new_scale.reshape(()))
        else:
            scale.fill_(float(new_scale))

    def _find_scale(self, scale: Tensor, tracker: Tensor) -> None:
        marks = [
            mark.to(device=scale.device, non_blocking=True)
            for states in self._per_optimizer_states.values()
            for mark in states["found_inf_per_device"].values()
        ]
        if len(marks) == 0:
            raise AssertionError("No inf checks were recorded prior to update.")
        if sum(mark.item() for mark in marks):
            scale.mul_(self._backoff_factor)
            tracker.zero_()
            return
        good = int(tracker.item()) + 1
        if good == self._growth_interval:
            grown = scale * self._growth_factor
            if bool(grown.isfinite()):
                scale.copy_(grown)
            good = 0
        tracker.fill_(good)

    def _get_scale_async(self) -> Tensor | None:
        return self._scale

    def get_scale(self) -> float:
        """The factor as a number; 1.0 where the scaler is disabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale.item())

    def get_growth_factor(self) -> float:
        """What the factor is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Choose what the factor is multiplied by when it grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the factor is multiplied by when it shrinks."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Choose what the factor is multiplied by when it shrinks."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """Good steps in a row after which the factor grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Choose after how many good steps in a row the factor grows."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        return self._init_growth_tracker if self._growth_tracker is None else int(self._growth_tracker.item())

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The factor and how it changes; empty where the scaler is disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a saved state; nothing where the scaler is disabled."""
        if not self._enabled:
            return
        if len(state_dict) == 0:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        if self._scale is not None:
            self._scale.fill_(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._growth_tracker is not None:
            self._growth_tracker.fill_(state_dict["_growth_tracker"])

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._enabled:
            if len(self._per_optimizer_states) != 0:
                raise AssertionError(
                    "A GradScaler instance may only be pickled at the beginning of an iteration, or at the end "
                    "after scaler.update()."
                )
            state["_init_scale"] = self.get_scale()
            state["_init_growth_tracker"] = self._get_growth_tracker()
            state["_scale"] = None
            state["_growth_tracker"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def _check_inf_per_device(self, optimizer: Any) -> dict[Any, Tensor]:
        scale, _ = self._started("_check_inf_per_device")
        one = flambeau.full((), 1.0, dtype=flambeau.float32, device=scale.device)
        found = flambeau.full((), 0.0, dtype=flambeau.float32, device=scale.device)
        states = self._per_optimizer_states[id(optimizer)]
        states["found_inf_per_device"] = self._unscale_grads_(optimizer, one, found, True)
        return states["found_inf_per_device"]

    def _found_inf_per_device(self, optimizer: Any) -> dict[Any, Tensor]:
        return self._per_optimizer_states[id(optimizer)]["found_inf_per_device"]
