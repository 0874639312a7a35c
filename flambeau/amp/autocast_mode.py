"""`autocast`: regions in which operators choose their precision, and custom functions that fit them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import flambeau

from ..base.device import device as Device
from ..tensor.tensor import Tensor
from . import state as switches
from .state import _LOWER, state

__all__ = ["autocast", "autocast_decorator", "custom_bwd", "custom_fwd", "is_autocast_available"]


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast exists for a kind of device."""
    return Device(device_type).type in _LOWER


def autocast_decorator(autocast_instance: Any, func: Callable) -> Callable:
    """`func`, run within a region."""

    @functools.wraps(func)
    def decorate_autocast(*args: Any, **kwargs: Any) -> Any:
        with autocast_instance:
            return func(*args, **kwargs)

    return decorate_autocast


def _check_type(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


class autocast:
    """Within it (or a function that it decorates), products and convolutions compute in a lower precision.

    Losses, factorisations and transforms compute in float32, everything else in the type of its operands. Parameters
    stay as they are, and so do their gradients. Leave the region before ``backward()``.

    Args:
        device_type: "cpu"; other kinds of device are accepted and change nothing here.
        dtype: the lower precision: bfloat16 (the default) or float16.
        enabled: False makes a region in which autocast is off.
        cache_enabled: whether a parameter that is used several times is cast once.

    Example::

        >>> import flambeau as torch
        >>> model, x = torch.nn.Linear(4, 2), torch.randn(3, 4)
        >>> with torch.autocast("cpu"):
        ...     y = model(x)
        >>> y.dtype, model.weight.dtype
        (torch.bfloat16, torch.float32)
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ):
        _check_type(device_type)
        self.device = Device(device_type).type
        self.fast_dtype = switches.get_autocast_dtype(self.device) if dtype is None else dtype
        if not is_autocast_available(self.device):
            raise RuntimeError(f"User specified an unsupported autocast device_type '{self.device}'")
        self._cache_enabled = state.cache_enabled if cache_enabled is None else cache_enabled
        self._enabled = enabled
        self._outer: list[tuple] = []
        self._refuse_unusable()

    def _refuse_unusable(self) -> None:
        if self.device == "cuda" and self._enabled and not flambeau.cuda.is_available():
            warnings.warn("CUDA is not available or torch_xla is imported. Disabling autocast.", stacklevel=3)
            self._enabled = False
        lower = (flambeau.bfloat16, flambeau.float16)
        if self.device == "cpu" and self._enabled and self.fast_dtype not in lower:
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                "CPU Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.",
                stacklevel=3,
            )
            self._enabled = False

    def __enter__(self):
        kind = self.device
        self._outer.append(
            (state.cache_enabled, switches.is_autocast_enabled(kind), switches.get_autocast_dtype(kind))
        )
        switches._change(kind, bool(self._enabled), self.fast_dtype)
        state.nesting += 1
        state.cache_enabled = bool(self._cache_enabled)
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any):
        state.nesting -= 1
        if state.nesting == 0:
            state.cache.clear()
        state.cache_enabled, enabled, dtype = self._outer.pop()
        switches._change(self.device, enabled, dtype)
        return False

    def __call__(self, func: Callable) -> Callable:
        return autocast_decorator(self, func)


def _cast(value: Any, device_type: str, dtype: Any) -> Any:
    """A value, or the values of a collection, with float tensors of a kind of device in `dtype` (not those of float64)."""
    if isinstance(value, Tensor):
        fits = (
            value.is_floating_point()
            and value.device.type == device_type
            and value.dtype is not flambeau.float64
        )
        return value.to(dtype) if fits else value
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, Mapping):
        return {_cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        found = [_cast(v, device_type, dtype) for v in value]
        return type(value)(*found) if hasattr(value, "_make") else type(value)(found)
    return value


def custom_fwd(fwd: Callable | None = None, *, device_type: str, cast_inputs: Any | None = None) -> Callable:
    """For ``forward`` of a `torch.autograd.Function`: how it runs under autocast.

    Args:
        device_type: the kind of device that it is for.
        cast_inputs: a type for its float tensors; autocast is then off inside. None: autocast stays as it is.
    """
    _check_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorate_fwd(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        context._dtype = switches.get_autocast_dtype(device_type)
        on = switches.is_autocast_enabled(device_type)
        if cast_inputs is None or not on:
            context._fwd_used_autocast = on
            return fwd(*args, **kwargs)
        context._fwd_used_autocast = False
        with autocast(device_type=device_type, enabled=False):
            return fwd(*_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs))

    return decorate_fwd


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Callable:
    """For ``backward`` of a `torch.autograd.Function`: runs with autocast as it was in `custom_fwd`'s forward."""
    _check_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorate_bwd(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        with autocast(device_type=device_type, enabled=context._fwd_used_autocast, dtype=context._dtype):
            return bwd(*args, **kwargs)

    return decorate_bwd


def _enter_autocast(*vals: Any) -> autocast:
    region = autocast(*vals)
    region.__enter__()
    return region


def _exit_autocast(mode: autocast) -> None:
    mode.__exit__(None, None, None)
