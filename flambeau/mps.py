"""Apple GPUs under `torch.mps`' names: none in this version."""

from __future__ import annotations

__all__ = ["device_count", "empty_cache", "is_available", "manual_seed", "seed"]


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
