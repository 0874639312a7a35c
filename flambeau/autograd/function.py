"""Operators with a derivative of your own, under PyTorch's module name."""

from __future__ import annotations

from ..tensor.function import BackwardNode as BackwardCFunction
from ..tensor.function import Function, FunctionContext, InplaceFunction, once_differentiable

FunctionCtx = FunctionContext

__all__ = ["BackwardCFunction", "Function", "FunctionCtx", "InplaceFunction", "once_differentiable"]
