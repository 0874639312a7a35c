"""Max pooling whose windows lie at random distances. Source: Graham, arXiv:1412.6071."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.nn.modules.utils import _ntuple
from flambeau.tensor.tensor import Tensor


def _pool(input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Any, spatial: int):
    """The maxima and their places."""
    expand = _ntuple(spatial)
    if output_size is None and output_ratio is None:
        raise ValueError(
            f"fractional_max_pool{spatial}d requires specifying either an output_size or an output_ratio"
        )
    if input.dim() not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"fractional_max_pool{spatial}d: Expected {spatial + 1}D or {spatial + 2}D tensor, but got: "
            f"{list(input.shape)}"
        )
    kernel = expand(kernel_size)
    sizes = list(input.shape[-spatial:])
    if output_size is None:
        ratios = expand(output_ratio)
        if any(not 0 < ratio < 1 for ratio in ratios):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")
        output_size = [int(n * ratio) for n, ratio in zip(sizes, ratios)]
    out = expand(output_size)
    batch = input.shape[0] if input.dim() == spatial + 2 else 1
    channels = input.shape[-spatial - 1]
    if samples is None:
        samples = flambeau.rand(batch, channels, spatial, dtype=input.dtype, device=input.device)
    samples = samples[:batch]
    image = input.reshape(batch, channels, *sizes)
    for n, window, count in zip(sizes, kernel, out):
        if count + window - 1 > n:
            raise RuntimeError(
                f"fractional_max_pool{spatial}d: pool size {window} too large relative to input size {n}"
            )
    # PyTorch's samples are for the last dimension first.
    places = [
        _windows(samples[:, :, spatial - 1 - k] if spatial == 2 else samples[:, :, k], n, window, count)
        for k, (n, window, count) in enumerate(zip(sizes, kernel, out))
    ]
    flat = _flat_places(places, sizes)  # (N, C, *out, prod(kernel))
    values = image.flatten(2).gather(2, flat.flatten(2)).view(flat.shape)
    best, which = values.max(-1)
    indices = flat.gather(-1, which.unsqueeze(-1)).squeeze(-1)
    if input.dim() == spatial + 1:
        return best.squeeze(0), indices.squeeze(0)
    return best, indices


def _windows(sample: Tensor, size: int, window: int, count: int) -> Tensor:
    """The positions in each window along one dimension: ``(N, C, count, window)``."""
    steps = flambeau.arange(count, device=sample.device).to(sample.dtype)
    if count > 1:
        alpha = (size - window) / (count - 1)
        start = ((steps + sample.unsqueeze(-1)) * alpha).to(flambeau.int64)
        start = start - (sample.unsqueeze(-1) * alpha).to(flambeau.int64)
    else:
        start = flambeau.zeros((*sample.shape, count), dtype=flambeau.int64, device=sample.device)
    last = flambeau.arange(count, device=sample.device) == count - 1
    start = start.masked_fill(last, size - window)
    return start.unsqueeze(-1) + flambeau.arange(window, device=sample.device)


def _flat_places(places: list[Tensor], sizes: list[int]) -> Tensor:
    """Positions in the flat image for every window, from those along each dimension."""
    spatial = len(places)
    total = None
    for k, (place, n) in enumerate(zip(places, sizes)):
        shape = [*place.shape[:2], *([1] * (2 * spatial))]
        shape[2 + k], shape[2 + spatial + k] = place.shape[2], place.shape[3]
        one = place.view(shape)
        total = one if total is None else total * n + one
    return total.flatten(2 + spatial)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices: bool = False,
    _random_samples=None,
):
    """Max pooling of ``(N, C, H, W)`` to `output_size`, or to `output_ratio` of its size."""
    found = _pool(input, kernel_size, output_size, output_ratio, _random_samples, 2)
    return found if return_indices else found[0]


def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices: bool = False,
    _random_samples=None,
):
    """`fractional_max_pool2d` with its indices."""
    return _pool(input, kernel_size, output_size, output_ratio, _random_samples, 2)


def fractional_max_pool3d(
    input: Tensor,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices: bool = False,
    _random_samples=None,
):
    """Max pooling of ``(N, C, D, H, W)`` to `output_size`, or to `output_ratio` of its size."""
    found = _pool(input, kernel_size, output_size, output_ratio, _random_samples, 3)
    return found if return_indices else found[0]


def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices: bool = False,
    _random_samples=None,
):
    """`fractional_max_pool3d` with its indices."""
    return _pool(input, kernel_size, output_size, output_ratio, _random_samples, 3)
