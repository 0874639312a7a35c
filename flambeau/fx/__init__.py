"""The names of `torch.fx` that libraries touch when they are imported.

Flambeau does not turn modules into graphs of Python statements. Marks for that are accepted, questions about the types
are answered (nothing is of them), and the tools themselves say what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

__all__ = ["Graph", "GraphModule", "Interpreter", "Node", "Proxy", "Tracer", "has_side_effect", "replace_pattern",
           "symbolic_trace", "wrap"]  # fmt: skip


def _no_graphs(name: str) -> NoReturn:
    raise NotImplementedError(
        f"torch.fx.{name}: Flambeau does not trace modules into graphs\n"
        "  fix     walk the model with named_modules(), and see intermediate values with register_forward_hook()"
    )


class _Absent:
    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        _no_graphs(type(self).__name__)


class Node(_Absent):
    """A statement of a graph; there are none."""


class Graph(_Absent):
    """A graph of statements; there are none."""


class GraphModule(_Absent):
    """A module made of a graph; there are none."""


class Proxy(_Absent):
    """A value while a graph is recorded; there are none."""


class Tracer(_Absent):
    """Records a graph: not supported."""


class Interpreter(_Absent):
    """Runs a graph: not supported."""


class Transformer(_Absent):
    """Rewrites a graph: not supported."""


def wrap(fn_or_name: str | Callable) -> str | Callable:
    """Mark a function as one statement of a graph: nothing changes."""
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    return fn_or_name


def has_side_effect(fn: Callable) -> Callable:
    """Mark a function that a graph must keep: nothing changes."""
    return fn


def symbolic_trace(root: Any, concrete_args: dict | None = None) -> Any:
    """Not supported."""
    _no_graphs("symbolic_trace")


def replace_pattern(gm: Any, pattern: Any, replacement: Any) -> Any:
    """Not supported."""
    _no_graphs("replace_pattern")
