"""Creation operators against NumPy: values, types, layouts, devices, mistakes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch

TYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


@pytest.mark.parametrize("kind", [*TYPES, "bfloat16"])
def test_fills(kind):
    dtype = getattr(torch, kind)
    for made, value in (
        (torch.zeros(2, 3, dtype=dtype), 0),
        (torch.ones(2, 3, dtype=dtype), 1),
        (torch.full((2, 3), 1, dtype=dtype), 1),
    ):
        assert made.dtype is dtype
        assert made.shape == (2, 3)
        assert made.is_contiguous()
        assert made.tolist() == [[value] * 3] * 2
    like = torch.ones_like(torch.zeros(4, dtype=dtype))
    assert like.dtype is dtype
    assert like.tolist() == [1] * 4


def test_sizes_in_every_form():
    for made in (
        torch.zeros(2, 3),
        torch.zeros((2, 3)),
        torch.zeros([2, 3]),
        torch.zeros(size=(2, 3)),
        torch.zeros(torch.Size([2, 3])),
    ):
        assert made.shape == (2, 3)
    assert torch.zeros(()).shape == ()
    assert torch.zeros(0, 5).numel() == 0
    assert torch.zeros(np.int64(3)).shape == (3,)


def test_full_takes_its_type_from_the_value():
    assert torch.full((2,), True).dtype is torch.bool
    assert torch.full((2,), 3).dtype is torch.int64
    assert torch.full((2,), 3.0).dtype is torch.float32
    assert torch.full((2,), 1j).dtype is torch.complex64
    assert torch.full((2,), 1 + 2j).tolist() == [1 + 2j] * 2
    assert torch.full((2,), 7, dtype=torch.float64).tolist() == [7.0, 7.0]
    assert torch.full_like(torch.zeros(2, dtype=torch.int32), 3.7).tolist() == [3, 3]
    assert torch.scalar_tensor(3).dtype is torch.float32


def test_the_default_type_is_followed():
    before = torch.get_default_dtype()
    try:
        torch.zeros(2)
        torch.arange(0.0, 2.0)
        torch.set_default_dtype(torch.float64)
        assert torch.zeros(2).dtype is torch.float64
        assert torch.arange(0.0, 2.0).dtype is torch.float64
        assert torch.full((1,), 1.0).dtype is torch.float64
        assert torch.eye(2).dtype is torch.float64
    finally:
        torch.set_default_dtype(before)
    assert torch.zeros(2).dtype is before


def test_the_default_device_is_followed():
    torch.zeros(2)
    with torch.device("meta"):
        assert torch.zeros(2).is_meta
        assert torch.arange(3).is_meta
        assert torch.zeros(2, device="cpu").device.type == "cpu"
    assert torch.zeros(2).device.type == "cpu"
    assert torch.empty(1 << 40, device="meta").shape == (1 << 40,)


def test_requires_grad_and_out():
    for made in (
        torch.zeros(2, requires_grad=True),
        torch.arange(3.0, requires_grad=True),
        torch.eye(2, requires_grad=True),
    ):
        assert made.requires_grad
        assert made.is_leaf
    assert not torch.zeros(2).requires_grad
    out = torch.empty(0, dtype=torch.int32)
    assert torch.zeros(3, out=out) is out
    assert out.dtype is torch.int32
    assert torch.arange(3, out=out).tolist() == [0, 1, 2]


def test_like_keeps_the_memory_format():
    x = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert torch.ones_like(x).stride() == x.stride()
    assert torch.zeros_like(x, memory_format=torch.contiguous_format).is_contiguous()
    assert torch.empty_like(x.permute(3, 0, 1, 2)).stride() == x.permute(3, 0, 1, 2).stride()
    assert torch.zeros_like(torch.zeros(3).expand(2, 3)).stride() == (3, 1)
    assert torch.empty(2, 3, 4, 5, memory_format=torch.channels_last).stride() == x.stride()


def test_new_methods():
    x = torch.zeros(1, dtype=torch.int16)
    assert x.new_zeros(2, 3).dtype is torch.int16
    assert x.new_ones((2,), dtype=torch.float32).tolist() == [1.0, 1.0]
    assert x.new_full((2,), 9).tolist() == [9, 9]
    assert x.new_empty(4).shape == (4,)
    assert x.new_empty_strided((2, 3), (1, 2)).stride() == (1, 2)
    assert torch.empty_strided((2, 3), (1, 2)).stride() == (1, 2)
    assert torch.empty_permuted((2, 3, 4), (0, 2, 1)).stride() == (12, 1, 3)


# -- ranges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [
    (5,), (0,), (1, 6), (1, 6, 2), (5, 0, -1), (5, 0, -2), (1, 6, 5), (0, 1, 0.25), (1.0, 2.5, 0.5), (2.5,), (0, -1.0, -0.3), (-3, 3),
])  # fmt: skip
def test_arange(args):
    want = np.arange(*args)
    got = torch.arange(*args)
    assert got.dtype is (torch.int64 if want.dtype.kind == "i" else torch.float32)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)
    for kind in ("int32", "int16", "float64"):
        if kind == "float64" or want.dtype.kind == "i":
            np.testing.assert_allclose(
                torch.arange(*args, dtype=getattr(torch, kind)).numpy(), want.astype(kind), rtol=1e-14
            )


def test_arange_counts_exactly_in_int64():
    start = (1 << 62) + 1
    assert torch.arange(start, start + 3).tolist() == [start, start + 1, start + 2]
    assert torch.arange(end=3).tolist() == [0, 1, 2]
    assert torch.arange(torch.tensor(3)).tolist() == [0, 1, 2]
    assert torch.arange(100_000).sum().item() == 100_000 * 99_999 // 2


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 100, 40_001])
def test_linspace(steps):
    np.testing.assert_allclose(
        torch.linspace(-2, 3, steps, dtype=torch.float64).numpy(),
        np.linspace(-2, 3, steps),
        rtol=1e-14,
        atol=1e-15,
    )
    single = torch.linspace(-2, 3, steps)
    assert single.dtype is torch.float32
    if steps > 1:
        assert (single[0].item(), single[-1].item()) == (-2.0, 3.0)


def test_linspace_of_other_types():
    assert torch.linspace(0, 10, 5, dtype=torch.int64).tolist() == [0, 2, 5, 7, 10]
    assert torch.linspace(0, 1 + 1j, 3).tolist() == [0, 0.5 + 0.5j, 1 + 1j]
    assert torch.linspace(torch.tensor(1.0), torch.tensor(3.0), 3).tolist() == [1.0, 2.0, 3.0]
    np.testing.assert_allclose(
        torch.logspace(-1, 2, 4, dtype=torch.float64).numpy(), [0.1, 1, 10, 100], rtol=1e-15
    )
    assert torch.logspace(0, 4, 5, base=2, dtype=torch.int32).tolist() == [1, 2, 4, 8, 16]


# -- matrices --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float32", "int64", "bool", "complex64", "float16"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2), (0, 3), (300, 200)])
def test_eye(kind, shape):
    np.testing.assert_array_equal(
        torch.eye(*shape, dtype=getattr(torch, kind)).numpy(), np.eye(*shape, dtype=kind)
    )


@pytest.mark.parametrize("kind", ["float32", "int16", "bool", "complex64", "complex128", "float64"])
@pytest.mark.parametrize("diagonal", [-5, -1, 0, 1, 2, 9])
def test_triangles(kind, diagonal):
    for shape in ((4, 4), (3, 5), (2, 5, 3), (0, 2), (70, 90)):
        a = (np.arange(np.prod(shape)).reshape(shape) % 7 + 1).astype(kind)
        for x, y in ((torch.tensor(a), a), (torch.tensor(a).transpose(-1, -2), a.swapaxes(-1, -2))):
            np.testing.assert_array_equal(torch.tril(x, diagonal).numpy(), np.tril(y, diagonal))
            np.testing.assert_array_equal(torch.triu(x, diagonal).numpy(), np.triu(y, diagonal))
            np.testing.assert_array_equal(x.clone().triu_(diagonal).numpy(), np.triu(y, diagonal))


def test_triangles_pass_gradients():
    x = torch.ones(3, 3, requires_grad=True)
    (x.tril() * 2).sum().backward()
    assert torch.equal(x.grad, torch.ones(3, 3).tril() * 2)


@pytest.mark.parametrize("case", [(3, 3, 0), (4, 2, 1), (2, 5, -1), (0, 3, 0), (3, 3, -9)])
def test_triangle_indices(case):
    rows, columns, offset = case
    np.testing.assert_array_equal(torch.tril_indices(*case).numpy(), np.tril_indices(rows, offset, columns))
    np.testing.assert_array_equal(
        torch.triu_indices(*case, dtype=torch.int32).numpy(), np.triu_indices(rows, offset, columns)
    )


def test_meshgrid():
    x, y = torch.arange(3), torch.arange(4)
    for indexing in ("ij", "xy"):
        for got, want in zip(
            torch.meshgrid(x, y, indexing=indexing), np.meshgrid(x.numpy(), y.numpy(), indexing=indexing)
        ):
            np.testing.assert_array_equal(got.numpy(), want)


# -- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: torch.zeros(2, -1), RuntimeError, "zeros: Dimension size must be non-negative."),
    (lambda: torch.empty(2, -1), RuntimeError, "Trying to create tensor with negative dimension -1"),
    (lambda: torch.zeros(2.5), TypeError, r"zeros\(\): argument 'size' \(position 1\) must be"),
    (lambda: torch.zeros("a"), TypeError, r"zeros\(\): argument 'size' \(position 1\) must be"),
    (lambda: torch.full(2, 1), TypeError, "int"),
    (lambda: torch.full((2,), 1j, dtype=torch.float32), RuntimeError, "value cannot be converted to type float"),
    (lambda: torch.arange(1, 5, 0), RuntimeError, "step must be nonzero"),
    (lambda: torch.arange(5, 1), RuntimeError, "upper bound and lower bound inconsistent with step sign"),
    (lambda: torch.arange(0, math.inf), RuntimeError, "unsupported range: 0 -> inf"),
    (lambda: torch.arange(3, dtype=torch.bool), NotImplementedError, "\"arange_cpu\" not implemented for 'Bool'"),
    (lambda: torch.linspace(0, 1, -1), RuntimeError, "number of steps must be non-negative"),
    (lambda: torch.linspace(0, 1, 2.0), TypeError, "invalid combination of arguments - got \\(int, int, float\\)"),
    (lambda: torch.eye(-1), RuntimeError, "n must be greater or equal to 0, got -1"),
    (lambda: torch.tril(torch.ones(3)), RuntimeError, "must have at least 2 dimensions"),
    (lambda: torch.complex(torch.ones(2), torch.ones(2).double()), RuntimeError, "Expected object of scalar type Float"),
    (lambda: torch.meshgrid(torch.ones(2, 2), indexing="ij"), RuntimeError, "Expected 0D or 1D tensor"),
    (lambda: torch.empty(1 << 62), RuntimeError, "Storage size calculation overflowed"),
])  # fmt: skip
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()
