"""The names of PyTorch's tracer that libraries touch. Nothing is traced here: marks and switches have no effect."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..compiler.marks import (
    allow_in_graph, assume_constant_result, disable, is_compiling, list_backends, reset, substitute_in_graph,
)  # fmt: skip
from .eval_frame import OptimizedModule

__all__ = [
    "OptimizedModule", "allow_in_graph", "assume_constant_result", "config", "disable", "disallow_in_graph",
    "forbid_in_graph", "graph_break", "is_compiling", "list_backends", "mark_dynamic", "mark_static",
    "mark_static_address", "maybe_mark_dynamic", "optimize", "reset", "run", "substitute_in_graph",
]  # fmt: skip


class _Config(SimpleNamespace):
    """Switches that programs set; none is read."""

    def patch(self, *changes: Any, **values: Any):
        """Within it, switches have other values."""
        from unittest.mock import patch

        values |= changes[0] if changes and isinstance(changes[0], dict) else {}
        for name in values:
            if not hasattr(self, name):
                setattr(self, name, None)
        return patch.multiple(self, **values)


config = _Config(
    suppress_errors=False, cache_size_limit=8, recompile_limit=8, verbose=False, optimize_ddp=False,
    capture_scalar_outputs=False, capture_dynamic_output_shape_ops=False, automatic_dynamic_shapes=True,
    assume_static_by_default=True, inline_inbuilt_nn_modules=True, accumulated_cache_size_limit=256,
)  # fmt: skip


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
