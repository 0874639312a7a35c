"""Compilation: `flambeau.compile`, what it did (`explain`), and the names of `torch.compiler`."""

from __future__ import annotations

from .function import CompiledFunction, compile, reset
from .marks import (
    allow_in_graph,
    assume_constant_result,
    cudagraph_mark_step_begin,
    disable,
    is_compiling,
    is_dynamo_compiling,
    is_exporting,
    list_backends,
    set_enable_guard_collectives,
    set_stance,
    substitute_in_graph,
)

__all__ = [
    "CompiledFunction", "allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin", "disable",
    "is_compiling", "is_dynamo_compiling", "is_exporting", "list_backends", "reset", "set_enable_guard_collectives",
    "set_stance", "substitute_in_graph",
]  # fmt: skip
