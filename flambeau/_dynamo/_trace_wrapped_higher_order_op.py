"""A mode of PyTorch's tracer in which tensors index tensors."""

from __future__ import annotations

import contextlib

__all__ = ["TransformGetItemToIndex"]


class TransformGetItemToIndex(contextlib.nullcontext):
    """Nothing changes within it: tensors index tensors anyway."""
