"""Page-locked memory, under PyTorch's name for the module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["pin_memory"]


def pin_memory(data: Any, device: Any = None) -> Any:
    """`data` with ``pin_memory()`` called on everything in it that has it: tensors, and a user's own batches."""
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, Mapping):
        return type(data)({key: pin_memory(value, device) for key, value in data.items()})  # type: ignore[call-arg]
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(pin_memory(value, device) for value in data))
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        kind = list if isinstance(data, tuple) else type(data)
        return kind(pin_memory(value, device) for value in data)  # type: ignore[call-arg]
    return data
