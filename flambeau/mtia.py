"""Meta's accelerators under `torch.mtia`'s names: none in this version."""

from __future__ import annotations

from typing import Any

__all__ = ["device_count", "empty_cache", "is_available", "is_initialized", "manual_seed", "manual_seed_all"]


def is_available() -> bool:
    """Whether there is such an accelerator."""
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
    """Seed the accelerator."""


def manual_seed_all(seed: int) -> None:
    """Seed all of them."""


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Statistics of the accelerator's memory."""
    return {}
