"""Fourier transforms against NumPy's: every kind of length, dimension and memory order, and both number types."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch

#: single radices, all of them, two halves (few long ones, and beyond a block), lengths left to NumPy (7, 11, 13)
LENGTHS = [1, 2, 3, 4, 5, 7, 8, 12, 60, 64, 77, 240, 1000, 2048, 2049, 3000, 4096, 1 << 14, 8191]
#: shape and dimensions: few and many lanes, neighbours in memory and not, several dimensions
SHAPES = [
    ((20, 64), (1,)), ((64, 20), (0,)), ((64, 37), (0,)), ((64, 16), (0,)), ((33, 30), (0, 1)), ((7, 16, 12), (1,)),
    ((7, 16, 12), (2, 0, 1)), ((3, 16, 16), (1, 2)), ((2, 3, 4096), (2,)), ((4096, 3), (0,)), ((40, 9), (1,)),
    ((5, 14), (0, 1)), ((3, 0), (0,)),
]  # fmt: skip


def data(shape, kind):
    random = np.random.default_rng(0)
    return (random.standard_normal(shape) + 1j * random.standard_normal(shape)).astype(kind)


def near(found, want) -> None:
    bound = 2e-5 if found.dtype in (torch.complex64, torch.float32) else 1e-11
    assert found.shape == want.shape
    if want.size:
        assert np.abs(found.numpy() - want).max() <= bound * np.abs(want).max()


@pytest.mark.parametrize("kind", ["complex64", "complex128"])
@pytest.mark.parametrize("n", LENGTHS)
def test_one_of_each_length(n, kind):
    x = data((n,), kind)
    given, wide = torch.from_numpy(x), x.astype("complex128")
    near(torch.fft.fft(given), np.fft.fft(wide))
    near(torch.fft.ifft(given), np.fft.ifft(wide))
    near(torch.fft.rfft(torch.from_numpy(x.real.copy())), np.fft.rfft(wide.real))
    near(torch.fft.irfft(given, n=n), np.fft.irfft(wide, n=n))
    near(torch.fft.irfft(given, n=n + 1), np.fft.irfft(wide, n=n + 1))


@pytest.mark.parametrize("kind", ["complex64", "complex128"])
@pytest.mark.parametrize(("shape", "dims"), SHAPES, ids=str)
@pytest.mark.parametrize("turned", [False, True])
def test_dimensions(shape, dims, kind, turned):
    x = data(shape, kind)
    if turned:  # the same numbers, in memory of the other order
        given = torch.from_numpy(np.ascontiguousarray(x.T)).permute(*range(x.ndim)[::-1])
    else:
        given = torch.from_numpy(x)
    wide = x.astype("complex128")
    near(torch.fft.fftn(given, dim=dims), np.fft.fftn(wide, axes=dims))
    near(torch.fft.ifftn(given, dim=dims, norm="ortho"), np.fft.ifftn(wide, axes=dims, norm="ortho"))
    near(torch.fft.rfftn(given.real, dim=dims), np.fft.rfftn(wide.real, axes=dims))
    size = [shape[d] for d in dims]
    if size[-1] > 1:
        half = np.fft.rfftn(wide.real, axes=dims) + 0.25j
        near(
            torch.fft.irfftn(torch.from_numpy(half.astype(kind)), s=size, dim=dims),
            np.fft.irfftn(half, size, dims),
        )


def test_threads_change_nothing():
    x = torch.from_numpy(data((96, 240), "complex64"))
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(torch.fft.fft2(x).numpy())
    torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)
