"""The names of PyTorch's tracer that libraries touch. Nothing is traced here: marks and switches have no effect."""

from __future__ import annotations

from typing import Any

from ..compiler.marks import (
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    list_backends,
    substitute_in_graph,
)  # fmt: skip
from . import config, utils
from .eval_frame import OptimizedModule

__all__ = [
    "OptimizedModule", "allow_in_graph", "assume_constant_result", "config", "disable", "disallow_in_graph",
    "forbid_in_graph", "graph_break", "is_compiling", "list_backends", "mark_dynamic", "mark_static",
    "mark_static_address", "maybe_mark_dynamic", "optimize", "reset", "run", "substitute_in_graph", "utils",
]  # fmt: skip


def reset() -> None:
    """Forget what was compiled."""
    from .. import compiler

    compiler.reset()


def _given(fn: Any) -> Any:
    return fn


disallow_in_graph = forbid_in_graph = run = _given


def graph_break(msg: str = "") -> None:
    """End the graph here: there is none."""


def mark_dynamic(t: Any, index: Any, **keywords: Any) -> None:
    """Say that a size will vary: sizes are run-time values anyway."""


def maybe_mark_dynamic(t: Any, index: Any) -> None:
    """Say that a size may vary."""


def mark_static(t: Any, index: Any = None) -> None:
    """Say that a size will not vary."""


def mark_static_address(t: Any, guard: bool = True) -> None:
    """Say that a tensor stays where it is."""


def optimize(*arguments: Any, **keywords: Any):
    """A decorator that gives its function."""
    return _given
