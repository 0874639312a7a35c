"""Making images larger or smaller."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
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
            (old, new, scale, "nearest-3d" if mode == "nearest" and spatial == 3 else mode, bool(align_corners), antialias)
            for old, new, scale in zip(input.shape[2:], sizes, scales)
        )
        return ops.resample(input, axes, False)
    for dim, (length, scale) in enumerate(zip(sizes, scales), start=2):
        input = _along(input, dim, length, scale, mode, bool(align_corners), antialias)
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


def _along(
    input: Tensor, dim: int, length: int, scale, mode: str, align_corners: bool, antialias: bool
) -> Tensor:
    """Resizes one dimension."""
    old = input.shape[dim]
    if antialias:
        return _weighted(input, dim, _antialias_weights(old, length, scale, mode, align_corners, input))
    if mode in ("nearest", "nearest-exact"):
        if length == old and (scale is None or mode == "nearest"):
            return input.clone() if dim == 2 else input
        return input.index_select(dim, _nearest(old, length, scale, mode == "nearest-exact", input.device))
    if length == old and (align_corners or scale in (None, 1.0)):
        return input.clone() if dim == 2 else input
    positions = _positions(old, length, scale, align_corners, mode == "bicubic", input.device)
    taps = _cubic_taps if mode == "bicubic" else _linear_taps
    dtype = input.dtype if input.is_floating_point() else flambeau.float32
    shape = [1] * input.dim()
    shape[dim] = length
    result: Any = None
    for index, weight in taps(positions, old):
        part = input.index_select(dim, index).to(dtype) * weight.to(dtype).view(shape)
        result = part if result is None else result + part
    if dtype is input.dtype:
        return result
    return result.round().clamp(0, 255).to(input.dtype)


def _ratio(old: int, new: int, scale: float | None) -> float:
    """How far apart neighbours of the result lie in the input."""
    return 1.0 / scale if scale is not None and scale > 0 else old / new


def _nearest(old: int, new: int, scale: float | None, exact: bool, device: Any) -> Tensor:
    # float32, as the operator is defined: the last bit decides which neighbour is taken.
    if not exact and new == 2 * old:  # whatever the scale says
        return flambeau.arange(new, device=device) // 2
    step = flambeau.tensor(_ratio(old, new, scale), dtype=flambeau.float32, device=device)
    place = flambeau.arange(new, dtype=flambeau.float32, device=device)
    place = (place + 0.5) * step if exact else place * step
    return place.floor().to(flambeau.int64).clamp(max=old - 1)


def _positions(old: int, new: int, scale, align_corners: bool, cubic: bool, device: Any) -> Tensor:
    """Where in the input the centres of the result's pixels lie."""
    place = flambeau.arange(new, dtype=flambeau.float64, device=device)
    if align_corners:
        return place * ((old - 1) / (new - 1) if new > 1 else 0.0)
    place = (place + 0.5) * _ratio(old, new, scale) - 0.5
    return place if cubic else place.clamp_min(0)


def _linear_taps(positions: Tensor, old: int) -> list[tuple[Tensor, Tensor]]:
    """The two neighbours of each position and their weights."""
    low = positions.floor().to(flambeau.int64).clamp(max=old - 1)
    share = (positions - low).clamp(0, 1)
    return [(low, 1 - share), ((low + 1).clamp(max=old - 1), share)]


def _cubic(distance: Tensor, a: float) -> Any:
    """Keys' kernel of two pieces, for distances below 2."""
    x = distance.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return flambeau.where(x <= 1, near, flambeau.where(x < 2, far, flambeau.zeros_like(x)))


def _cubic_taps(positions: Tensor, old: int) -> list[tuple[Tensor, Tensor]]:
    """The four neighbours of each position and their weights."""
    low = positions.floor()
    share = positions - low
    first = low.to(flambeau.int64)
    return [((first + k).clamp(0, old - 1), _cubic(share - k, -0.75)) for k in (-1, 0, 1, 2)]


def _antialias_weights(old: int, new: int, scale, mode: str, align_corners: bool, input: Tensor) -> Tensor:
    """A matrix ``(new, old)``: the kernel stretched over all of the input that an output pixel covers."""
    if align_corners:
        step = (old - 1) / (new - 1) if new > 1 else 0.0
    else:
        step = _ratio(old, new, scale)
    stretch = max(step, 1.0)
    support = stretch * (2.0 if mode == "bicubic" else 1.0)
    kernel: Callable[[Tensor], Tensor]
    if mode == "bicubic":
        kernel = lambda x: _cubic(x, -0.5)  # noqa: E731
    else:
        kernel = lambda x: (1 - x.abs()).clamp_min(0)  # noqa: E731
    centre = (flambeau.arange(new, dtype=flambeau.float64) + 0.5) * step
    first = (centre - support + 0.5).to(flambeau.int64).clamp_min(0)
    last = (centre + support + 0.5).to(flambeau.int64).clamp(max=old)
    place = flambeau.arange(old, dtype=flambeau.float64)
    weights = kernel((place + 0.5 - centre.view(-1, 1)) / stretch)
    inside = (place >= first.view(-1, 1)) & (place < last.view(-1, 1))
    weights = weights * inside
    weights = weights / weights.sum(1, keepdim=True)
    return weights.to(input.dtype if input.is_floating_point() else flambeau.float32).to(input.device)


def _weighted(input: Tensor, dim: int, weights: Tensor) -> Tensor:
    moved = input.to(weights.dtype).transpose(dim, -1) @ weights.t()
    result = moved.transpose(dim, -1)
    return result if input.is_floating_point() else result.round().clamp(0, 255).to(input.dtype)


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
