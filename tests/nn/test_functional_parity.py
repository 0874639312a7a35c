"""Functions composed of operators: results and gradients against PyTorch."""

from __future__ import annotations

import warnings

import pytest

import flambeau
from flambeau.nn import functional as F

pytestmark = pytest.mark.parity

#: function, shapes of the tensors that need gradients, further arguments
CASES = [
    ("pixel_shuffle", [(2, 8, 3, 3)], (2,), {}),
    ("pixel_unshuffle", [(8, 4, 6)], (2,), {}),
    ("channel_shuffle", [(2, 6, 3)], (3,), {}),
    ("normalize", [(3, 4)], (), {"p": 3.0, "dim": 0}),
    ("cosine_similarity", [(3, 4), (4,)], (), {"dim": -1}),
    ("pairwise_distance", [(3, 4), (3, 4)], (), {"p": 1.5, "keepdim": True}),
    ("pdist", [(5, 3)], (), {"p": 2.0}),
    ("triplet_margin_with_distance_loss", [(4, 3)] * 3, (), {"swap": True, "margin": 0.5}),
    ("unfold", [(2, 3, 6, 5)], ((2, 3),), {"dilation": (2, 1), "padding": 1, "stride": 2}),
    ("fold", [(2, 12, 12)], ((5, 4), (2, 2)), {"stride": 1}),
    ("conv_tbc", [(6, 2, 3), (2, 3, 4), (4,)], (1,), {}),
    *[("interpolate", [(1, 2, 5, 4)], (), {"scale_factor": (1.7, 0.6), "mode": mode})
      for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")],
    ("interpolate", [(1, 2, 5, 4)], ((3, 9),), {"mode": "bicubic", "align_corners": True}),
    ("interpolate", [(1, 2, 7, 9)], ((3, 4),), {"mode": "bilinear", "antialias": True}),
    ("interpolate", [(1, 2, 7, 9)], ((3, 4),), {"mode": "bicubic", "antialias": True}),
    ("interpolate", [(1, 2, 5)], (8,), {"mode": "linear"}),
    ("interpolate", [(1, 2, 3, 4, 2)], ((5, 2, 4),), {"mode": "trilinear"}),
    *[("grid_sample", [(2, 3, 5, 4), (2, 3, 3, 2)], (), {"mode": mode, "padding_mode": padding, "align_corners": ends})
      for mode in ("bilinear", "nearest", "bicubic") for padding in ("zeros", "border", "reflection")
      for ends in (False, True)],
    ("affine_grid", [(2, 2, 3)], ((2, 1, 3, 4),), {"align_corners": False}),
    ("affine_grid", [(1, 3, 4)], ((1, 1, 2, 3, 2),), {"align_corners": True}),
    ("linear_cross_entropy", [(4, 3), (5, 3)], ("classes",), {}),
    ("fractional_max_pool2d", [(2, 2, 7, 7)], (2,), {"output_size": 3}),
    ("fractional_max_pool3d", [(1, 2, 5, 6, 7)], (2,), {"output_ratio": 0.5}),
]  # fmt: skip


def numbers(result):
    return result.detach().numpy()


@pytest.mark.parametrize(("name", "shapes", "args", "kwargs"), CASES)
def test_results_and_gradients(oracle, name, shapes, args, kwargs):
    oracle.manual_seed(0)
    theirs = [(oracle.rand(shape, dtype=oracle.float64) * 2.4 - 1.2).requires_grad_() for shape in shapes]
    ours = [flambeau.from_numpy(t.detach().clone().numpy()).requires_grad_() for t in theirs]

    def call(function, library, tensors):
        rest = [library.tensor([0, 3, 1, 4]) if arg == "classes" else arg for arg in args]
        library.manual_seed(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*tensors, *rest, **kwargs)

    wanted = call(getattr(oracle.nn.functional, name), oracle, theirs)
    got = call(getattr(F, name), flambeau, ours)
    assert numbers(got) == pytest.approx(numbers(wanted), rel=1e-6, abs=1e-7)
    weight = oracle.rand(wanted.shape, dtype=wanted.dtype)
    (wanted * weight).sum().backward()
    (got * flambeau.from_numpy(weight.numpy())).sum().backward()
    for a, b in zip(ours, theirs):
        if a.grad is None:  # nothing depends on it, which PyTorch says with zeros
            assert b.grad.abs().max() == 0
            continue
        assert numbers(a.grad) == pytest.approx(numbers(b.grad), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ctc(oracle, reduction):
    oracle.manual_seed(0)
    scores = oracle.randn(7, 3, 5, dtype=oracle.float64)
    targets = oracle.tensor([[1, 2, 2], [3, 1, 4], [4, 0, 0]])
    lengths, counts = [7, 6, 5], [3, 3, 1]
    theirs = scores.clone().requires_grad_()
    ours = flambeau.from_numpy(scores.clone().numpy()).requires_grad_()
    wanted = oracle.nn.functional.ctc_loss(
        theirs.log_softmax(2), targets, lengths, counts, reduction=reduction
    )
    got = F.ctc_loss(
        ours.log_softmax(2), flambeau.from_numpy(targets.numpy()), lengths, counts, reduction=reduction
    )
    assert numbers(got) == pytest.approx(numbers(wanted))
    wanted.sum().backward()
    got.sum().backward()
    assert numbers(ours.grad) == pytest.approx(numbers(theirs.grad), abs=1e-9)


def test_one_hot(oracle):
    indices = oracle.tensor([[1, 0], [3, 2]])
    ours = flambeau.from_numpy(indices.numpy())
    assert F.one_hot(ours).tolist() == oracle.nn.functional.one_hot(indices).tolist()
    assert F.one_hot(ours, 6).shape == (2, 2, 6)
    for bad in (2, 0):
        with pytest.raises(RuntimeError):
            F.one_hot(ours, bad)
    with pytest.raises(RuntimeError, match="Class values must be non-negative"):
        F.one_hot(ours - 1)


def test_all_names_are_there(oracle):
    later = {"grouped_mm", "scaled_grouped_mm", "scaled_mm"}
    helpers = {"assert_int_or_pair", "boolean_dispatch", "handle_torch_function", "has_torch_function",
               "has_torch_function_unary", "has_torch_function_variadic"}  # fmt: skip
    names = [
        name
        for name in dir(oracle.nn.functional)
        if name[0].islower() and callable(getattr(oracle.nn.functional, name))
    ]
    assert {name for name in names if not hasattr(F, name)} - helpers <= later
