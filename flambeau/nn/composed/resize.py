"""Making images larger or smaller."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau.nn import functional as F
from flambeau.ops.define import ops
from flambeau.tensor.tensor import Tensor

#: modes that interpolate, and the number of spatial dimensions that each is for
_SMOOTH = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_MODES = ("nearest", "area", "nearest-exact", *_SMOOTH)


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resizes ``(N, C, *)`` to `size`, or by `scale_factor`.

    Args:
        mode: ``"nearest"``, ``"nearest-exact"``, ``"linear"``, ``"bilinear"``, ``"bicubic"``, ``"trilinear"``
            or ``"area"`` (means).
        align_corners: whether the centres of the corner pixels, and not their outer corners, stay in place.
        recompute_scale_factor: use the ratio of the whole sizes in place of `scale_factor`.
        antialias: let each output pixel see all of the input that it covers (``bilinear`` and ``bicubic``).
    """
    if mode not in _SMOOTH:
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | "
                "bicubic | "
                "trilinear"
            )
    elif align_corners is None:
        align_corners = False
    spatial: int = input.dim() - 2
    sizes, scales = _target(input, size, scale_factor, recompute_scale_factor, spatial)
    if antialias and not (mode in ("bilinear", "bicubic") and input.ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input"
        )
    if input.dim() not in (3, 4, 5):
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported"
            f" (got {input.dim()}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
            "area | "
            f"nearest-exact (got {mode})"
        )
    if mode not in _MODES or _SMOOTH.get(mode, spatial) != spatial:
        needed = f"{_SMOOTH[mode] + 2}D" if mode in _SMOOTH else "3D, 4D or 5D"
        raise NotImplementedError(f"Got {input.dim()}D input, but {mode} mode needs {needed} input")
    _check_sizes(input, sizes)
    if mode == "area":
        return getattr(F, f"adaptive_avg_pool{spatial}d")(input, sizes)
    if (
        not input.is_floating_point()
        and mode in _SMOOTH
        and not (input.dtype is flambeau.uint8 and spatial == 2)
    ):
        raise NotImplementedError(f"\"upsample_{mode}\" not implemented for '{input.dtype}'")
    if input.is_floating_point():
        axes = tuple(
            (
                old,
                new,
                scale,
                "nearest-3d" if mode == "nearest" and spatial == 3 else mode,
                bool(align_corners),
                antialias,
            )
            for old, new, scale in zip(input.shape[2:], sizes, scales)
        )
        return ops.resample(input, axes, False)
    if mode in _SMOOTH:
        return _bytes(input, sizes, scales, (mode, bool(align_corners), antialias))
    for dim, (length, scale) in enumerate(zip(sizes, scales), start=2):
        input = input.index_select(
            dim, _nearest(input.shape[dim], length, scale, mode, spatial, input.device)
        )
    return input


def _target(input, size, scale_factor, recompute, spatial: int) -> tuple[list[int], list[float | None]]:
    """The size of the result, and the scale of each dimension (None where it follows from the sizes)."""
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if size is not None:
        if isinstance(size, (list, tuple)):
            _check_count(input, size, spatial, "output size", "output size in (o1, o2, ...,oK)")
            if not all(isinstance(n, int) for n in size):
                raise TypeError(
                    "expected size to be one of int or Tuple[int] or Tuple[int, int] or "
                    f"Tuple[int, int, int], but got size with types {[type(n) for n in size]}"
                )
            sizes = list(size)
        else:
            sizes = [int(size)] * spatial
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return sizes, [None] * spatial
    if isinstance(scale_factor, (list, tuple)):
        _check_count(input, scale_factor, spatial, "scale_factor", "scale_factor in (s1, s2, ...,sK)")
        scales: list[Any] = list(scale_factor)
    else:
        scales = [float(scale_factor)] * spatial
    sizes = [math.floor(float(n) * s) for n, s in zip(input.shape[2:], scales)]
    return sizes, [None] * spatial if recompute else scales


def _check_count(input, values, spatial: int, what: str, form: str) -> None:
    if len(values) != spatial:
        raise ValueError(
            f"Input and {what} must have the same number of spatial dimensions, but got input with "
            "spatial dimensions "
            f"of {list(input.shape[2:])} and {what} of {values}. Please provide input tensor in (N, C, "
            "d1, d2, "
            f"...,dK) format and {form} format."
        )


def _check_sizes(input: Tensor, sizes: list[int]) -> None:
    if any(n <= 0 for n in (*input.shape[2:], *sizes)):
        given, wanted = (
            "(" + ", ".join(f"{name}: {n}" for name, n in zip("DHW"[3 - len(sizes) :], each)) + ")"
            for each in (input.shape[2:], sizes)
        )
        joint = " and" if len(sizes) == 1 else ""
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {given}{joint} output {wanted}"
        )
    if input.shape[1] == 0:
        raise RuntimeError(
            "Non-empty data tensor expected but got a tensor with sizes " + str(list(input.shape))
        )


def _bytes(input: Tensor, sizes: list[int], scales: list[float | None], how: tuple) -> Tensor:
    """Resizes an image of bytes: rows, then columns, each rounded to bytes."""
    result = input.to(flambeau.float32)
    height, width = input.shape[2:]
    stay = (height, height, None, "nearest", False, False)
    for axes in (
        (stay, (width, sizes[1], scales[1], *how, True)),
        ((height, sizes[0], scales[0], *how, True), (sizes[1], sizes[1], None, "nearest", False, False)),
    ):
        result = (ops.resample(result, axes, False) + 0.5).floor().clamp(0, 255)
    return result.to(flambeau.uint8)


def _nearest(old: int, new: int, scale: float | None, mode: str, spatial: int, device: Any) -> Tensor:
    """Which neighbour each element of the result takes."""
    if mode == "nearest" and spatial < 3 and new in (old, 2 * old):  # whatever the scale says
        return flambeau.arange(new, device=device) // (new // old)
    # float32, as the operator is defined: the last bit decides which neighbour is taken
    ratio = 1.0 / scale if scale is not None and scale > 0 else old / new
    step = flambeau.tensor(ratio, dtype=flambeau.float32, device=device)
    place = flambeau.arange(new, dtype=flambeau.float32, device=device)
    place = (place + 0.5) * step if mode == "nearest-exact" else place * step
    return place.floor().to(flambeau.int64).clamp(max=old - 1)


def upsample(
    input: Tensor, size=None, scale_factor=None, mode: str = "nearest", align_corners=None
) -> Tensor:
    """The deprecated name of `interpolate`."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size=None, scale_factor=None) -> Tensor:
    """The deprecated name of `interpolate` in the mode ``"nearest"``."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size=None, scale_factor=None) -> Tensor:
    """The deprecated name of `interpolate` in the mode ``"bilinear"`` with aligned corners."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
