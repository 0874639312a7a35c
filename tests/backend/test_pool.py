"""Pooling schedules against loops over windows in plain Python."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from flambeau.backend.cpu import pool, runtime

from .guarded import Guarded, from_bfloat16, guarded, run, to_bfloat16

NUMPY = {
    "f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": np.uint16, "i64": np.int64,
    "u8": np.uint8,
    "i8": np.int8, "i32": np.int32,
}  # fmt: skip
TOLERANCE = {"f32": 1e-6, "f64": 1e-14, "f16": 1e-3, "bf16": 8e-3}


def per_dim(value, dims):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims


def spans(shape, out, kernel, stride, padding, dilation):
    """For each output: its index, the coordinates inside along each axis, and the window's padded sizes."""
    dims = len(shape) - 2
    kernel, padding, dilation = (per_dim(v, dims) for v in (kernel, padding, dilation))
    stride = kernel if stride is None else per_dim(stride, dims)
    for o in product(*map(range, out)):
        inside, padded = [], []
        for k in range(dims):
            start = o[k] * stride[k] - padding[k]
            places = [start + j * dilation[k] for j in range(kernel[k])]
            inside.append([x for x in places if 0 <= x < shape[2 + k]])
            padded.append(sum(x < shape[2 + k] + padding[k] for x in places))
        yield o, inside, padded


def adaptive_spans(shape, out):
    for o in product(*map(range, out)):
        inside = []
        for k, x in enumerate(o):
            size = shape[2 + k]
            inside.append(list(range(x * size // out[k], -(-(x + 1) * size // out[k]))))
        yield o, inside, [len(i) for i in inside]


def reference_max(x, out, windows):
    """Values and flat indices; a later value wins if it is larger or NaN."""
    values = np.zeros((*x.shape[:2], *out), x.dtype)
    indices = np.zeros(values.shape, np.int64)
    for n, c in product(range(x.shape[0]), range(x.shape[1])):
        for o, inside, _ in windows:
            best, where = None, -1
            for place in product(*inside):
                value = x[(n, c, *place)]
                if best is None or value > best or value != value:
                    best, where = value, int(np.ravel_multi_index(place, x.shape[2:]))
            values[(n, c, *o)], indices[(n, c, *o)] = best, where
    return values, indices


def reference_avg(x, out, windows, include_pad=True, override=None):
    result = np.zeros((*x.shape[:2], *out), x.dtype)
    for o, inside, padded in windows:
        count = override or (np.prod(padded) if include_pad else max(1, np.prod([len(i) for i in inside])))
        total = x[(slice(None), slice(None), *np.ix_(*inside))].sum(tuple(range(2, x.ndim)))
        result[(slice(None), slice(None), *o)] = total / count if x.dtype.kind == "f" else total // count
    return result


def reference_avg_gradient(g, shape, windows, include_pad=True, override=None):
    result = np.zeros(shape, g.dtype)
    for o, inside, padded in windows:
        count = override or (np.prod(padded) if include_pad else max(1, np.prod([len(i) for i in inside])))
        share = g[(slice(None), slice(None), *o)].reshape(*g.shape[:2], *(1,) * (g.ndim - 2)) / count
        result[(slice(None), slice(None), *np.ix_(*inside))] += share
    return result


def sample(rng, shape, code):
    if code[0] in "iu":
        return rng.integers(0 if code[0] == "u" else -100, 100, shape).astype(NUMPY[code])
    x = rng.standard_normal(shape)
    return to_bfloat16(x) if code == "bf16" else x.astype(NUMPY[code])


def exact(x, code):
    if code == "bf16":
        return from_bfloat16(x).astype(np.float64)
    return x if code[0] in "iu" else x.astype(np.float64)


CASES = [
    # shape, kernel, stride, padding, dilation, ceil mode
    ((2, 3, 8, 8), 2, None, 0, 1, False),
    ((2, 3, 9, 35), 2, None, 0, 1, False),
    ((1, 2, 21, 40), 3, 2, 1, 1, False),
    ((2, 2, 7, 7), 3, 2, 1, 1, True),
    ((1, 2, 12, 37), 3, 1, 1, 1, False),
    ((1, 2, 15, 50), (2, 3), (1, 3), (1, 0), 1, True),
    ((1, 2, 16, 21), 3, 2, 1, 2, False),
    ((2, 1, 3, 3), 3, None, 0, 1, False),
    ((1, 2, 5, 90), (1, 5), (1, 4), (0, 2), 1, False),
    ((2, 3, 33), 2, None, 0, 1, False),
    ((2, 3, 20), 4, 3, 2, 1, True),
    ((1, 2, 5, 6, 17), 2, 1, 1, 1, False),
    ((1, 2, 6, 7, 9), (2, 3, 2), (2, 1, 2), (1, 1, 0), 1, True),
    ((1, 1, 1, 1), 1, 1, 0, 1, False),
]
MAX_TABLE = [(c, "f32") for c in CASES]
MAX_TABLE += [
    (c, t) for c in (CASES[2], CASES[8], CASES[12]) for t in ("f64", "f16", "bf16", "i64", "u8", "i8", "i32")
]
AVG_TABLE = [(c, "f32") for c in CASES if c[4] == 1]
AVG_TABLE += [(c, t) for c in (CASES[2], CASES[8], CASES[12]) for t in ("f64", "f16", "bf16", "i64")]


@pytest.mark.parametrize(("case", "code"), MAX_TABLE, ids=str)
def test_max_pool(case, code):
    shape, kernel, stride, padding, dilation, ceil = case
    rng = np.random.default_rng(1)
    x = sample(rng, shape, code)
    if code == "f32":
        x.reshape(-1)[rng.integers(0, x.size, 4)] = np.nan
        x.reshape(-1)[rng.integers(0, x.size, x.size // 3)] = -np.inf
    out = pool.pooled_shape(shape, kernel, stride, padding, dilation, ceil)[2:]
    windows = list(spans(shape, out, kernel, stride, padding, dilation))
    values, indices = reference_max(exact(x, code), out, windows)
    to, index = Guarded(values.size * x.itemsize), Guarded(8 * values.size)
    form = (code, shape, kernel, stride, padding, dilation, ceil)
    run(pool.max_pool(*form, out_slot=4, index_slot=5, input_slot=6), [to, index, guarded(x)])
    np.testing.assert_array_equal(exact(to.array(values.shape, NUMPY[code]), code), values)
    np.testing.assert_array_equal(index.array(values.shape, np.int64), indices)
    again = Guarded(values.size * x.itemsize)
    run(pool.max_pool(*form, out_slot=4, input_slot=5), [again, guarded(x)])
    assert (again.data == to.data).all()
    if code[0] in "iu":
        return
    g = sample(rng, values.shape, code)
    dx = Guarded(x.nbytes)
    run(
        pool.max_pool_backward(code, shape, values.shape, out_slot=4, grad_slot=5, index_slot=6),
        [dx, guarded(g), guarded(indices)],
    )
    expected = np.zeros((shape[0] * shape[1], x[0, 0].size))
    flat = indices.reshape(len(expected), -1)
    for row, place, value in zip(expected, flat, exact(g, code).reshape(flat.shape)):
        np.add.at(row, place, value)
    found = exact(dx.array(shape, NUMPY[code]), code)
    np.testing.assert_allclose(
        found, expected.reshape(shape), atol=4 * TOLERANCE[code], rtol=4 * TOLERANCE[code]
    )


@pytest.mark.parametrize(
    "how", [(True, None), (False, None), (True, 3)], ids=["padded", "inside", "override"]
)
@pytest.mark.parametrize(("case", "code"), AVG_TABLE, ids=str)
def test_avg_pool(case, code, how):
    shape, kernel, stride, padding, _, ceil = case
    rng = np.random.default_rng(2)
    x = sample(rng, shape, code)
    if code == "i64":
        x = abs(x)  # the quotient of a negative sum truncates, NumPy's rounds down
    out = pool.pooled_shape(shape, kernel, stride, padding, 1, ceil)[2:]
    windows = list(spans(shape, out, kernel, stride, padding, 1))
    expected = reference_avg(exact(x, code), out, windows, *how)
    to = Guarded(expected.size * x.itemsize)
    form = (code, shape, kernel, stride, padding, ceil, *how)
    run(pool.avg_pool(*form, out_slot=4, input_slot=5), [to, guarded(x)])
    found = exact(to.array(expected.shape, NUMPY[code]), code)
    limit = TOLERANCE.get(code, 0)
    np.testing.assert_allclose(found, expected, atol=limit * 4, rtol=limit)
    if code == "i64":
        return
    g = sample(rng, expected.shape, code)
    dx = Guarded(x.nbytes)
    run(pool.avg_pool_backward(*form, out_slot=4, grad_slot=5, scratch_slot=6), [dx, guarded(g)])
    expected = reference_avg_gradient(exact(g, code), shape, windows, *how)
    np.testing.assert_allclose(
        exact(dx.array(shape, NUMPY[code]), code), expected, atol=limit * 4, rtol=limit * 4
    )


@pytest.mark.parametrize(
    ("shape", "output"),
    [
        ((2, 3, 7, 9), (1, 1)), ((2, 3, 8, 40), (4, 20)), ((1, 2, 7, 50), (3, 33)), ((1, 2, 5, 5), (7, 8)),
        ((2, 2, 19), (5,)), ((1, 2, 4, 5, 6), (2, 3, 4)), ((1, 2, 6, 6), (None, 2)),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("code", ["f32", "f64", "bf16"])
def test_adaptive(shape, output, code):
    rng = np.random.default_rng(3)
    x = sample(rng, shape, code)
    out = tuple(s if o is None else o for s, o in zip(shape[2:], output))
    windows = list(adaptive_spans(shape, out))
    values, indices = reference_max(exact(x, code), out, windows)
    to, index = Guarded(values.size * x.itemsize), Guarded(8 * values.size)
    run(
        pool.adaptive_max_pool(code, shape, output, out_slot=4, index_slot=5, input_slot=6),
        [to, index, guarded(x)],
    )
    np.testing.assert_array_equal(exact(to.array(values.shape, NUMPY[code]), code), values)
    np.testing.assert_array_equal(index.array(values.shape, np.int64), indices)
    limit = TOLERANCE[code]
    to = Guarded(values.size * x.itemsize)
    run(pool.adaptive_avg_pool(code, shape, output, out_slot=4, input_slot=5), [to, guarded(x)])
    found = exact(to.array(values.shape, NUMPY[code]), code)
    np.testing.assert_allclose(found, reference_avg(exact(x, code), out, windows), atol=limit, rtol=limit)
    g = sample(rng, values.shape, code)
    dx = Guarded(x.nbytes)
    schedule = pool.adaptive_avg_pool_backward(code, shape, output, out_slot=4, grad_slot=5, scratch_slot=6)
    run(schedule, [dx, guarded(g)])
    expected = reference_avg_gradient(exact(g, code), shape, windows)
    np.testing.assert_allclose(
        exact(dx.array(shape, NUMPY[code]), code), expected, atol=limit * 4, rtol=limit * 4
    )


def test_strides():
    """Operands and results of other layouts: channels last, and a gradient expanded from one number."""
    shape, kernel = (2, 5, 9, 40), 2
    rng = np.random.default_rng(4)
    x = rng.standard_normal(shape).astype(np.float32)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    steps = tuple(s // 4 for s in last.transpose(0, 3, 1, 2).strides)
    out = pool.pooled_shape(shape, kernel)
    to_steps = (out[1] * out[2] * out[3], 1, out[3] * out[1], out[1])
    windows = list(spans(shape, out[2:], kernel, None, 0, 1))
    values, indices = reference_max(x, out[2:], windows)
    to, index = Guarded(values.nbytes), Guarded(indices.nbytes)
    schedule = pool.max_pool(
        "f32",
        shape,
        kernel,
        out_slot=4,
        index_slot=5,
        input_slot=6,
        input_strides=steps,
        out_strides=to_steps,
    )
    run(schedule, [to, index, guarded(last)])
    shown = (out[0], *out[2:], out[1])
    np.testing.assert_array_equal(to.array(shown, np.float32).transpose(0, 3, 1, 2), values)
    np.testing.assert_array_equal(index.array(shown, np.int64).transpose(0, 3, 1, 2), indices)
    one, dx = np.full(1, 0.5, np.float32), Guarded(x.nbytes)
    run(
        pool.avg_pool_backward(
            "f32", shape, kernel, out_slot=4, grad_slot=5, scratch_slot=6, grad_strides=(0, 0, 0, 0)
        ),
        [dx, guarded(one)],
    )
    expected = reference_avg_gradient(np.full(out, 0.5, np.float32), shape, windows)
    np.testing.assert_array_equal(dx.array(shape, np.float32), expected)


def test_bad_index_is_refused():
    g, indices = np.ones((1, 1, 2, 2), np.float32), np.array([0, 3, 16, 2])
    schedule = pool.max_pool_backward("f32", (1, 1, 4, 4), g.shape, out_slot=4, grad_slot=5, index_slot=6)
    buffers = [Guarded(64), guarded(g), guarded(indices)]
    call = runtime.program([], 3, schedule.steps)
    assert call(*[x for b in buffers for x in (b.memory, 0)]) is None
    assert list(runtime.error_record[:3]) == [1, 16, 2]
    for one in buffers:
        one.check()


def test_threads_do_not_change_results():
    shape = (4, 40, 24, 24)
    rng = np.random.default_rng(5)
    x, threads = rng.standard_normal(shape).astype(np.float32), runtime.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            runtime.set_num_threads(count)
            to, index, dx, mean = (Guarded(n) for n in (x.nbytes // 4, x.nbytes // 2, x.nbytes, x.nbytes))
            run(
                pool.max_pool("f32", shape, 2, out_slot=4, index_slot=5, input_slot=6),
                [to, index, guarded(x)],
            )
            half = (*shape[:2], 12, 12)
            back = pool.max_pool_backward("f32", shape, half, out_slot=4, grad_slot=5, index_slot=6)
            run(back, [dx, to, index])
            run(pool.avg_pool("f32", shape, 3, 1, 1, out_slot=4, input_slot=5), [mean, guarded(x)])
            found.append([b.data.copy() for b in (to, index, dx, mean)])
    finally:
        runtime.set_num_threads(threads)
    assert all((a == b).all() for a, b in zip(*found))
