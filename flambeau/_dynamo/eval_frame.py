"""The type of compiled modules, for programs that ask."""

from __future__ import annotations

from ..nn import Module

__all__ = ["OptimizedModule"]


class OptimizedModule(Module):
    """What PyTorch's `compile` makes of a module; nothing here is of this type."""
