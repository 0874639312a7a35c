"""Marks for NVIDIA's profiler: there is no GPU, so nothing is marked."""

from __future__ import annotations

import contextlib
from typing import NoReturn

__all__ = ["mark", "range", "range_pop", "range_push"]


def _unavailable() -> NoReturn:
    raise RuntimeError("NVTX functions not installed. Are you sure you have a CUDA build?")


def range_push(msg: str) -> int:
    """Begin a named range."""
    _unavailable()


def range_pop() -> int:
    """End the last range."""
    _unavailable()


def mark(msg: str) -> None:
    """Mark an instant."""
    _unavailable()


@contextlib.contextmanager
def range(msg: str, *args: object, **kwargs: object):
    """A named range around a block."""
    range_push(msg.format(*args, **kwargs))
    try:
        yield
    finally:
        range_pop()
