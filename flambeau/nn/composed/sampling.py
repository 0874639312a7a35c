"""Reading images at any positions: spatial transformers. Source: Jaderberg et al., arXiv:1506.02025."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau.base.errors import require
from flambeau.ops.define import ops
from flambeau.ops.vision import COMPOSED
from flambeau.tensor.tensor import Tensor

#: elements of a plane that the native operator can number
_MOST = 1 << 31
_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The positions at which `grid_sample` reads for an affine map of images or volumes of shape `size`.

    Shape: ``(N, 2, 3) -> (N, H, W, 2)``, or ``(N, 3, 4) -> (N, D, H, W, 3)``.
    """
    if align_corners is None:
        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since "
            "1.3.0. Please "
            "specify align_corners=True if the old behavior is desired. See the documentation of "
            "grid_sample for "
            "details.",
            stacklevel=2,
        )
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    spatial = len(size) - 2
    if spatial not in (1, 2, 3) or spatial == 1:
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. "
            f"Got size {list(size)}."
        )
    if theta.dim() != 3 or tuple(theta.shape[-2:]) != (spatial, spatial + 1):
        raise ValueError(
            f"Expected a batch of {spatial}D affine matrices of shape Nx{spatial}x{spatial + 1} for size "
            f"{list(size)}. Got {list(theta.shape)}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {list(size)}")
    axes = [_centres(n, align_corners, theta) for n in size[2:]]
    grids = flambeau.meshgrid(*axes, indexing="ij")
    base = flambeau.stack([*reversed(grids), flambeau.ones_like(grids[0])], -1)  # x first
    points = base.reshape(1, -1, spatial + 1) @ theta.transpose(1, 2)
    return points.view(size[0], *size[2:], spatial)


def _centres(count: int, align_corners: bool, like: Tensor) -> Tensor:
    """Positions from -1 to 1 of the centres of pixels; without `align_corners` the ends are pixel borders."""
    if count <= 1:
        return flambeau.zeros(1, dtype=like.dtype, device=like.device)
    places = flambeau.linspace(-1, 1, count, dtype=like.dtype, device=like.device)
    return places if align_corners else places * ((count - 1) / count)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Reads an image at the positions of `grid`, whose components run from -1 to 1, x first.

    Args:
        mode: ``"bilinear"``, ``"nearest"`` or (images only) ``"bicubic"``.
        padding_mode: what is read outside: ``"zeros"``, ``"border"`` or ``"reflection"``.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer corners.

    Shape: ``(N, C, H, W), (N, H_out, W_out, 2) -> (N, C, H_out, W_out)``, likewise with three dimensions.
    """
    if mode not in _MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but "
            f"got: '{mode}'"
        )
    if padding_mode not in _PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            "'reflection', but got: "
            f"'{padding_mode}'"
        )
    if align_corners is None:
        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since "
            "1.3.0. Please "
            "specify align_corners=True if the old behavior is desired. See the documentation of "
            "grid_sample for "
            "details.",
            stacklevel=2,
        )
        align_corners = False
    _check(input, grid, mode)
    if input.device.type != "cpu" or math.prod(input.shape[2:]) >= _MOST:
        return _composed(input, grid, mode, padding_mode, bool(align_corners))
    return ops.sample_at(input, grid, mode, padding_mode, bool(align_corners))


def _composed(input: Tensor, grid: Tensor, mode: str, padding_mode: str, align_corners: bool) -> Tensor:
    """The same in terms of operators that have second derivatives."""
    sizes = list(input.shape[2:])
    # Components in the order of the dimensions, in pixels.
    places = [_to_pixels(grid[..., -1 - k], n, align_corners) for k, n in enumerate(sizes)]
    if mode == "bicubic":
        return _bicubic(input, places, padding_mode, align_corners)
    places = [_fold_back(p, n, padding_mode, align_corners) for p, n in zip(places, sizes)]
    if mode == "nearest":
        return _read(input, [p.round() for p in places], padding_mode)
    result: Any = None
    lows = [p.detach().floor() for p in places]
    for corner in itertools.product((0, 1), repeat=len(sizes)):
        weight = None
        for place, low, up in zip(places, lows, corner):
            share = place - low if up else low + 1 - place
            weight = share if weight is None else weight * share
        part = _read(input, [low + up for low, up in zip(lows, corner)], padding_mode) * weight.unsqueeze(1)
        result = part if result is None else result + part
    return result


def _gradients(g, input, grid, mode: str, padding_mode: str, align_corners: bool, wanted) -> list:
    """Gradients of `grid_sample` as part of a graph."""
    result = _composed(input, grid, mode, padding_mode, align_corners)
    targets = [one for one, needed in zip((input, grid), wanted) if needed]
    found = flambeau.autograd.grad(result, targets, g, create_graph=True, allow_unused=True)
    return [one if one is not None else flambeau.zeros_like(t) for one, t in zip(found, targets)]


COMPOSED.append(_gradients)


def _check(input: Tensor, grid: Tensor, mode: str) -> None:
    require(
        input.dtype == grid.dtype,
        f"grid_sampler(): expected input and grid to have same dtype, but input has {input.dtype} and "
        "grid has "
        f"{grid.dtype}",
    )
    require(
        input.dim() in (4, 5) and input.dim() == grid.dim(),
        "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input "
        "with sizes "
        f"{list(input.shape)} and grid with sizes {list(grid.shape)}",
    )
    require(
        input.shape[0] == grid.shape[0],
        "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
        f"{list(input.shape)} and grid with sizes {list(grid.shape)}",
    )
    spatial = input.dim() - 2
    require(
        grid.shape[-1] == spatial,
        f"grid_sampler(): expected grid to have size {spatial} in last dimension, but got grid with sizes "
        f"{list(grid.shape)}",
    )
    require(
        all(input.shape[2:]),
        "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
        f"{list(input.shape)} with dimension being empty",
    )
    require(
        not (mode == "bicubic" and spatial == 3),
        "grid_sampler(): bicubic interpolation only supports 4D input",
    )


def _to_pixels(place: Tensor, count: int, align_corners: bool) -> Tensor:
    if align_corners:
        return (place + 1) / 2 * (count - 1)
    return ((place + 1) * count - 1) / 2


def _fold_back(place: Tensor, count: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Brings positions outside of the image to its border, or mirrors them at it."""
    if padding_mode == "border":
        return place.clamp(0, count - 1)
    if padding_mode == "reflection":
        low, span = (0.0, count - 1.0) if align_corners else (-0.5, float(count))
        if span == 0:
            return flambeau.zeros_like(place)
        offset = (place - low).abs()
        flips = (offset.detach() / span).floor()
        rest = offset - flips * span
        mirrored = flambeau.where(flips % 2 == 0, rest + low, span - rest + low)
        return mirrored.clamp(0, count - 1)
    return place


def _read(input: Tensor, places: list[Tensor], padding_mode: str) -> Tensor:
    """The pixels at whole positions; zeros outside."""
    batch, channels, *sizes = input.shape
    inside = None
    flat = None
    for place, count in zip(places, sizes):
        fits = (place >= 0) & (place <= count - 1)
        inside = fits if inside is None else inside & fits
        index = place.detach().nan_to_num(-1, -1, -1).clamp(0, count - 1).to(flambeau.int64)
        flat = index if flat is None else flat * count + index
    shape = flat.shape[1:]
    at = flat.reshape(batch, 1, -1).expand(batch, channels, -1)
    values = input.reshape(batch, channels, -1).gather(2, at).view(batch, channels, *shape)
    return values * inside.unsqueeze(1).to(values.dtype)


def _cubic_weights(share: Tensor) -> list[Tensor]:
    """Keys' kernel with a = -0.75 at the four neighbours."""
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(share + 1), near(share), near(1 - share), far(2 - share)]


def _bicubic(input: Tensor, places: list[Tensor], padding_mode: str, align_corners: bool) -> Tensor:
    lows = [p.detach().floor() for p in places]
    weights = [_cubic_weights(p - low) for p, low in zip(places, lows)]
    result: Any = None
    for i, j in itertools.product(range(4), repeat=2):
        at = [
            _fold_back(low + k - 1, n, padding_mode, align_corners)
            for low, k, n in zip(lows, (i, j), input.shape[2:])
        ]
        if padding_mode == "reflection":
            at = [p.round() for p in at]
        part = _read(input, at, padding_mode) * (weights[0][i] * weights[1][j]).unsqueeze(1)
        result = part if result is None else result + part
    return result
