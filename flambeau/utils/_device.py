"""The mode behind ``with torch.device(...)``."""

from __future__ import annotations

from typing import Any

from ..base.device import device as Device

__all__ = ["DeviceContext"]


class DeviceContext:
    """Within it, new tensors are made on a device."""

    def __init__(self, device: Any):
        self.device = Device(device)

    def __enter__(self):
        self.device.__enter__()
        return self

    def __exit__(self, *exc: Any):
        return self.device.__exit__(*exc)
