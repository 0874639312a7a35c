"""Convolutions of few pixels, which read weights from where they lie, against sums written in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from flambeau.backend.cpu import conv, conv_few, conv_plan, runtime

from .guarded import Guarded, guarded, run
from .test_conv import (
    CASES,
    NUMPY,
    assert_near,
    exact,
    make,
    options,
    reference_forward,
    reference_input,
)

# input, weight, stride, padding, dilation, groups
FEW = [
    ((1, 32, 4, 4), (24, 32, 3, 3), 1, 1, 1, 1),
    ((1, 20, 8, 8), (19, 20, 3, 3), 1, 1, 1, 1),
    ((1, 12, 8, 8), (17, 12, 3, 3), 2, 1, 1, 1),
    ((1, 13, 8, 8), (33, 13, 1, 1), 2, 0, 1, 1),
    ((1, 40, 4, 4), (21, 40, 1, 1), 1, 0, 1, 1),
    ((4, 9, 4, 4), (7, 9, 1, 1), 1, 0, 1, 1),
    ((3, 8, 3, 3), (10, 8, 3, 3), 1, 1, 1, 1),
    ((2, 24, 4, 4), (24, 4, 3, 3), 1, 1, 1, 6),
    ((1, 16, 6, 7), (16, 1, 3, 3), 1, 2, 2, 16),
    ((5, 17, 1, 1), (9, 17, 1, 1), 1, 0, 1, 1),
    ((1, 7, 1, 1), (1, 7, 3, 3), 1, 1, 1, 1),
    ((3, 39, 1, 1), (18, 13, 1, 1), 1, 0, 1, 3),
    ((1, 21, 2, 2), (13, 21, 3, 3), 1, 1, 1, 1),
    ((2, 6, 3), (10, 3, 2), 1, 0, 1, 2),
    ((1, 6, 10, 10), (11, 6, 5, 5), 1, 0, 1, 1),
    ((1, 5, 9, 13), (12, 5, 3, 2), (2, 3), ((1, 0), (2, 1)), (1, 2), 1),
    ((1, 3, 24, 24), (15, 3, 8, 8), 8, 0, 1, 1),
    ((1, 10, 15, 15), (9, 10, 3, 3), 1, 1, 1, 1),
    ((2, 10, 11), (12, 5, 3), 1, 1, 1, 2),
    ((1, 8, 33), (10, 8, 5), 2, 2, 2, 1),
    ((1, 6, 3, 4, 4), (14, 6, 3, 3, 3), 1, 1, 1, 1),
    ((2, 4, 4, 5, 6), (6, 2, 2, 3, 2), (2, 1, 2), (1, 0, 1), (1, 2, 1), 2),
]
SHORT = [FEW[k] for k in (0, 2, 4, 6, 7, 9, 11, 12, 13, 15, 18, 21)]
CODES = [(case, "f32") for case in FEW] + [(case, "f64") for case in FEW]


@pytest.fixture(autouse=True)
def always(monkeypatch):
    monkeypatch.setattr(conv_few, "pays", lambda sweep: True)


def forward(case, code, **slots):
    return conv.forward(code, *case[:2], **options(case), out_slot=4, input_slot=5, weight_slot=6, **slots)


def check(case, code, seed=0):
    """The result and the gradient of the input, between guard pages."""
    x, w, b, g = make(case, code, seed)
    out = Guarded(g.nbytes)
    run(forward(case, code, bias_slot=7, scratch_slot=8), [out, guarded(x), guarded(w), guarded(b)])
    expected = reference_forward(*(exact(a, code) for a in (x, w, b)), **options(case))
    assert_near(out.array(g.shape, NUMPY[code]), expected, code, w[0].size)
    back = conv.backward_input(
        code, x.shape, w.shape, **options(case), out_slot=4, grad_slot=5, weight_slot=6, scratch_slot=7
    )
    dx = Guarded(x.nbytes)
    run(back, [dx, guarded(g), guarded(w)])
    expected = reference_input(x.shape, exact(w, code), exact(g, code), **options(case))
    assert_near(dx.array(x.shape, NUMPY[code]), expected, code, w[:, 0].size)


@pytest.mark.parametrize(("case", "code"), CODES, ids=str)
def test_values(case, code):
    check(case, code)


@pytest.mark.parametrize("case", CASES[::3], ids=str)
def test_values_of_any_size(case):
    """The form is right wherever it is taken, not only where it pays."""
    if np.prod(case[0]) < 20_000:
        check(case, "f32", 1)


@pytest.mark.parametrize("case", SHORT, ids=str)
def test_short_vectors(case, monkeypatch):
    """Processors with half as many registers of a quarter of the lanes."""
    for module in (conv_few, conv_plan):
        monkeypatch.setattr(module, "lanes_of", lambda t: 4)
        monkeypatch.setattr(module, "tile_shapes", lambda: ((4, 3), (2, 4), (1, 6)))
    check(case, "f32", 2)


@pytest.mark.parametrize("case", [FEW[k] for k in (0, 1, 7, 9, 11, 12, 15)], ids=str)
def test_channels_last(case):
    """Neither operand nor result has its pixels in a row."""
    x, w, b, g = make(case, "f32")
    last = [np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, g)]
    strides = [tuple(s // 4 for s in np.moveaxis(a, -1, 1).strides) for a in last]
    schedule = forward(
        case, "f32", bias_slot=7, scratch_slot=8, input_strides=strides[0], out_strides=strides[1]
    )
    out = Guarded(g.nbytes)
    run(schedule, [out, guarded(last[0]), guarded(w), guarded(b)])
    found = np.moveaxis(out.array(last[1].shape, np.float32), -1, 1)
    expected = reference_forward(*(exact(a, "f32") for a in (x, w, b)), **options(case))
    assert_near(found, expected, "f32", w[0].size)


def test_an_expanded_operand():
    """Strides of zero: all samples and channels are one plane."""
    w = make(FEW[0], "f32")[1]
    plane = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    case = ((2, 32, 4, 4), *FEW[0][1:])
    out = Guarded(2 * 24 * 16 * 4)
    run(forward(case, "f32", scratch_slot=7, input_strides=(0, 0, 4, 1)), [out, guarded(plane), guarded(w)])
    x = np.broadcast_to(plane, case[0]).astype(np.float64)
    expected = reference_forward(x, exact(w, "f32"), None, **options(case))
    assert abs(out.array((2, 24, 4, 4), np.float32) - expected).max() < 1e-3


@pytest.mark.parametrize(
    "case",
    [
        ((1, 128, 4, 4), (128, 128, 3, 3), 1, 1, 1, 1), ((1, 64, 8, 8), (130, 64, 3, 3), 2, 1, 1, 1),
        ((2, 96, 4, 4), (192, 96, 1, 1), 1, 0, 1, 1), ((3, 70, 14, 14), (8, 70, 3, 3), 1, 1, 1, 1),
        ((1, 256, 4, 4), (256, 32, 3, 3), 1, 1, 1, 8),
    ],
    ids=str,
)  # fmt: skip
def test_threads_do_not_change_results(case):
    """Large enough to be shared: the same bits on one and two threads."""
    x, w, _, g = make(case, "f32")
    threads, found = runtime.get_num_threads(), []
    schedule = forward(case, "f32", scratch_slot=7)
    assert all(n > chunk for _, _, n, chunk in schedule.steps[-1:])
    try:
        for count in (1, 2):
            runtime.set_num_threads(count)
            y = Guarded(g.nbytes)
            run(schedule, [y, guarded(x), guarded(w)])
            found.append(y.array(g.shape, np.float32))
    finally:
        runtime.set_num_threads(threads)
    assert (found[0] == found[1]).all()
    assert_near(
        found[0], reference_forward(exact(x, "f32"), exact(w, "f32"), None, **options(case)), "f32", w[0].size
    )
