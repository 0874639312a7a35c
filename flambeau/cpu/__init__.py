"""The CPU under `torch.cpu`'s names, for programs written for any device."""

from __future__ import annotations

import contextlib
from typing import Any

__all__ = [
    "current_device", "current_stream", "device_count", "is_available", "is_initialized", "set_device", "stream",
    "synchronize",
]  # fmt: skip


class Stream:
    """A queue of work: on the CPU operators run at once."""

    def __init__(self, priority: int = -1):
        pass

    def wait_stream(self, stream: Any) -> None:
        """Wait for another stream."""

    def record_event(self) -> None:
        """Mark a place in the queue."""


def is_available() -> bool:
    """Whether the CPU can be used."""
    return True


def is_initialized() -> bool:
    """Whether the CPU is in use."""
    return True


def device_count() -> int:
    """How many CPUs there are: one, whatever its cores."""
    return 1


def current_device() -> str:
    """The name of the device."""
    return "cpu"


def set_device(device: Any) -> None:
    """Choose the CPU to use."""


def synchronize(device: Any = None) -> None:
    """Wait for the CPU: operators have run when they return."""


_stream = Stream()


def current_stream(device: Any = None) -> Stream:
    """The queue that work goes to."""
    return _stream


def stream(stream: Any) -> contextlib.AbstractContextManager:
    """Within it, work goes to a stream."""
    return contextlib.nullcontext(stream)


def __getattr__(name: str) -> Any:
    if name == "amp":  # loads more than programs on one device need
        from importlib import import_module

        return import_module(f"{__name__}.amp")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
