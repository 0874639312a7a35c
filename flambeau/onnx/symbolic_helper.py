"""Decorators of functions that write operators in ONNX: they give their function."""

from __future__ import annotations

from typing import Any

__all__ = ["parse_args", "quantized_args"]


def parse_args(*kinds: str) -> Any:
    """A decorator that says how arguments are read."""
    return lambda function: function


def quantized_args(*which: Any, **keywords: Any) -> Any:
    """A decorator that says which arguments are quantized."""
    return lambda function: function
