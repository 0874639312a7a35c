"""compile: run a function's operators together."""

from __future__ import annotations

import functools

from .marks import (  # the names that libraries take from `torch.compiler`
    allow_in_graph, assume_constant_result, cudagraph_mark_step_begin, disable, is_compiling, is_dynamo_compiling,
    is_exporting, list_backends, reset, set_enable_guard_collectives, set_stance, substitute_in_graph,
)  # fmt: skip
from ..backend.cpu import planning as _planning, recording


def compile(fn):
    root = recording.Root()

    @functools.wraps(fn)
    def call(*args, **kwargs):
        if not recording.begin(root):
            return fn(*args, **kwargs)
        try:
            return fn(*args, **kwargs)
        finally:
            recording.end()

    call.root = root
    return call
