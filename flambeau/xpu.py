"""Intel GPUs under `torch.xpu`'s names: none in this version."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = [
    "current_device", "device_count", "empty_cache", "get_device_name", "is_available", "is_bf16_supported",
    "is_initialized", "manual_seed", "manual_seed_all", "max_memory_allocated", "memory_allocated", "set_device",
    "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether there is such a GPU."""
    return False


def is_initialized() -> bool:
    """Whether one is in use."""
    return False


def device_count() -> int:
    """How many there are."""
    return 0


def empty_cache() -> None:
    """Give unused memory back."""


def manual_seed(seed: int) -> None:
    """Seed the GPU in use."""


def manual_seed_all(seed: int) -> None:
    """Seed all GPUs."""


def _unavailable() -> NoReturn:
    raise AssertionError("Torch not compiled with XPU enabled")


def synchronize(device: Any = None) -> None:
    """Wait for the GPU."""
    _unavailable()


def current_device() -> int:
    """Index of the GPU in use."""
    _unavailable()


def set_device(device: Any) -> None:
    """Choose the GPU to use."""
    _unavailable()


def get_device_name(device: Any = None) -> str:
    """Name of a GPU."""
    _unavailable()


def is_bf16_supported() -> bool:
    """Whether the GPU computes with bfloat16."""
    return False


def memory_allocated(device: Any = None) -> int:
    """Bytes of GPU memory in use."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """Most bytes of GPU memory in use so far."""
    return 0
