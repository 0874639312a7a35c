"""Questions that libraries ask of PyTorch's tracer."""

from __future__ import annotations

from typing import Any

__all__ = ["is_compile_supported"]


def is_compile_supported(device_type: Any) -> bool:
    """Whether code for a device can be traced: nothing is."""
    return False
