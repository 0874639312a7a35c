"""What is done to all gradients in one call: norms, clipping, unscaling, against the same in operators."""

from __future__ import annotations

import math

import pytest

import flambeau
from flambeau.nn.utils import clip_grad_norm_, get_total_norm
from flambeau.ops.define import OPERATORS, function_of

norm, clip, unscale = (function_of(OPERATORS[f"gradients.{name}"]) for name in ("norm", "clip_", "unscale_"))
SHAPES = [(3, 4), (9000,), (1,), (200, 100), (0, 3), (17,)]


def tensors(dtype=flambeau.float32):
    flambeau.manual_seed(0)
    return [flambeau.randn(shape).to(dtype) for shape in SHAPES]


@pytest.mark.parametrize("dtype", [flambeau.float32, flambeau.float64, flambeau.bfloat16, flambeau.float16])
@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_norms(dtype, p):
    given = [t for t in tensors(dtype) if p != math.inf or t.numel()]
    wanted = flambeau.norm(flambeau.cat([t.double().reshape(-1) for t in given]), p)
    found = norm(given, p)
    assert found.dtype is dtype
    bound = {2: 1e-2, 4: 1e-6, 8: 1e-14}[dtype.itemsize]
    assert abs(found.item() - wanted.item()) <= bound * wanted.item()


def test_norms_do_not_depend_on_the_number_of_threads():
    given = [flambeau.randn(300, 500), flambeau.randn(70000)]
    threads = flambeau.get_num_threads()
    found = set()
    try:
        for count in (1, 2, 3):
            flambeau.set_num_threads(count)
            found.add(norm(given, 2.0).item())
    finally:
        flambeau.set_num_threads(threads)
    assert len(found) == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_norms_show_what_is_not_finite(bad, p):
    given = [flambeau.ones(5000), flambeau.ones(40)]
    given[1][33] = bad
    found = norm(given, p).item()
    assert math.isnan(found) if math.isnan(bad) else found == math.inf


def test_a_nan_is_not_hidden_by_an_infinity():
    given = [flambeau.ones(50)]
    given[0][3], given[0][20] = math.inf, math.nan
    assert math.isnan(norm(given, math.inf).item())


@pytest.mark.parametrize("most", [0.5, 1e6])
def test_clipping_equals_operators(most):
    parameters = [flambeau.nn.Parameter(t) for t in tensors()]
    for p in parameters:
        p.grad = flambeau.randn(p.shape)
    before = [p.grad.clone() for p in parameters]
    versions = [p.grad._version for p in parameters]
    total = clip_grad_norm_(parameters, most)
    factor = min(1.0, most / (total.item() + 1e-6))
    for p, g, v in zip(parameters, before, versions):
        assert flambeau.allclose(p.grad, g * factor, rtol=1e-6)
        assert p.grad._version == v + 1
    assert get_total_norm([p.grad for p in parameters]).item() <= most * (1 + 1e-5)


def test_clipping_of_gradients_with_gaps_and_several_types():
    parameters = [flambeau.nn.Parameter(flambeau.ones(4)) for _ in range(3)]
    parameters[0].grad = flambeau.ones(4, 2)[:, 0] * 1
    parameters[1].grad = flambeau.full((4, 2), 2.0).T[1]
    parameters[2].grad = flambeau.ones(4)
    assert abs(clip_grad_norm_(parameters, 1.0).item() - math.sqrt(24)) < 1e-6
    assert abs(get_total_norm([p.grad for p in parameters]).item() - 1) < 1e-5


@pytest.mark.parametrize("dtype", [flambeau.float32, flambeau.float64, flambeau.bfloat16])
def test_unscaling(dtype):
    given = tensors(dtype)
    wanted = [t * 0.25 for t in given]
    found = flambeau.zeros(())
    unscale(given, found, flambeau.tensor(0.25))
    assert found.item() == 0
    assert all(flambeau.equal(a, b) for a, b in zip(given, wanted))
    for bad in (math.inf, -math.inf, math.nan):
        given = tensors(dtype)
        given[3][150, 7] = bad
        found = flambeau.zeros(())
        unscale(given, found, flambeau.tensor(1.0))
        assert found.item() == 1


def test_bad_input():
    with pytest.raises(RuntimeError, match="share a dtype"):
        norm([flambeau.ones(2), flambeau.ones(2).double()], 2.0)
    with pytest.raises(RuntimeError, match="lie apart or overlap"):
        norm([flambeau.ones(2, 2)[:, 0]], 2.0)
    with pytest.raises(RuntimeError, match="knows p = 1, 2 and inf"):
        norm([flambeau.ones(2)], 3.0)
    with pytest.raises(RuntimeError, match="inv_scale must be a float tensor"):
        unscale([flambeau.ones(2)], flambeau.zeros(()), flambeau.ones((), dtype=flambeau.float64))
