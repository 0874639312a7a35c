"""Convolution schedules against sums written in NumPy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from flambeau.backend.cpu import conv, runtime

from .guarded import Guarded, from_bfloat16, guarded, run, to_bfloat16

NUMPY = {
    "f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": np.uint16, "i64": np.int64, "i8": np.int8,
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
    ((2, 3, 6, 7, 8), (4, 3, 3, 3, 3), 1, 1, 1, 1),
    ((1, 4, 7, 9, 10), (6, 2, 3, 2, 3), (2, 1, 2), (1, 0, 1), (1, 2, 1), 2),
    ((1, 24, 12, 20, 21), (8, 24, 3, 3, 3), 1, 1, 1, 1),
    ((1, 1, 1, 1), (1, 1, 1, 1), 1, 0, 1, 1),
    ((1, 3, 300, 9), (2, 3, 3, 9), 1, (1, 4), 1, 1),
]
SMALL = [CASES[k] for k in (0, 8, 10, 12, 16, 25)]
TABLE = [(case, "f32") for case in CASES] + [(c, "f64") for c in CASES[::2]]
TABLE += [(c, t) for c in SMALL for t in ("f16", "bf16", "i64", "c64")] + [(CASES[0], t) for t in ("i8", "u8", "c128")]


def options(case):
    _, _, stride, padding, dilation, groups = case
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def make(case, code, seed=0):
    rng = np.random.default_rng(seed)
    x_shape, w_shape = case[:2]
    x, w, b = (sample(rng, s, code) for s in (x_shape, w_shape, w_shape[:1]))
    g = sample(rng, conv.output_shape(x_shape, w_shape, **{k: v for k, v in options(case).items() if k != "groups"}), code)
    return x, w, b, g


@pytest.mark.parametrize(("case", "code"), TABLE, ids=str)
def test_forward(case, code):
    x, w, b, g = make(case, code)
    out = Guarded(g.nbytes)
    schedule = conv.forward(
        code, x.shape, w.shape, **options(case), out_slot=4, input_slot=5, weight_slot=6, bias_slot=7, scratch_slot=8
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
        code, x.shape, w.shape, **options(case), out_slot=4, bias_out_slot=5, grad_slot=6, input_slot=7, scratch_slot=8
    )
    run(schedule, [out, bias, guarded(g), guarded(x)])
    x, g = exact(x, code), exact(g, code)
    expected = reference_weight(x, w.shape, g, **options(case))
    terms = g[:, 0].size
    assert_near(out.array(w.shape, NUMPY[code]), expected, code, terms)
    assert_near(bias.array(b.shape, NUMPY[code]), g.sum((0, *range(2, g.ndim))), code, terms)
