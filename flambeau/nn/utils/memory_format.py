"""Changing the order of the weights of convolutions in memory."""

from __future__ import annotations

from typing import Any, TypeVar

from flambeau.nn.modules.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]

Any_module = TypeVar("Any_module")


def _convert(module: Any, memory_format: Any, kinds: tuple) -> Any:
    if isinstance(module, kinds):
        module.weight.data = module.weight.detach().clone(memory_format=memory_format)
    for child in module.children():
        _convert(child, memory_format, kinds)
    return module


def convert_conv2d_weight_memory_format(module: Any_module, memory_format: Any) -> Any_module:
    """Puts the weights of all two-dimensional convolutions in the given memory format."""
    return _convert(module, memory_format, (Conv2d, ConvTranspose2d))


def convert_conv3d_weight_memory_format(module: Any_module, memory_format: Any) -> Any_module:
    """Puts the weights of all three-dimensional convolutions in the given memory format."""
    return _convert(module, memory_format, (Conv3d, ConvTranspose3d))
