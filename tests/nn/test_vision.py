"""Resizing, sampling, windows and pixel shuffles, against sums in NumPy and finite differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import functional as F

MODES = {
    3: ["nearest", "nearest-exact", "linear"],
    4: ["nearest", "nearest-exact", "bilinear", "bicubic"],
    5: ["nearest", "nearest-exact", "trilinear"],
}


def matrix(old, new, mode, align):
    """The weights of one dimension as a dense matrix, straight from the definition."""
    found = np.zeros((new, old))
    for x in range(new):
        if mode in ("nearest", "nearest-exact"):
            found[x, min(int((x + (0.5 if mode == "nearest-exact" else 0)) * old / new), old - 1)] = 1
            continue
        if align:
            at = x * (old - 1) / (new - 1) if new > 1 else 0.0
        else:
            at = (x + 0.5) * old / new - 0.5
        at = at if mode == "bicubic" else max(at, 0.0)
        low = int(np.floor(at))
        for k in range(-1, 3):
            distance, a = abs(at - low - k), -0.75
            if mode != "bicubic":
                weight = max(0.0, 1 - distance)
            elif distance <= 1:
                weight = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
            else:
                weight = a * distance**3 - 5 * a * distance**2 + 8 * a * distance - 4 * a
            found[x, min(max(low + k, 0), old - 1)] += weight
    return found


def resized(x, sizes, mode, align):
    for dim, new in enumerate(sizes, 2):
        x = np.moveaxis(np.tensordot(matrix(x.shape[dim], new, mode, align), x, (1, dim)), 0, dim)
    return x


@pytest.mark.parametrize("shape", [(2, 5, 7), (1, 3, 6, 9), (3, 4, 5, 4), (2, 9, 2, 33), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("factor", [0.5, 1, 1.6, 3])
def test_resizing_is_its_definition(shape, factor):
    x = np.random.default_rng(0).standard_normal(shape)
    sizes = [max(1, int(n * factor)) for n in shape[2:]]
    for mode, align in itertools.product(MODES[len(shape)], (False, True)):
        if align and mode.startswith("nearest"):
            continue
        kind = {} if mode.startswith("nearest") else {"align_corners": align}
        want = resized(x, sizes, mode, align)
        found = F.interpolate(torch.tensor(x), size=sizes, mode=mode, **kind)
        np.testing.assert_allclose(found.numpy(), want, atol=1e-12)
        if len(shape) == 4:
            last = torch.tensor(x).contiguous(memory_format=torch.channels_last)
            found = F.interpolate(last, size=sizes, mode=mode, **kind)
            np.testing.assert_allclose(found.numpy(), want, atol=1e-12)


def test_antialiasing_averages_what_a_pixel_covers():
    x = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 1, 4, 16).contiguous()
    found = F.interpolate(x, size=(4, 4), mode="bilinear", antialias=True)[0, 0, 0]
    assert torch.allclose(found[1:3], torch.tensor([5.5, 9.5]), atol=1e-4)
    constant = F.interpolate(torch.full((1, 2, 9, 7), 3.0), size=(4, 5), mode="bicubic", antialias=True)
    assert torch.allclose(constant, torch.full((1, 2, 4, 5), 3.0), atol=1e-5)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(3, 9), (8, 4)])
def test_gradients_of_resizing(mode, size):
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    kind = {} if mode == "nearest" else {"align_corners": True}
    assert torch.autograd.gradcheck(lambda x: F.interpolate(x, size=size, mode=mode, **kind), (x,))
    assert torch.autograd.gradgradcheck(lambda x: F.interpolate(x, size=size, mode=mode, **kind) ** 2, (x,))


def test_resizing_keeps_infinities_apart():
    x = torch.zeros(1, 1, 4, 20)
    x[0, 0, 0, 0] = float("inf")
    found = F.interpolate(x, size=(8, 40), mode="bilinear", align_corners=False)
    assert not found[0, 0, 4:].isnan().any()
    assert not found[0, 0, :, 4:].isnan().any()


@pytest.mark.parametrize("threads", [1, 2])
def test_large_images_are_cut_by_rows(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    x = torch.randn(1, 2, 300, 700)
    found = F.interpolate(x, size=(150, 900), mode="bilinear", align_corners=False)
    torch.set_num_threads(before)
    want = resized(x.numpy().astype(np.float64), (150, 900), "bilinear", False)
    np.testing.assert_allclose(found.numpy(), want, atol=1e-5)


# -- grid_sample ---------------------------------------------------------------------------------------------


def sampled(image, point, padding, align):
    """One bilinear reading of a plane."""
    places = []
    for g, n in zip(reversed(point), image.shape):
        at = (g + 1) / 2 * (n - 1) if align else ((g + 1) * n - 1) / 2
        if padding == "border":
            at = min(max(at, 0), n - 1)
        if padding == "reflection":
            low, span = (0, n - 1) if align else (-0.5, n)
            at = 0.0 if span == 0 else abs(at - low) % (2 * span)
            at = (min(at, 2 * span - at) + low) if span else 0.0
            at = min(max(at, 0), n - 1)
        places.append(at)
    total = 0.0
    for corner in itertools.product((0, 1), repeat=len(places)):
        weight, index = 1.0, []
        for at, up in zip(places, corner):
            low = int(np.floor(at))
            weight *= at - low if up else low + 1 - at
            index.append(low + up)
        if all(0 <= i < n for i, n in zip(index, image.shape)):
            total += weight * image[tuple(index)]
    return total


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("sizes", [(5, 4), (1, 6), (3, 4, 2)])
def test_sampling_is_its_definition(sizes, padding, align):
    draw = np.random.default_rng(1)
    points = (3, 7) if len(sizes) == 2 else (2, 3, 5)
    x, grid = draw.standard_normal((2, 3, *sizes)), draw.uniform(-1.6, 1.6, (2, *points, len(sizes)))
    found = F.grid_sample(
        torch.tensor(x), torch.tensor(grid), padding_mode=padding, align_corners=align
    ).numpy()
    for n, c in itertools.product(range(2), range(3)):
        for at in np.ndindex(points):
            assert abs(found[(n, c, *at)] - sampled(x[n, c], grid[(n, *at)], padding, align)) < 1e-12


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_gradients_of_sampling(mode, padding):
    torch.manual_seed(3)
    x = torch.randn(1, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    grid = (torch.rand(1, 2, 2, 2, dtype=torch.float64) * 2.4 - 1.2).requires_grad_()

    def call(x, grid):
        return F.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=False)

    assert torch.autograd.gradcheck(call, (x, grid))
    assert torch.autograd.gradgradcheck(call, (x, grid), atol=1e-4)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_positions_that_are_no_numbers_read_nothing_outside(mode):
    grid = torch.tensor([float("nan"), float("inf"), -float("inf"), 1e30]).view(1, 1, 2, 2)
    for padding in ("zeros", "border", "reflection"):
        found = F.grid_sample(
            torch.ones(1, 2, 3, 3), grid, mode=mode, padding_mode=padding, align_corners=False
        )
        assert found.shape == (1, 2, 1, 2)


# -- windows and pixels --------------------------------------------------------------------------------------

GEOMETRY = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (2, 3), "stride": 2},
    {"kernel_size": (3, 1), "dilation": (2, 3), "padding": (2, 0), "stride": (1, 3)},
]


@pytest.mark.parametrize("geometry", GEOMETRY)
def test_folding_is_the_adjoint_of_unfolding(geometry):
    x = torch.randn(2, 3, 9, 11, dtype=torch.float64, requires_grad=True)
    columns = F.unfold(x, **geometry)
    other = torch.randn(columns.shape, dtype=torch.float64)
    image = F.fold(other, (9, 11), **geometry)
    assert torch.allclose((columns * other).sum(), (x * image).sum())
    assert torch.allclose(torch.autograd.grad(columns, x, other)[0], image)
    assert torch.autograd.gradgradcheck(
        lambda x: F.unfold(x, **geometry) ** 2, (x[:1, :1].detach().requires_grad_(),)
    )


def test_windows_are_cut_as_they_lie():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    columns = F.unfold(x, 2, padding=(0, 1))
    assert columns.shape == (1, 4, 10)
    assert columns[0, :, 0].tolist() == [0, 0, 0, 4]
    assert columns[0, :, 7].tolist() == [5, 6, 9, 10]


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8, torch.bool, torch.bfloat16])
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
def test_pixels_are_shuffled(factor, dtype):
    r = factor
    x = torch.randint(0, 2, (2, 3 * r * r, 2, 35)).to(dtype)
    found = F.pixel_shuffle(x, r)
    want = (
        x.float().numpy().reshape(2, 3, r, r, 2, 35).transpose(0, 1, 4, 2, 5, 3).reshape(2, 3, 2 * r, 35 * r)
    )
    assert found.dtype is dtype
    assert (found.float().numpy() == want).all()
    assert torch.equal(F.pixel_unshuffle(found, r), x)
    last = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(F.pixel_shuffle(last, r), found)
