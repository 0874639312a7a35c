"""Recorded sequences of work on a GPU: there is none."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["CUDAGraph", "graph", "graph_pool_handle", "is_current_stream_capturing", "make_graphed_callables"]


class CUDAGraph:
    """A recorded sequence of work on a GPU."""

    def __init__(self, keep_graph: bool = False):
        raise RuntimeError("Tried to instantiate dummy base class CUDAGraph")


class graph:
    """Within it, work on a GPU is recorded."""

    def __init__(
        self, cuda_graph: Any, pool: Any = None, stream: Any = None, capture_error_mode: str = "global"
    ):
        raise AssertionError("Torch not compiled with CUDA enabled")


def graph_pool_handle() -> NoReturn:
    """A pool of memory for graphs."""
    raise RuntimeError("Tried to instantiate dummy base class _graph_pool_handle")


def is_current_stream_capturing() -> bool:
    """Whether work is being recorded."""
    return False


def make_graphed_callables(callables: Any, sample_args: Any, *arguments: Any, **keywords: Any) -> NoReturn:
    """Functions whose work is recorded once and then repeated."""
    raise AssertionError("Torch not compiled with CUDA enabled")
