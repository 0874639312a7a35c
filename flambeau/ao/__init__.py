"""The names of `torch.ao` that models carry for quantization; quantized models themselves are not supported."""

from . import nn, quantization

__all__ = ["nn", "quantization"]
