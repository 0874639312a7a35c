"""Convolution schedules against sums written in NumPy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from flambeau.backend.cpu import conv, runtime

from .guarded import Guarded, from_bfloat16, guarded, run, to_bfloat16

NUMPY = {
    "f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": np.uint16, "i64": np.int64,
    "i8": np.int8,
    "u8": np.uint8, "c64": np.complex64, "c128": np.complex128,
}  # fmt: skip
TOLERANCE = {"f32": 2e-5, "f64": 1e-13, "f16": 2e-3, "bf16": 1.6e-2, "c64": 2e-5, "c128": 1e-13}


def per_dim(value, dims):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims


def sides(padding, dims):
    return [p if isinstance(p, tuple) else (p, p) for p in per_dim(padding, dims)]


def windows(out, weight_shape, stride, dilation):
    """(tap index, the part of a padded array that this tap touches) for each tap."""
    dims = len(out)
    stride, dilation = per_dim(stride, dims), per_dim(dilation, dims)
    for tap in product(*map(range, weight_shape[2:])):
        cut = [slice(k * d, k * d + (o - 1) * t + 1, t) for k, d, o, t in zip(tap, dilation, out, stride)]
        yield (slice(None), slice(None), *tap), (slice(None), slice(None), *cut)


def pad(x, padding):
    return np.pad(x, [(0, 0), (0, 0), *sides(padding, x.ndim - 2)])


def reference_forward(x, w, b, stride, padding, dilation, groups):
    out = conv.output_shape(x.shape, w.shape, stride=stride, padding=padding, dilation=dilation)
    result = np.zeros(out, np.result_type(x, w))
    for part, xg, wg in zip(np.split(result, groups, 1), np.split(x, groups, 1), np.split(w, groups, 0)):
        padded = pad(xg, padding)
        for tap, cut in windows(out[2:], w.shape, stride, dilation):
            part += np.einsum("nc...,oc->no...", padded[cut], wg[tap])
    return result if b is None else result + b.reshape(1, -1, *(1,) * (x.ndim - 2))


def reference_input(x_shape, w, g, stride, padding, dilation, groups):
    inside = [slice(a, a + s) for (a, _), s in zip(sides(padding, len(x_shape) - 2), x_shape[2:])]
    result = pad(np.zeros(x_shape, np.result_type(w, g)), padding)
    for part, gg, wg in zip(np.split(result, groups, 1), np.split(g, groups, 1), np.split(w, groups, 0)):
        for tap, cut in windows(g.shape[2:], w.shape, stride, dilation):
            part[cut] += np.einsum("no...,oc->nc...", gg, wg[tap])
    return result[(slice(None), slice(None), *inside)]


def reference_weight(x, w_shape, g, stride, padding, dilation, groups):
    result = np.zeros(w_shape, np.result_type(x, g))
    for part, xg, gg in zip(np.split(result, groups, 0), np.split(x, groups, 1), np.split(g, groups, 1)):
        padded = pad(xg, padding)
        for tap, cut in windows(g.shape[2:], w_shape, stride, dilation):
            seen = padded[cut].reshape(*xg.shape[:2], -1)
            part[tap] = np.einsum("ncp,nop->oc", seen, gg.reshape(*gg.shape[:2], -1))
    return result


def sample(rng, shape, code):
    if code in ("i64", "i8", "u8"):
        return rng.integers(0 if code == "u8" else -9, 10, shape).astype(NUMPY[code])
    if code in ("c64", "c128"):
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(NUMPY[code])
    x = rng.standard_normal(shape)
    return to_bfloat16(x) if code == "bf16" else x.astype(NUMPY[code])


def exact(x, code):
    """The values in the type in which the reference computes."""
    if code == "bf16":
        return from_bfloat16(x).astype(np.float64)
    return x if code in ("i64", "i8", "u8") else x.astype(np.complex128 if code[0] == "c" else np.float64)


def assert_near(found, expected, code, terms):
    if code in ("i64", "i8", "u8"):
        assert (found == expected.astype(NUMPY[code])).all()
        return
    found = exact(found, code)
    limit = TOLERANCE[code] * max(1.0, terms**0.5)
    assert abs(found - expected).max() <= limit, (abs(found - expected).max(), limit)


CASES = [
    # input, weight, stride, padding, dilation, groups
    ((2, 3, 9, 11), (5, 3, 3, 3), 1, 1, 1, 1),
    ((1, 16, 20, 20), (24, 16, 3, 3), 1, 1, 1, 1),
    ((2, 4, 17, 16), (9, 4, 3, 3), 1, 0, 1, 1),
    ((3, 8, 7, 7), (8, 8, 1, 1), 1, 0, 1, 1),
    ((2, 8, 5, 3), (16, 8, 1, 1), 1, 0, 1, 1),
    ((2, 3, 23, 22), (12, 3, 7, 7), 2, 3, 1, 1),
    ((2, 4, 15, 14), (6, 4, 3, 3), 2, 1, 1, 1),
    ((2, 4, 14, 15), (6, 4, 1, 1), 2, 0, 1, 1),
    ((2, 3, 16, 19), (4, 3, 3, 2), (2, 3), (1, 0), (1, 2), 1),
    ((1, 2, 18, 18), (3, 2, 4, 5), (3, 1), 2, (2, 1), 1),
    ((2, 6, 12, 13), (6, 1, 3, 3), 1, 1, 1, 6),
    ((2, 4, 12, 13), (8, 1, 5, 5), 2, 2, 1, 4),
    ((2, 8, 10, 10), (12, 2, 3, 3), 1, 1, 1, 4),
    ((2, 3, 8, 8), (4, 3, 3, 3), 1, ((2, 1), (0, 2)), 1, 1),
    ((1, 2, 6, 6), (2, 2, 2, 2), 1, 3, 1, 1),
    ((2, 2, 9, 9), (3, 2, 1, 1), 3, 1, 1, 1),
    ((18, 16, 3, 3), (20, 16, 3, 3), 1, 1, 1, 1),
    ((5, 16, 4, 5), (17, 16, 3, 3), 2, 1, 1, 1),
    ((4, 32, 1, 1), (16, 32, 1, 1), 1, 0, 1, 1),
    ((16, 20, 2, 2), (16, 20, 3, 3), 1, 1, 1, 1),
    ((1, 64, 30, 31), (8, 64, 3, 3), 1, 1, 1, 1),
    ((1, 40, 70, 60), (8, 40, 3, 3), 2, 1, 1, 1),
    ((2, 3, 50), (4, 3, 3), 1, 1, 1, 1),
    ((2, 4, 33), (6, 2, 5), 2, 2, 2, 2),
    ((1, 2, 9000), (3, 2, 7), 1, (3,), 2, 1),
    ((17, 6, 5), (16, 6, 3), 1, 1, 1, 1),
    ((4, 33, 6), (9, 33, 5), 1, 2, 1, 1),
    ((2, 16, 8, 6, 7), (20, 16, 2, 3, 2), (3, 1, 1), (2, 1, 4), 1, 1),
    ((1, 24, 8, 8), (72, 3, 3, 3), 1, (0, 1), 1, 8),
    ((3, 16, 70), (4, 16, 1), 3, 1, 1, 1),
    ((4, 32, 4, 1), (8, 16, 3, 3), 3, 1, 1, 2),
    ((5, 16, 2, 2), (9, 16, 1, 3), 3, (1, 2), 1, 1),
    ((2, 3, 6, 7, 8), (4, 3, 3, 3, 3), 1, 1, 1, 1),
    ((1, 4, 7, 9, 10), (6, 2, 3, 2, 3), (2, 1, 2), (1, 0, 1), (1, 2, 1), 2),
    ((1, 24, 12, 20, 21), (8, 24, 3, 3, 3), 1, 1, 1, 1),
    ((1, 1, 1, 1), (1, 1, 1, 1), 1, 0, 1, 1),
    ((19, 8, 6, 6), (8, 8, 1, 1), 1, 0, 1, 1),
    ((17, 5, 8, 8), (9, 5, 3, 3), 1, 1, 1, 1),
    ((17, 6, 9, 8), (16, 3, 3, 5), 1, (0, 2), 1, 2),
    ((1, 3, 300, 9), (2, 3, 3, 9), 1, (1, 4), 1, 1),
]
SMALL = [CASES[k] for k in (0, 8, 10, 12, 16, 25)]
TABLE = [(case, "f32") for case in CASES] + [(c, "f64") for c in CASES[::2]]
TABLE += [(c, t) for c in SMALL for t in ("f16", "bf16", "i64", "c64")] + [
    (CASES[0], t) for t in ("i8", "u8", "c128")
]


def options(case):
    _, _, stride, padding, dilation, groups = case
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def make(case, code, seed=0):
    rng = np.random.default_rng(seed)
    x_shape, w_shape = case[:2]
    x, w, b = (sample(rng, s, code) for s in (x_shape, w_shape, w_shape[:1]))
    g = sample(
        rng,
        conv.output_shape(x_shape, w_shape, **{k: v for k, v in options(case).items() if k != "groups"}),
        code,
    )
    return x, w, b, g


@pytest.mark.parametrize(("case", "code"), TABLE, ids=str)
def test_forward(case, code):
    x, w, b, g = make(case, code)
    out = Guarded(g.nbytes)
    schedule = conv.forward(
        code,
        x.shape,
        w.shape,
        **options(case),
        out_slot=4,
        input_slot=5,
        weight_slot=6,
        bias_slot=7,
        scratch_slot=8,
    )
    run(schedule, [out, guarded(x), guarded(w), guarded(b)])
    expected = reference_forward(*(exact(a, code) for a in (x, w, b)), **options(case))
    assert_near(out.array(g.shape, NUMPY[code]), expected, code, w[0].size)


@pytest.mark.parametrize(("case", "code"), TABLE, ids=str)
def test_backward_input(case, code):
    x, w, _, g = make(case, code)
    out = Guarded(x.nbytes)
    schedule = conv.backward_input(
        code, x.shape, w.shape, **options(case), out_slot=4, grad_slot=5, weight_slot=6, scratch_slot=7
    )
    run(schedule, [out, guarded(g), guarded(w)])
    expected = reference_input(x.shape, exact(w, code), exact(g, code), **options(case))
    assert_near(out.array(x.shape, NUMPY[code]), expected, code, w[:, 0].size)


@pytest.mark.parametrize(("case", "code"), TABLE, ids=str)
def test_backward_weight(case, code):
    x, w, b, g = make(case, code)
    out, bias = Guarded(w.nbytes), Guarded(b.nbytes)
    schedule = conv.backward_weight(
        code,
        x.shape,
        w.shape,
        **options(case),
        out_slot=4,
        bias_out_slot=5,
        grad_slot=6,
        input_slot=7,
        scratch_slot=8,
    )
    run(schedule, [out, bias, guarded(g), guarded(x)])
    x, g = exact(x, code), exact(g, code)
    expected = reference_weight(x, w.shape, g, **options(case))
    terms = g[:, 0].size
    assert_near(out.array(w.shape, NUMPY[code]), expected, code, terms)
    assert_near(bias.array(b.shape, NUMPY[code]), g.sum((0, *range(2, g.ndim))), code, terms)


def last(x):
    """The channels-last copy of an array and its element strides in the logical order."""
    order = (0, *range(2, x.ndim), 1)
    moved = np.ascontiguousarray(x.transpose(order))
    back = moved.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))
    return moved, tuple(s // x.itemsize for s in back.strides)


@pytest.mark.parametrize("case", [CASES[k] for k in (0, 2, 3, 6, 10, 16, 24, 28, 29, 30)], ids=str)
def test_channels_last(case):
    x, w, b, g = make(case, "f32")
    (x_last, x_steps), (g_last, g_steps) = last(x), last(g)
    form, logical = options(case), (0, x.ndim - 1, *range(1, x.ndim - 1))
    out = Guarded(g.nbytes)
    schedule = conv.forward(
        "f32", x.shape, w.shape, **form, out_slot=4, input_slot=5, weight_slot=6, bias_slot=7, scratch_slot=8,
        input_strides=x_steps, out_strides=g_steps,
    )  # fmt: skip
    run(schedule, [out, guarded(x_last), guarded(w), guarded(b)])
    found = out.array(g_last.shape, np.float32).transpose(logical)
    assert_near(found, reference_forward(*(exact(a, "f32") for a in (x, w, b)), **form), "f32", w[0].size)
    out = Guarded(x.nbytes)
    schedule = conv.backward_input(
        "f32", x.shape, w.shape, **form, out_slot=4, grad_slot=5, weight_slot=6, scratch_slot=7,
        grad_strides=g_steps, out_strides=x_steps,
    )  # fmt: skip
    run(schedule, [out, guarded(g_last), guarded(w)])
    found = out.array(x_last.shape, np.float32).transpose(logical)
    expected = reference_input(x.shape, exact(w, "f32"), exact(g, "f32"), **form)
    assert_near(found, expected, "f32", w[:, 0].size)
    out, bias = Guarded(w.nbytes), Guarded(b.nbytes)
    schedule = conv.backward_weight(
        "f32", x.shape, w.shape, **form, out_slot=4, bias_out_slot=5, grad_slot=6, input_slot=7,
        scratch_slot=8,
        input_strides=x_steps, grad_strides=g_steps,
    )  # fmt: skip
    run(schedule, [out, bias, guarded(g_last), guarded(x_last)])
    expected = reference_weight(exact(x, "f32"), w.shape, exact(g, "f32"), **form)
    assert_near(out.array(w.shape, np.float32), expected, "f32", g[:, 0].size)
    assert_near(
        bias.array(b.shape, np.float32), exact(g, "f32").sum((0, *range(2, g.ndim))), "f32", g[:, 0].size
    )


def test_expanded_gradient():
    """A gradient of zero strides, as that of a sum."""
    case = CASES[1]
    x, w, b, g = make(case, "f32")
    out, bias = Guarded(w.nbytes), Guarded(b.nbytes)
    schedule = conv.backward_weight(
        "f32", x.shape, w.shape, **options(case), out_slot=4, bias_out_slot=5, grad_slot=6, input_slot=7,
        scratch_slot=8, grad_strides=(0, 0, 0, 0),
    )  # fmt: skip
    run(schedule, [out, bias, guarded(np.ones(1, np.float32)), guarded(x)])
    expected = reference_weight(exact(x, "f32"), w.shape, np.ones(g.shape), **options(case))
    assert_near(out.array(w.shape, np.float32), expected, "f32", g[:, 0].size)
    assert (bias.array(b.shape, np.float32) == g[:, 0].size).all()


@pytest.mark.parametrize("code", ["f32", "f64", "i64", "c64"])
@pytest.mark.parametrize(
    ("shape", "stride", "padding", "output_padding", "dilation"),
    [
        ((2, 6, 5, 7), 2, 1, 1, 1),
        ((1, 6, 4, 4), 3, 0, 2, 1),
        ((2, 6, 5, 5), 1, 1, 0, 2),
        ((1, 6, 4, 5), 2, 2, 2, 3),
    ],
)
def test_transposed(code, shape, stride, padding, output_padding, dilation):
    """Transposed convolution with bias, its output padding in the shape of what is written."""
    rng = np.random.default_rng(3)
    x, w, b = sample(rng, shape, code), sample(rng, (6, 4, 3, 3), code), sample(rng, (8,), code)
    sizes = [(s - 1) * stride - 2 * padding + dilation * 2 + output_padding + 1 for s in shape[2:]]
    out_shape, form = (
        (shape[0], 8, *sizes),
        {"stride": stride, "padding": padding, "dilation": dilation, "groups": 2},
    )
    out = Guarded(int(np.prod(out_shape)) * x.itemsize)
    schedule = conv.backward_input(
        code, out_shape, w.shape, **form, out_slot=4, grad_slot=5, weight_slot=6, bias_slot=7, scratch_slot=8,
        grad_shape=shape,
    )  # fmt: skip
    run(schedule, [out, guarded(x), guarded(w), guarded(b)])
    expected = reference_input(out_shape, exact(w, code), exact(x, code), **form) + exact(b, code).reshape(
        -1, 1, 1
    )
    assert_near(out.array(out_shape, NUMPY[code]), expected, code, 54)
    dw = Guarded(w.nbytes)
    g = sample(rng, out_shape, code)
    schedule = conv.backward_weight(
        code,
        out_shape,
        w.shape,
        **form,
        out_slot=4,
        grad_slot=5,
        input_slot=6,
        scratch_slot=7,
        grad_shape=shape,
    )
    run(schedule, [dw, guarded(x), guarded(g)])
    expected = reference_weight(exact(g, code), w.shape, exact(x, code), **form)
    assert_near(dw.array(w.shape, NUMPY[code]), expected, code, x[:, 0].size)


@pytest.mark.parametrize(
    "case",
    [
        ((6, 32, 28, 28), (64, 32, 3, 3), 1, 1, 1, 1), ((1, 64, 24, 24), (64, 64, 3, 3), 1, 1, 1, 1),
        ((16, 64, 4, 4), (64, 64, 3, 3), 1, 1, 1, 1), ((4, 64, 28, 28), (64, 1, 3, 3), 2, 1, 1, 64),
        ((1, 64, 12, 12), (128, 64, 1, 1), 1, 0, 1, 1),
    ],
    ids=str,
)  # fmt: skip
def test_threads_do_not_change_results(case):
    """Large enough to be shared: every schedule gives the same bits on one and two threads, and is right."""
    x, w, _, g = make(case, "f32")
    form, threads, found = options(case), runtime.get_num_threads(), []
    slots = {"out_slot": 4, "scratch_slot": 7}
    forward = conv.forward("f32", x.shape, w.shape, **form, input_slot=5, weight_slot=6, **slots)
    inputs = conv.backward_input("f32", x.shape, w.shape, **form, grad_slot=5, weight_slot=6, **slots)
    weights = conv.backward_weight("f32", x.shape, w.shape, **form, grad_slot=5, input_slot=6, **slots)
    try:
        for count in (1, 2):
            runtime.set_num_threads(count)
            y, dx, dw = Guarded(g.nbytes), Guarded(x.nbytes), Guarded(w.nbytes)
            run(forward, [y, guarded(x), guarded(w)])
            run(inputs, [dx, guarded(g), guarded(w)])
            run(weights, [dw, guarded(g), guarded(x)])
            found.append([a.array(s, np.float32) for a, s in ((y, g.shape), (dx, x.shape), (dw, w.shape))])
    finally:
        runtime.set_num_threads(threads)
    assert all((a == b).all() for a, b in zip(*found))
    x, w, g = (exact(a, "f32") for a in (x, w, g))
    assert_near(found[1][0], reference_forward(x, w, None, **form), "f32", w[0].size)
    assert_near(found[1][1], reference_input(x.shape, w, g, **form), "f32", w[:, 0].size)
    assert_near(found[1][2], reference_weight(x, w.shape, g, **form), "f32", g[:, 0].size)


@pytest.mark.parametrize("code", ["f32", "i64"])
def test_no_samples(code):
    """An empty batch: nothing to write, and a gradient of zeros."""
    x, w, g = (
        np.zeros((0, 3, 8, 8), NUMPY[code]),
        np.ones((4, 3, 3, 3), NUMPY[code]),
        np.zeros((0, 4, 6, 6), NUMPY[code]),
    )
    out = Guarded(0)
    run(
        conv.forward(code, x.shape, w.shape, out_slot=4, input_slot=5, weight_slot=6, scratch_slot=7),
        [out] * 3,
    )
    run(
        conv.backward_input(code, x.shape, w.shape, out_slot=4, grad_slot=5, weight_slot=6, scratch_slot=7),
        [out] * 3,
    )
    dw, db = Guarded(w.nbytes), Guarded(w[:, 0, 0, 0].nbytes)
    schedule = conv.backward_weight(
        code, x.shape, w.shape, out_slot=4, bias_out_slot=5, grad_slot=6, input_slot=7, scratch_slot=8
    )
    run(schedule, [dw, db, guarded(g), guarded(x)])
    assert not dw.data.any()
    assert not db.data.any()
