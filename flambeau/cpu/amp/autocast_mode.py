"""The deprecated `autocast` of one kind of device."""

from __future__ import annotations

import warnings
from typing import Any

import flambeau

from ...amp import autocast_mode as general

__all__ = ["autocast"]


class autocast(general.autocast):
    """`torch.amp.autocast("cpu", ...)`; deprecated in favour of it."""

    def __init__(self, enabled: bool = True, dtype: Any = flambeau.bfloat16, cache_enabled: bool = True):
        warnings.warn(
            "`torch.cpu.amp.autocast(args...)` is deprecated. Please use `torch.amp.autocast('cpu', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__("cpu", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)
