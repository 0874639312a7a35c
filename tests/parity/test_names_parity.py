"""Rarely used parts of the name space against PyTorch: transforms, containers, lists of tensors, logs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

BOTH = (torch, flambeau)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("n_fft", "hop", "window", "center", "normalized", "onesided", "width"),
    list(
        itertools.product(
            [16, 15], [None, 5], [False, True], [True, False], [False, True], [None, False], [None, 12]
        )
    ),
)
def test_stft(n_fft, hop, window, center, normalized, onesided, width):
    signal = np.random.default_rng(0).normal(size=(2, 90)).astype("f4")
    results = []
    for t in BOTH:
        x = t.tensor(signal, requires_grad=True)
        w = t.hann_window(width or n_fft) if window else None
        s = t.stft(x, n_fft, hop, width, w, center, "reflect", normalized, onesided, True)
        gradient = t.autograd.grad(t.view_as_real(s).pow(2).sum(), x, retain_graph=True)[0]
        found = [s, gradient]
        if center or not (window or width):
            y = t.istft(s, n_fft, hop, width, w, center, normalized, onesided)
            found += [y, t.autograd.grad(y.pow(3).sum(), x)[0]]
        results.append([np.asarray(f.detach().numpy()) for f in found])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-3)


def test_specs_print_alike():
    from torch.utils import _pytree as theirs

    from flambeau.utils import _pytree as ours

    tree = {"a": [1, (2, None)], "b": {"c": [], "d": (3,)}}
    for one in (tree, [tree, 1], (), 5):
        assert repr(ours.tree_structure(one)) == repr(theirs.tree_structure(one))
        assert ours.tree_leaves(one) == theirs.tree_leaves(one)
        paths = [
            [str(p.keystr(path)) for path, _ in p.tree_flatten_with_path(one)[0]] for p in (ours, theirs)
        ]
        assert paths[0] == paths[1]


def test_lists_of_tensors():
    results = []
    for t in BOTH:
        a, b = [t.ones(2), t.ones(3) * 2], [t.ones(2) * 3, t.ones(3)]
        t._foreach_add_(a, b, alpha=2)
        t._foreach_mul_(a, 0.5)
        t._foreach_addcdiv_(a, b, b, value=0.1)
        t._foreach_addcmul_(a, b, b, [1.0, 2.0])
        t._foreach_lerp_(a, b, 0.5)
        more = [
            *t._foreach_norm(a),
            *t._foreach_sqrt(a),
            *t._foreach_sub(a, [1.0, 2.0]),
            *t._foreach_maximum(a, b),
        ]
        results.append([x.tolist() for x in (*a, *more)])
    assert np.allclose(
        np.concatenate([np.ravel(r) for r in results[0]]), np.concatenate([np.ravel(r) for r in results[1]])
    )


FUNCTIONS = {
    "grad": lambda t, x: t.func.grad(lambda v: (v.sin() * v).sum())(x),
    "second": lambda t, x: t.func.grad(lambda v: t.func.grad(lambda u: (u**3).sum())(v).sum())(x),
    "jacrev": lambda t, x: t.func.jacrev(lambda v: t.outer(v, v))(x),
    "hessian": lambda t, x: t.func.hessian(lambda v: (v**3).prod())(x),
    "vjp": lambda t, x: t.func.vjp(lambda v: v.exp(), x)[1](t.ones(3))[0],
    "switches": lambda t, x: t.grid_sampler(x.view(1, 1, 1, 3), t.zeros(1, 1, 2, 2), 0, 0, False),
    "bags": lambda t, x: t.embedding_bag(x.view(3, 1), t.tensor([0, 1, 2, 1]), t.tensor([0, 3]))[0],
    "norm": lambda t, x: t.norm_except_dim(t.outer(x, x), 2, 0),
    "kl": lambda t, x: t.kl_div(x.log(), x, 2),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    a, b = (FUNCTIONS[name](t, t.tensor([1.0, 2.0, 3.0])) for t in BOTH)
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"])
def test_limits_of_storage_types(name):
    a, b = (t.finfo(getattr(t, name)) for t in BOTH)
    for fact in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
        assert getattr(a, fact) == getattr(b, fact), fact


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_logs_are_the_same(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter as Theirs

    from flambeau.utils.tensorboard import SummaryWriter as Ours

    def write(t, writer_type, folder):
        random = np.random.default_rng(0)
        picture = t.from_numpy(random.random((3, 8, 10)).astype("f4"))
        with writer_type(str(folder)) as w:
            w.add_scalar("a", t.tensor(2.0), 4, new_style=True)
            w.add_histogram("h", t.from_numpy(random.normal(size=500).astype("f4")), 1)
            w.add_histogram("few", np.array([1.0, 2.0, 2.0]), 1, bins=20, max_bins=6)
            w.add_image("i", picture)
            w.add_images("many", t.stack([picture] * 11))
            w.add_text("t", "x")
            w.add_pr_curve("pr", t.tensor([0, 1, 1, 0, 1]), t.tensor([0.1, 0.9, 0.4, 0.5, 0.7]))
        kinds = ("scalars", "tensors", "images", "histograms")
        return EventAccumulator(str(folder), size_guidance=dict.fromkeys(kinds, 0)).Reload()

    a, b = write(torch, Theirs, tmp_path / "a"), write(flambeau, Ours, tmp_path / "b")
    assert a.Tags() == b.Tags()

    def facts(event):
        return tuple(v for k, v in vars(event).items() if k != "wall_time")

    for kind, read in (("histograms", "Histograms"), ("images", "Images"), ("tensors", "Tensors")):
        for tag in a.Tags()[kind]:
            assert list(map(facts, getattr(a, read)(tag))) == list(map(facts, getattr(b, read)(tag))), tag
