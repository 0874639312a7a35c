"""Cutting images into windows and adding windows up to images."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.base.errors import require
from flambeau.nn.modules.utils import _pair
from flambeau.ops.define import ops
from flambeau.tensor.tensor import Tensor


def _geometry(kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> list[tuple[int, int]]:
    """The four arguments as pairs, checked."""
    pairs = [_pair(value) for value in (kernel_size, dilation, padding, stride)]
    for name, pair in zip(("kernel_size", "dilation", "padding", "stride"), pairs):
        require(len(pair) == 2, f"It is expected {name} equals to 2, but got size {len(pair)}")
    kernel, dilate, pad, step = pairs
    require(min(kernel) > 0, f"kernel size should be greater than zero, but got kernel_height: {kernel[0]} "
                             f"kernel_width: {kernel[1]}")  # fmt: skip
    require(min(dilate) > 0, f"dilation should be greater than zero, but got dilation_height: {dilate[0]} "
                             f"dilation_width: {dilate[1]}")  # fmt: skip
    require(
        min(pad) >= 0, f"padding should be non-negative, but got pad_height: {pad[0]} pad_width: {pad[1]}"
    )
    require(min(step) > 0, f"stride should be greater than zero, but got stride_height: {step[0]} "
                           f"stride_width: {step[1]}")  # fmt: skip
    return pairs


def _blocks(size, kernel, dilate, pad, step) -> tuple[int, int]:
    """How many windows there are down and across."""
    return tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(size, kernel, dilate, pad, step)
    )


def unfold(input: Tensor, kernel_size, dilation=1, padding=0, stride=1) -> Tensor:
    """Cuts images into windows, as columns.

    Shape: ``(N, C, H, W) -> (N, C prod(kernel_size), L)``, or both without N.
    """
    kernel, dilate, pad, step = _geometry(kernel_size, dilation, padding, stride)
    require(
        input.dim() in (3, 4) and 0 not in input.shape[-3:],
        "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions "
        "for input, "
        f"but got: {list(input.shape)}",
    )
    size = input.shape[-2:]
    down, across = _blocks(size, kernel, dilate, pad, step)
    require(
        down >= 1 and across >= 1,
        f"Given input with spatial size ({size[0]}, {size[1]}), kernel_size={kernel}, dilation={dilate}, "
        f"padding={pad}, calculated shape of the array of sliding blocks as ({down}, {across}), but its "
        "components "
        "must be at least one.",
    )
    image = input if input.dim() == 4 else input.unsqueeze(0)
    if image.is_floating_point():
        columns = ops.cut_windows(image, kernel, dilate, pad, step, (down, across))
        return columns if input.dim() == 4 else columns.squeeze(0)
    if any(pad):
        image = flambeau.nn.functional.pad(image, (pad[1], pad[1], pad[0], pad[0]))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilate)]
    windows = image.unfold(2, spans[0], step[0]).unfold(3, spans[1], step[1])  # (N, C, down, across, *spans)
    windows = windows[..., :: dilate[0], :: dilate[1]]
    columns = windows.permute(0, 1, 4, 5, 2, 3).reshape(
        image.shape[0], image.shape[1] * kernel[0] * kernel[1], down * across
    )
    return columns if input.dim() == 4 else columns.squeeze(0)


def fold(input: Tensor, output_size, kernel_size, dilation=1, padding=0, stride=1) -> Tensor:
    """Adds windows, given as columns, up to images; the adjoint of `unfold`.

    Shape: ``(N, C prod(kernel_size), L) -> (N, C, *output_size)``, or both without N.
    """
    kernel, dilate, pad, step = _geometry(kernel_size, dilation, padding, stride)
    size = _pair(output_size)
    require(len(size) == 2, f"It is expected output_size equals to 2, but got size {len(size)}")
    require(
        input.dim() in (2, 3) and 0 not in input.shape[-2:],
        "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero "
        "dimensions for "
        f"input, but got: {list(input.shape)}",
    )
    area = kernel[0] * kernel[1]
    rows, length = input.shape[-2:]
    require(
        rows % area == 0,
        "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
        f"input.size(1)={rows} and kernel_size={kernel}.",
    )
    down, across = _blocks(size, kernel, dilate, pad, step)
    require(
        down >= 1 and across >= 1 and down * across == length,
        f"Given output_size={size}, kernel_size={kernel}, dilation={dilate}, padding={pad}, "
        f"stride={step}, expected "
        f"size of input's dimension 2 to match the calculated number of sliding blocks {down} * {across} = "
        f"{down * across}, but got input.size(2)={length}.",
    )
    if input.is_floating_point():
        columns = input if input.dim() == 3 else input.unsqueeze(0)
        image = ops.add_windows(columns, size, kernel, dilate, pad, step, (down, across))
        return image if input.dim() == 3 else image.squeeze(0)
    whole = [n + 2 * p for n, p in zip(size, pad)]
    at = _places(kernel, dilate, step, (down, across), whole[1], input.device)
    columns = input if input.dim() == 3 else input.unsqueeze(0)
    batch, channels = columns.shape[0], rows // area
    flat = columns.reshape(batch * channels, area * length)
    image = flat.new_zeros((batch * channels, whole[0] * whole[1])).index_add(1, at, flat)
    image = image.view(batch, channels, *whole)[:, :, pad[0] : pad[0] + size[0], pad[1] : pad[1] + size[1]]
    return image if input.dim() == 3 else image.squeeze(0)


def _places(kernel, dilate, step, blocks, width: int, device) -> Tensor:
    """Where in the (padded, flat) image each element of the columns of one channel belongs."""
    rows, columns = (
        flambeau.arange(k, device=device).mul(d).view(-1, 1) + flambeau.arange(b, device=device).mul(s)
        for k, d, s, b in zip(kernel, dilate, step, blocks)
    )
    return (rows.view(kernel[0], 1, blocks[0], 1) * width + columns.view(1, kernel[1], 1, blocks[1])).reshape(
        -1
    )
