"""The deprecated `GradScaler` of one kind of device."""

from __future__ import annotations

import warnings

from ...amp import grad_scaler as general

__all__ = ["GradScaler"]


class GradScaler(general.GradScaler):
    """`torch.amp.GradScaler("cuda", ...)`; deprecated in favour of it."""

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        warnings.warn(
            "`torch.cuda.amp.GradScaler(args...)` is deprecated. Please use `torch.amp.GradScaler('cuda', args...)` "
            "instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
