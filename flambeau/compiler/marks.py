"""`torch.compiler`'s questions and marks.

A compiled function's Python runs on every call, so what would keep a function out of compiled code has nothing to do.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

__all__ = [
    "allow_in_graph", "assume_constant_result", "cudagraph_mark_step_begin", "disable", "is_compiling",
    "is_dynamo_compiling", "is_exporting", "list_backends", "set_enable_guard_collectives", "set_stance",
    "substitute_in_graph",
]  # fmt: skip


def is_compiling() -> bool:
    """Whether a compiled function is running."""
    recording = sys.modules.get("flambeau.backend.cpu.recording")
    return recording is not None and recording.active()


def is_dynamo_compiling() -> bool:
    """Whether a compiled function is running."""
    return is_compiling()


def is_exporting() -> bool:
    """Whether the program is being exported."""
    return False


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function itself, or a decorator that gives it."""
    return (lambda given: given) if fn is None else fn


def allow_in_graph(fn: Any) -> Any:
    """The function itself."""
    return fn


def assume_constant_result(fn: Any) -> Any:
    """The function itself."""
    return fn


def substitute_in_graph(original_fn: Callable, **keywords: Any) -> Callable:
    """A decorator that gives its function: the original is what runs."""
    return lambda given: given


def cudagraph_mark_step_begin() -> None:
    """Mark a new iteration for CUDA graphs: there are none."""


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """Names that `compile` takes as its `backend`."""
    return ["inductor"]


class set_stance(contextlib.ContextDecorator):
    """Whether and how code is compiled, from now on or within a block: nothing changes."""

    def __init__(
        self,
        stance: str = "default",
        *,
        skip_guard_eval_unsafe: bool = False,
        force_backend: Any = None,
    ):
        known = (
            "default",
            "eager_then_compile",
            "aot_eager_then_compile",
            "force_eager",
            "eager_on_recompile",
            "fail_on_recompile",
        )
        if stance not in known:
            raise RuntimeError(f"invalid torch.compile stance '{stance}', must be one of {known}")
        self.stance = stance

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False


def set_enable_guard_collectives(enabled: bool) -> bool:
    """Kept for programs that set it; gives the value before."""
    return False
