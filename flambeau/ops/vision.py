"""Operators of images: resizing, reading at any position, windows, pixel shuffles."""

from __future__ import annotations

from ..base.layout import contiguous_layout
from . import define
from .conv import memory_like
from .define import op, ops
from .kinds import Opaque


@op("resample(Tensor input, any axes, bool adjoint) -> Tensor", function=False, method=False)
class Resample(Opaque):
    """Resize each dimension of ``(N, C, *)``; `adjoint` computes the gradient of that instead.

    axes: for each dimension after the second (old size, new size, scale or None, mode, align_corners,
    antialias).
    """

    algorithm = "resample.resample"

    def layouts(input, axes, adjoint):
        return memory_like((*input.shape[:2], *(axis[0 if adjoint else 1] for axis in axes)), input)

    def d_input(g, axes, adjoint):
        return ops.resample(g, axes, not adjoint)


# -- reading at any position ---------------------------------------------------------------------------------

#: grid_sample in differentiable operators, for gradients of gradients; set where the composed form is
COMPOSED: list = []


@op(
    "sample_at(Tensor input, Tensor grid, str mode, str padding_mode, bool align_corners) -> Tensor",
    function=False,
    method=False,
)
class SampleAt(Opaque):
    """The elements of ``(N, C, *)`` at the positions of `grid`, (N, *points, spatial dimensions)."""

    algorithm = "sampling.grid_sample"

    def layouts(input, grid):
        return contiguous_layout((*input.shape[:2], *grid.shape[1:-1]), input.dtype, input.device)

    def d_all(g, input, grid, mode, padding_mode, align_corners, needs):
        wanted = (needs["input"], needs["grid"])
        if define.RECORDING[0]():
            found = iter(COMPOSED[0](g, input, grid, mode, padding_mode, align_corners, wanted))
        else:
            given = ops.sample_at_backward(g, input, grid, mode, padding_mode, align_corners, wanted)
            found = iter(given if isinstance(given, tuple) else (given,))
        return tuple(next(found) if one else None for one in wanted)


@op(
    "sample_at_backward(Tensor grad, Tensor input, Tensor grid, str mode, str padding_mode, "
    "bool align_corners, any wanted) -> (Tensor, Tensor)",
    function=False, method=False,
)  # fmt: skip
class SampleAtBackward(Opaque):
    """Gradients of `sample_at` for what is `wanted` of input and grid."""

    algorithm = "sampling.grid_sample_backward"

    def layouts(input, grid, wanted):
        return [
            contiguous_layout(one.shape, one.dtype, one.device)
            for one, needed in zip((input, grid), wanted)
            if needed
        ]


# -- windows and pixels --------------------------------------------------------------------------------------


@op(
    "cut_windows(Tensor input, int[] kernel, int[] dilation, int[] padding, int[] stride, int[] blocks) "
    "-> Tensor",
    function=False,
    method=False,
)
class CutWindows(Opaque):
    """Windows of images (N, C, H, W) as columns (N, C prod(kernel), windows).

    blocks: windows down and across.
    """

    algorithm = "windows.unfold"

    def shape(input, kernel, blocks):
        return (input.shape[0], input.shape[1] * kernel[0] * kernel[1], blocks[0] * blocks[1])

    def d_input(g, input_layout, kernel, dilation, padding, stride, blocks):
        return ops.add_windows(g, input_layout.shape[2:], kernel, dilation, padding, stride, blocks)


@op(
    "add_windows(Tensor input, int[] size, int[] kernel, int[] dilation, int[] padding, int[] stride, "
    "int[] blocks) -> Tensor",
    function=False, method=False,
)  # fmt: skip
class AddWindows(Opaque):
    """Images (N, C, *size) that columns of windows add up to: the adjoint of `cut_windows`."""

    algorithm = "windows.fold"

    def shape(input, size, kernel):
        return (input.shape[0], input.shape[1] // (kernel[0] * kernel[1]), *size)

    def d_input(g, kernel, dilation, padding, stride, blocks):
        return ops.cut_windows(g, kernel, dilation, padding, stride, blocks)


@op("shuffle_pixels(Tensor input, int factor, bool back) -> Tensor", function=False, method=False)
class ShufflePixels(Opaque):
    """(*, C r², H, W) to (*, C, H r, W r) with r = `factor`, or `back`."""

    algorithm = "windows.shuffle_pixels"

    def shape(input, factor, back):
        *lead, channels, height, width = input.shape
        if back:
            return (*lead, channels * factor * factor, height // factor, width // factor)
        return (*lead, channels // (factor * factor), height * factor, width * factor)

    def d_input(g, factor, back):
        return ops.shuffle_pixels(g, factor, not back)
