"""Rearrangements of channels and pixels."""

from __future__ import annotations

import flambeau
from flambeau.base.errors import require
from flambeau.ops.define import ops
from flambeau.tensor.tensor import Tensor


def _rearranged(input: Tensor, factor: int, back: bool) -> Tensor:
    """By the native operator, with channels last where the input has them."""
    result = ops.shuffle_pixels(input, factor, back)
    last = flambeau.channels_last
    if input.dim() == 4 and not input.is_contiguous() and input.is_contiguous(memory_format=last):
        return result.contiguous(memory_format=last)
    return result


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """``(*, C r², H, W) -> (*, C, H r, W r)`` with r = `upscale_factor`.

    Source: Shi et al., arXiv:1609.05158.
    """
    r = upscale_factor
    require(
        input.dim() >= 3,
        "pixel_shuffle expects input to have at least 3 dimensions, but got input with "
        f"{input.dim()} dimension(s)",
    )
    require(r > 0, f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    require(
        channels % (r * r) == 0,
        "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
        "upscale_factor, "
        f"but input.size(-3)={channels} is not divisible by {r * r}",
    )
    if input.dtype.itemsize <= 8:
        return _rearranged(input, r, False)
    n = len(lead)
    split = input.reshape(*lead, channels // (r * r), r, r, height, width)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return split.permute(order).reshape(*lead, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """``(*, C, H r, W r) -> (*, C r², H, W)`` with r = `downscale_factor`; undoes `pixel_shuffle`."""
    r = downscale_factor
    require(
        input.dim() >= 3,
        "pixel_unshuffle expects input to have at least 3 dimensions, but got input with "
        f"{input.dim()} dimension(s)",
    )
    require(r > 0, f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    for name, size, at in (("height", height, -2), ("width", width, -1)):
        require(
            size % r == 0,
            f"pixel_unshuffle expects {name} to be divisible by downscale_factor, "
            f"but input.size({at})={size} is not divisible by {r}",
        )
    if input.dtype.itemsize <= 8:
        return _rearranged(input, r, True)
    n = len(lead)
    split = input.reshape(*lead, channels, height // r, r, width // r, r)
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return split.permute(order).reshape(*lead, channels * r * r, height // r, width // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Deals the channels of ``(N, C, *)`` out over `groups`, as ``(groups, C / groups)`` transposed."""
    require(
        input.dim() > 2,
        f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}",
    )
    channels = input.shape[1]
    require(groups > 0, f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    require(
        channels % groups == 0,
        f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups.",
    )
    split = input.reshape(input.shape[0], groups, channels // groups, -1)
    return split.transpose(1, 2).reshape(input.shape)


native_channel_shuffle = channel_shuffle
