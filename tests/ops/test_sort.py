"""Sorting, selection and search against NumPy and pure Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch

KINDS = ["float32", "float64", "int64", "int32", "int16", "uint8", "int8"]


def rows(dtype: str):
    random = np.random.default_rng(0)
    for shape in [(1,), (7,), (40,), (41,), (600,), (5000,), (70000,), (3, 50, 4), (20, 700), (2, 66000)]:
        x = random.standard_normal(shape) * 50
        yield (x if dtype.startswith("float") else np.round(x)).astype(dtype)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", KINDS)
def test_sort_is_stable(dtype, descending):
    for x in rows(dtype):
        for dim in range(x.ndim):
            values, indices = torch.from_numpy(x).sort(dim, descending)
            key = -x.astype("float64") if descending else x
            order = np.argsort(key, axis=dim, kind="stable")
            np.testing.assert_array_equal(indices.numpy(), order)
            np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, order, dim))


def test_sort_of_special_values():
    x = torch.tensor([0.0, math.nan, -math.inf, -0.0, math.inf, 1.0, -math.nan])
    values, indices = x.sort()
    assert indices.tolist() == [2, 0, 3, 5, 4, 1, 6]
    assert math.copysign(1, values[2].item()) == -1
    assert x.sort(descending=True).indices.tolist() == [1, 6, 4, 5, 0, 3, 2]
    flags = torch.tensor([True, False, True, False])
    assert flags.sort(stable=True).indices.tolist() == [1, 3, 0, 2]
    half = torch.tensor([2.0, -1.0, 0.5], dtype=torch.bfloat16)
    assert half.sort().values.tolist() == [-1.0, 0.5, 2.0]


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", KINDS)
def test_topk(dtype, largest):
    for x in rows(dtype):
        for dim in range(x.ndim):
            n = x.shape[dim]
            for k in {1, min(3, n), max(1, n // 200), max(1, n // 2), n}:
                values, indices = torch.from_numpy(x).topk(k, dim, largest)
                expected = np.sort(x, axis=dim)
                expected = np.flip(expected, dim) if largest else expected
                np.testing.assert_array_equal(values.numpy(), np.take(expected, range(k), dim))
                np.testing.assert_array_equal(np.take_along_axis(x, indices.numpy(), dim), values.numpy())


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_ranks(dtype):
    for x in rows(dtype):
        for dim in range(x.ndim):
            t, n = torch.from_numpy(x), x.shape[dim]
            ordered = np.sort(x, axis=dim)
            for k in {1, n // 2 + 1, n}:
                values, indices = t.kthvalue(k, dim)
                np.testing.assert_array_equal(values.numpy(), np.take(ordered, k - 1, dim))
                picked = np.take_along_axis(x, np.expand_dims(indices.numpy(), dim), dim)
                np.testing.assert_array_equal(np.squeeze(picked, dim), values.numpy())
            np.testing.assert_array_equal(t.median(dim).values.numpy(), np.take(ordered, (n - 1) // 2, dim))


def test_medians_with_nan():
    x = torch.tensor([[3.0, math.nan, 1.0, 2.0], [4.0, 3.0, 2.0, 1.0]])
    assert math.isnan(x.median(1).values[0].item())
    assert x.median(1).indices.tolist() == [1, 2]
    assert x.nanmedian(1).values.tolist() == [2.0, 2.0]
    assert x.nanmedian().item() == 2.0


def test_mode():
    x = torch.tensor([[2, 1, 2, 1, 1], [5, 5, 4, 4, 0]])
    values, indices = x.mode(1)
    assert values.tolist() == [1, 4]
    assert x[0, indices[0]].item() == 1
    assert x[1, indices[1]].item() == 4


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantiles(interpolation):
    x = np.random.default_rng(1).standard_normal((6, 11))
    q = np.array([0.0, 0.25, 0.6, 1.0])
    got = torch.quantile(torch.from_numpy(x), torch.from_numpy(q), 1, interpolation=interpolation)
    np.testing.assert_allclose(got.numpy(), np.quantile(x, q, axis=1, method=interpolation), rtol=1e-12)
    x[0, 3] = math.nan
    t = torch.from_numpy(x)
    assert math.isnan(t.quantile(0.5, 1)[0].item())
    np.testing.assert_allclose(
        t.nanquantile(0.5, 1, True, interpolation=interpolation).numpy(),
        np.nanquantile(x, 0.5, axis=1, keepdims=True, method=interpolation),
        rtol=1e-12,
    )


def test_unique():
    x = np.random.default_rng(2).integers(0, 9, (40, 3))
    t = torch.from_numpy(x)
    found = torch.unique(t, return_inverse=True, return_counts=True)
    expected = np.unique(x, return_inverse=True, return_counts=True)
    for a, b in zip(found, expected):
        np.testing.assert_array_equal(a.numpy().ravel(), b.ravel())
    found = torch.unique(t, return_inverse=True, return_counts=True, dim=0)
    expected = np.unique(x, return_inverse=True, return_counts=True, axis=0)
    for a, b in zip(found, expected):
        np.testing.assert_array_equal(a.numpy().reshape(b.shape), b)
    values, counts = torch.unique_consecutive(torch.tensor([1, 1, 2, 1, 1, 1]), return_counts=True)
    assert (values.tolist(), counts.tolist()) == ([1, 2, 1], [2, 1, 3])
    assert torch.unique(torch.empty(0)).shape == (0,)


def test_nonzero():
    x = np.random.default_rng(3).integers(0, 2, (5, 6, 7))
    t = torch.from_numpy(x)
    np.testing.assert_array_equal(t.nonzero().numpy(), np.argwhere(x))
    for a, b in zip(torch.nonzero(t, as_tuple=True), np.nonzero(x), strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    assert torch.tensor(3.0).nonzero().shape == (1, 0)
    assert torch.nonzero_static(torch.tensor([0, 4]), size=3, fill_value=9).tolist() == [[1], [9], [9]]


def test_counting():
    x = torch.tensor([1, 4, 1])
    assert x.bincount().tolist() == [0, 2, 0, 0, 1]
    assert x.bincount(torch.tensor([0.5, 1.0, 2.0]), minlength=6).tolist() == [0.0, 2.5, 0.0, 0.0, 1.0, 0.0]
    y = np.random.default_rng(4).standard_normal(500)
    hist, edges = torch.histogram(torch.from_numpy(y), 12, density=True)
    expected, places = np.histogram(y, 12, density=True)
    np.testing.assert_allclose(hist.numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(edges.numpy(), places, rtol=1e-12)
    assert torch.histc(torch.tensor([0.0, 1.0, 2.0, 3.0, math.nan]), 3, 0, 3).tolist() == [1.0, 1.0, 2.0]
    z = np.random.default_rng(5).random((60, 2))
    np.testing.assert_array_equal(
        torch.histogramdd(torch.from_numpy(z), [3, 4], range=[0.0, 1.0, 0.0, 1.0]).hist.numpy(),
        np.histogramdd(z, [3, 4], range=[(0, 1), (0, 1)])[0],
    )


def test_binary_search():
    edges = np.array([1.0, 3.0, 3.0, 5.0])
    x = np.array([[0.0, 1.0, 3.0], [4.0, 5.0, math.nan]])
    for right in (False, True):
        got = torch.searchsorted(torch.from_numpy(edges), torch.from_numpy(x), right=right)
        np.testing.assert_array_equal(
            got.numpy(), np.searchsorted(edges, x, side="right" if right else "left")
        )
    assert torch.bucketize(3, torch.tensor([1, 3, 5])).item() == 1
    assert torch.searchsorted(
        torch.tensor([5, 1, 3]), torch.tensor([3]), sorter=torch.tensor([1, 2, 0])
    ).tolist() == [1]
    rows = torch.tensor([[1, 3, 5], [2, 4, 6]])
    assert torch.searchsorted(rows, torch.tensor([[3], [3]]), out_int32=True).tolist() == [[1], [1]]


def test_membership():
    assert torch.isin(torch.tensor([[1, 2], [3, 4]]), torch.tensor([4, 2])).tolist() == [
        [False, True],
        [False, True],
    ]
    assert torch.isin(torch.tensor([1.0, math.nan]), torch.tensor([math.nan]), invert=True).tolist() == [
        True,
        True,
    ]
    assert torch.isin(2, torch.tensor([1, 2])).item() is True


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: x.topk(5), RuntimeError, "selected index k out of range"),
        (lambda x: x.kthvalue(4), RuntimeError, "kthvalue(): selected number k out of range for dimension 0"),
        (lambda x: x.sort(1), IndexError, "Dimension out of range (expected to be in range of [-1, 0], but got 1)"),
        (lambda x: x.quantile(2.0), RuntimeError, "quantile() q must be in the range [0, 1] but got 2"),
        (lambda x: x.bincount(), NotImplementedError, "\"bincount_cpu\" not implemented for 'Float'"),
        (lambda x: torch.tensor([-1]).bincount(), RuntimeError, "bincount only supports 1-d non-negative integral inputs."),
        (lambda x: x.histc(0), RuntimeError, "torch.histogram(): bins must be > 0, but got 0 for dimension 0"),
        (lambda x: torch.searchsorted(x, x, side="up"), RuntimeError,
         "torch.searchsorted(): side can only be 'left' or 'right' but got up"),
        (lambda x: torch.isin(x > 0, x > 0), RuntimeError, "Unsupported input type encountered for isin(): Bool"),
    ],
)  # fmt: skip
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call(torch.ones(3))
    assert str(caught.value).split("\n")[0] == text
