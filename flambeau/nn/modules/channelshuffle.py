"""`ChannelShuffle` under the name of PyTorch's module."""

from .pixelshuffle import ChannelShuffle

__all__ = ["ChannelShuffle"]
