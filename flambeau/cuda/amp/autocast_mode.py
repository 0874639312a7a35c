"""The deprecated `autocast` of one kind of device."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import flambeau

from ...amp import autocast_mode as general

__all__ = ["autocast", "custom_bwd", "custom_fwd"]


class autocast(general.autocast):
    """`torch.amp.autocast("cuda", ...)`; deprecated in favour of it."""

    def __init__(self, enabled: bool = True, dtype: Any = flambeau.float16, cache_enabled: bool = True):
        warnings.warn(
            "`torch.cuda.amp.autocast(args...)` is deprecated. Please use `torch.amp.autocast('cuda', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


def _cast(value: Any, dtype: Any) -> Any:
    return general._cast(value, "cuda", dtype)


def _old(name: str) -> None:
    warnings.warn(
        f"`torch.cuda.amp.{name}(args...)` is deprecated. Please use `torch.amp.{name}(args..., device_type='cuda')` "
        "instead.",
        FutureWarning,
        stacklevel=3,
    )


def custom_fwd(fwd: Callable | None = None, *, cast_inputs: Any = None) -> Callable:
    """`torch.amp.custom_fwd(..., device_type="cuda")`; deprecated in favour of it."""
    _old("custom_fwd")
    return functools.partial(general.custom_fwd, device_type="cuda")(fwd=fwd, cast_inputs=cast_inputs)


def custom_bwd(bwd: Callable) -> Callable:
    """`torch.amp.custom_bwd(..., device_type="cuda")`; deprecated in favour of it."""
    _old("custom_bwd")
    return functools.partial(general.custom_bwd, device_type="cuda")(bwd)
