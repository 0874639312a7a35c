"""`torch.compiler`'s questions and marks, and `compile`.

In this version programs run operator by operator, on kernels that are generated and kept; compiled code never runs, so
what would keep a function out of it has nothing to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

__all__ = [
    "allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin", "disable", "is_compiling",
    "is_dynamo_compiling", "is_exporting", "list_backends", "reset", "set_enable_guard_collectives", "set_stance",
    "substitute_in_graph",
]  # fmt: skip


def compile(
    model: Callable | None = None, *, fullgraph: bool = False, dynamic: bool | None = None,
    backend: str | Callable = "inductor", mode: str | None = None, options: dict | None = None, disable: bool = False,
) -> Any:  # fmt: skip
    """The function or module itself, which runs operator by operator in this version: same results, same speed.

    Raises: RuntimeError when both `mode` and `options` are given.

    >>> import flambeau as torch
    >>> @torch.compile
    ... def f(x):
    ...     return x + 1
    >>> f(torch.ones(1))
    tensor([2.])
    """
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    return (lambda given: given) if model is None else model


def is_compiling() -> bool:
    """Whether the program is being compiled."""
    return False


def is_dynamo_compiling() -> bool:
    """Whether the program is being compiled."""
    return False


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


def reset() -> None:
    """Forget compiled code: there is none."""


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
        known = ("default", "eager_then_compile", "aot_eager_then_compile", "force_eager", "eager_on_recompile", "fail_on_recompile")
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
