"""Apple GPUs under `torch.mps`' names: none in this version."""

from __future__ import annotations

__all__ = [
    "current_allocated_memory", "device_count", "driver_allocated_memory", "empty_cache", "is_available", "manual_seed",
    "seed", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether there is such a GPU."""
    return False


def device_count() -> int:
    """How many there are."""
    return 0


def empty_cache() -> None:
    """Give unused memory back."""


def manual_seed(seed: int) -> None:
    """Seed the GPU."""


def seed() -> None:
    """Seed the GPU from the system."""


def synchronize() -> None:
    """Wait for the GPU."""
    raise AssertionError("Torch not compiled with MPS enabled")


def current_allocated_memory() -> int:
    """Bytes of GPU memory in use."""
    return 0


def driver_allocated_memory() -> int:
    """Bytes of GPU memory held."""
    return 0
