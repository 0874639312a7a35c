"""Reductions and scans against NumPy: shapes, strides, types, gradients, errors, thread counts."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch

SHAPES = [(), (1,), (5,), (4, 4), (3, 70, 5), (200, 33), (2, 9000), (9000, 2), (5000, 7), (3, 2, 40, 3)]


def number_axes(dims, ndim):
    return None if dims is None else tuple(d % ndim for d in dims) if ndim else ()


def reduce_dims(ndim: int):
    """All, each one, the first and last together."""
    found = [None, *[(d,) for d in range(ndim)]]
    return found + [(0, -1)] if ndim > 1 else found


def samples(dtype: str, seed: int = 0):
    """Arrays of every shape, and strided views of them, with the tensor of the same elements."""
    random = np.random.default_rng(seed)
    for shape in SHAPES:
        x = random.standard_normal(shape) * 3
        if dtype.startswith("complex"):
            x = x + 1j * random.standard_normal(shape)
        x = np.asarray(x > 0 if dtype == "bool" else x.astype(dtype))
        views = [x]
        if x.ndim > 1:
            views += [np.swapaxes(x, 0, -1), x[:, ::2], x[::-1][::-1], np.broadcast_to(x[:1], x.shape)]
        for view in views:
            yield (
                view,
                torch.from_numpy(np.ascontiguousarray(view))
                if view.strides[0:1] == (0,)
                else torch.from_numpy(view),
            )


def wide(x: np.ndarray) -> np.ndarray:
    return x.astype({"f": "float64", "c": "complex128"}.get(x.dtype.kind, "int64"))


def log_sum_exp(x, axis):
    top = x.max(axis=axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.exp(x - top).sum(axis=axis))


VALUES = {
    "sum": (
        lambda x, axis: wide(x).sum(axis=axis),
        ("float32", "float64", "int32", "uint8", "bool", "complex64"),
    ),
    "nansum": (lambda x, axis: np.nansum(wide(x), axis=axis), ("float32", "int32")),
    "mean": (lambda x, axis: wide(x).mean(axis=axis), ("float32", "float64", "complex64")),
    "nanmean": (lambda x, axis: np.nanmean(wide(x), axis=axis), ("float32",)),
    "any": (lambda x, axis: (x != 0).any(axis=axis), ("float32", "int32", "bool", "complex64")),
    "all": (lambda x, axis: (x != 0).all(axis=axis), ("float32", "int32", "bool")),
    "count_nonzero": (lambda x, axis: (x != 0).sum(axis=axis), ("float32", "int32", "bool")),
    "amax": (lambda x, axis: x.max(axis=axis), ("float32", "float64", "int32", "uint8", "bool")),
    "amin": (lambda x, axis: x.min(axis=axis), ("float32", "float64", "int32", "uint8", "bool")),
    "var": (lambda x, axis: wide(x).var(axis=axis), ("float32", "float64", "complex64")),
    "std": (lambda x, axis: wide(x).std(axis=axis), ("float32",)),
    "logsumexp": (lambda x, axis: log_sum_exp(wide(x), axis), ("float32", "float64")),
}
EXACT = {"any", "all", "count_nonzero", "amax", "amin"}
EXTRA = {"var": {"correction": 0}, "std": {"correction": 0}}


@pytest.mark.parametrize(("name", "dtype"), [(n, t) for n, (_, kinds) in VALUES.items() for t in kinds])
def test_values(name, dtype):
    rule = VALUES[name][0]
    for x, t in samples(dtype):
        for dims in reduce_dims(x.ndim):
            axis = number_axes(dims, x.ndim)
            given = tuple(range(x.ndim)) if dims is None and name == "logsumexp" else dims
            got = (
                getattr(torch, name)(t, given, **EXTRA.get(name, {}))
                if given is not None
                else getattr(torch, name)(t, **EXTRA.get(name, {}))
            )
            expected = rule(x, axis)
            if name in EXACT:
                np.testing.assert_array_equal(
                    got.numpy(), expected, err_msg=f"{name} {x.shape} {x.strides} {dims}"
                )
                continue
            single = dtype in ("float32", "complex64")
            rounding = (1e-7 if single else 1e-15) * max(1.0, float(np.abs(wide(x)).sum()))
            close = {"rtol": 2e-5 if single else 1e-12, "atol": rounding}
            np.testing.assert_allclose(
                got.numpy(), expected, **close, err_msg=f"{name} {x.shape} {x.strides} {dims}"
            )


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_arg_extremes_take_the_first_of_equals(name, dtype):
    for x, t in samples(dtype):
        for dim in [None, *range(x.ndim)]:
            got = getattr(torch, name)(t, dim) if dim is not None else getattr(torch, name)(t)
            np.testing.assert_array_equal(
                got.numpy(), getattr(np, name)(x, axis=dim), err_msg=f"{x.shape} {dim}"
            )


def test_extremes_along_a_dimension_give_values_and_indices():
    x = torch.tensor([[1.0, 5.0, 5.0], [math.nan, 2.0, math.nan]])
    found = x.max(dim=1)
    assert type(found).__name__ == "max"
    assert found.indices.tolist() == [1, 0]
    assert found.values[0].item() == 5.0
    assert math.isnan(found.values[1].item())
    assert repr(x.min(1)).startswith("torch.return_types.min(\nvalues=tensor(")
    assert torch.max(torch.tensor([1, 4]), torch.tensor([3, 2])).tolist() == [3, 4]
    low, high = torch.aminmax(torch.tensor([[3, 1], [2, 5]]), dim=0)
    assert (low.tolist(), high.tolist()) == ([2, 1], [3, 5])


@pytest.mark.parametrize("ord", [0, 0.5, 1, 2, 3, 2.5, math.inf, -math.inf, -1])
def test_norms(ord):
    x = np.random.default_rng(0).standard_normal((7, 30)) + 0.1
    got = torch.norm(torch.from_numpy(x), ord, dim=1)
    np.testing.assert_allclose(got.numpy(), np.linalg.norm(x, ord, axis=1), rtol=1e-12)
    flat = torch.norm(torch.from_numpy(x), ord)
    np.testing.assert_allclose(flat.item(), np.linalg.norm(x.ravel(), ord), rtol=1e-12)


SCANS = {
    "cumsum": np.cumsum,
    "cumprod": np.cumprod,
    "cummax": np.maximum.accumulate,
    "cummin": np.minimum.accumulate,
    "logcumsumexp": lambda x, axis: np.logaddexp.accumulate(x, axis=axis),
}


@pytest.mark.parametrize("name", SCANS)
def test_scans(name):
    random = np.random.default_rng(1)
    for shape in [(1,), (40,), (50000,), (3, 70, 5), (5, 40000), (300, 21)]:
        x = random.standard_normal(shape) * 0.1 + (1.0 if name == "cumprod" else 0.0)
        for dim in range(x.ndim):
            got = getattr(torch, name)(torch.from_numpy(x), dim)
            values = got.values if isinstance(got, tuple) else got
            np.testing.assert_allclose(values.numpy(), SCANS[name](x, axis=dim), rtol=1e-9, atol=1e-9)
            if isinstance(got, tuple):
                picked = np.take_along_axis(x, got.indices.numpy(), dim)
                np.testing.assert_array_equal(picked, values.numpy())


def test_results_do_not_depend_on_the_number_of_threads():
    x = torch.from_numpy(np.random.default_rng(2).standard_normal((700, 1100)).astype("float32"))
    calls = [lambda: x.sum(), lambda: x.sum(0), lambda: x.var(), lambda: x.cumsum(0), lambda: x.reshape(-1).cumsum(0),
             lambda: x.logsumexp(1), lambda: x.sum((0, 1))]  # fmt: skip
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = [c().numpy().tobytes() for c in calls]
        torch.set_num_threads(2)
        assert alone == [c().numpy().tobytes() for c in calls]
    finally:
        torch.set_num_threads(before)


def test_a_long_sum_is_accurate():
    x = np.random.default_rng(3).random(3_000_000, dtype=np.float32)
    exact = math.fsum(x.tolist())
    assert abs(torch.from_numpy(x).sum().item() - exact) / exact < 3e-7
    half = torch.ones(70000, dtype=torch.float16)
    assert half.mean().item() == 1.0


def gradient(function, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Central differences of sum(weights * function(x))."""
    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        moved = []
        for step in (1e-6, -1e-6):
            y = x.copy()
            y[place] += step
            moved.append(float((function(torch.from_numpy(y)).numpy() * weights).sum()))
        found[place] = (moved[0] - moved[1]) / 2e-6
    return found


GRADIENTS = {
    "sum": lambda x: x.sum(1),
    "mean": lambda x: x.mean((0, 2), True),
    "prod": lambda x: x.prod(1),
    "prod of all": lambda x: x.prod(),
    "var": lambda x: x.var(2),
    "std": lambda x: x.std(0, correction=0),
    "var_mean": lambda x: torch.var_mean(x, 1)[0] * torch.var_mean(x, 1)[1],
    "amax": lambda x: x.amax((0, 1)),
    "max": lambda x: x.max(1).values,
    "min": lambda x: x.min(),
    "logsumexp": lambda x: x.logsumexp(2),
    "norm": lambda x: x.norm(dim=1),
    "norm 3": lambda x: x.norm(3.0),
    "norm inf": lambda x: x.norm(math.inf, dim=2),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(2),
    "cummax": lambda x: x.cummax(1).values,
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "sort": lambda x: x.sort(1).values,
    "topk": lambda x: x.topk(2, 2).values,
    "median": lambda x: x.median(1).values,
    "kthvalue": lambda x: x.kthvalue(2, 2).values,
    "quantile": lambda x: x.quantile(0.3, 1),
    "diff": lambda x: x.diff(dim=1),
    "trapezoid": lambda x: torch.trapezoid(x, dx=0.5, dim=2),
    "renorm": lambda x: x.renorm(2, 0, 1.5),
    "dist": lambda x: torch.dist(x, x * x, 2),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    random = np.random.default_rng(4)
    x = random.standard_normal((2, 4, 3))
    if name.startswith(("prod", "cumprod")):
        x[0, 1, 1] = 0.0
    function = GRADIENTS[name]
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    result = function(leaf)
    weights = random.standard_normal(tuple(result.shape))
    (result * torch.from_numpy(weights)).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), gradient(function, x, weights), rtol=1e-5, atol=1e-6)


def test_the_gradient_of_an_extreme_is_shared_by_equals():
    x = torch.tensor([1.0, 3.0, 3.0], requires_grad=True)
    x.amax().backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5]
    y = torch.tensor([1.0, 3.0, 3.0], requires_grad=True)
    y.max(0).values.backward()
    assert y.grad.tolist() == [0.0, 1.0, 0.0]


def test_second_gradient():
    x = torch.tensor([0.5, 1.5, -2.0], requires_grad=True, dtype=torch.float64)
    (g,) = torch.autograd.grad(x.logsumexp(0), x, create_graph=True)
    (h,) = torch.autograd.grad(g[0], x)
    p = np.exp(x.tolist()) / np.exp(x.tolist()).sum()
    np.testing.assert_allclose(h.tolist(), p[0] * (np.eye(3)[0] - p), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: x.sum(2), IndexError, "Dimension out of range (expected to be in range of [-2, 1], but got 2)"),
        (lambda x: x.sum((0, -2)), RuntimeError, "dim 0 appears multiple times in the list of dims"),
        (lambda x: (x > 0).mean(), RuntimeError, "mean(): could not infer output dtype. Input dtype must be either a "
         "floating point or complex dtype. Got: Bool"),
        (lambda x: x[:0].amax(), RuntimeError, "amax(): Expected reduction dim to be specified for input.numel() == 0. "
         "Specify the reduction dim with the 'dim' argument."),
        (lambda x: x[:0].max(0), IndexError, "max(): Expected reduction dim 0 to have non-zero size."),
        (lambda x: x[:0].argmax(), IndexError, "argmax(): Expected reduction dim to be specified for input.numel() == 0."),
        (lambda x: x.long().var(), RuntimeError, "std and var only support floating point and complex dtypes"),
        (lambda x: x.argmax((0, 1)), TypeError, "argmax(): argument 'dim' (position 2) must be int, not tuple"),
        (lambda x: x.diff(n=-1), RuntimeError, "order must be non-negative but got -1"),
        (lambda x: x.renorm(-1.0, 0, 1.0), RuntimeError, "renorm: non-positive-norm not supported"),
        (lambda x: x.long().norm(), RuntimeError, "linalg.vector_norm: Expected a floating point or complex tensor as "
         "input. Got Long"),
    ],
)  # fmt: skip
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call(torch.ones(2, 3))
    assert str(caught.value).split("\n")[0] == text


def test_empty_reductions():
    x = torch.ones(0, 3)
    assert x.sum().item() == 0
    assert x.prod(0).tolist() == [1.0, 1.0, 1.0]
    assert math.isnan(x.mean().item())
    assert x.any(0).tolist() == [False] * 3
    assert x.logsumexp(0).tolist() == [-math.inf] * 3
    assert x.amax(1).shape == (0,)


def test_out_and_types():
    x = torch.ones(2, 3, dtype=torch.int32)
    assert x.sum().dtype is torch.int64
    assert x.sum(dtype=torch.float32).dtype is torch.float32
    assert torch.ones(3, dtype=torch.uint8).all().dtype is torch.uint8
    out = torch.empty(0)
    found = torch.sum(torch.ones(2, 3), 1, out=out)
    assert found is out
    assert out.tolist() == [3.0, 3.0]
    values, indices = torch.empty(0), torch.empty(0, dtype=torch.int64)
    torch.max(torch.ones(2, 3), 1, out=(values, indices))
    assert values.tolist() == [1.0, 1.0]
