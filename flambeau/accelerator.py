"""The machine's accelerator under `torch.accelerator`'s names: none in this version."""

from __future__ import annotations

from typing import Any

from .base.device import device as Device

__all__ = [
    "current_accelerator", "current_device_index", "device_count", "empty_cache", "is_available", "memory_allocated",
    "set_device_index", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether there is an accelerator."""
    return False


def device_count() -> int:
    """How many accelerators there are."""
    return 0


def current_accelerator(check_available: bool = False) -> Device | None:
    """The accelerator, or None."""
    return None


def _unavailable() -> None:
    raise RuntimeError("Cannot access accelerator device when none is available.")


def current_device_index() -> int:
    """Index of the accelerator in use."""
    _unavailable()
    return -1


def set_device_index(device: Any) -> None:
    """Choose the accelerator to use."""
    _unavailable()


def synchronize(device: Any = None) -> None:
    """Wait for the accelerator."""
    _unavailable()


def empty_cache() -> None:
    """Give unused memory back to the accelerator."""


def memory_allocated(device: Any = None) -> int:
    """Bytes of the accelerator's memory in use."""
    return 0
