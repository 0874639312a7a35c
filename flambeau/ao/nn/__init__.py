"""Modules around quantization."""

from . import quantized

__all__ = ["quantized"]
