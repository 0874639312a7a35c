"""Switches of PyTorch's tracer that programs set; none is read. The module itself takes them as attributes."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

suppress_errors = verbose = optimize_ddp = capture_scalar_outputs = capture_dynamic_output_shape_ops = False
automatic_dynamic_shapes = assume_static_by_default = inline_inbuilt_nn_modules = True
cache_size_limit = recompile_limit = 8
accumulated_cache_size_limit = 256


@contextlib.contextmanager
def patch(*changes: Any, **values: Any):
    """Within it, switches have other values."""
    module = sys.modules[__name__].__dict__
    values = {**(changes[0] if changes and isinstance(changes[0], dict) else {}), **values}
    if len(changes) == 2:
        values[changes[0]] = changes[1]
    before = {name: module[name] for name in values if name in module}
    module.update(values)
    try:
        yield
    finally:
        for name in values:
            module.pop(name, None)
        module.update(before)
