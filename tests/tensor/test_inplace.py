"""Writing in place: versions, what is refused, and how gradients follow writes through views."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import flambeau as torch


def leaf(*values):
    return torch.tensor([float(v) for v in values], requires_grad=True)


def test_versions():
    x = torch.ones(4)
    view, detached, data = x[1:], x.detach(), x.data
    x.add_(1)
    view.mul_(2)
    detached.add_(1)
    assert x._version == view._version == detached._version == 3
    data.zero_()
    assert x._version == 3, "a write through .data is not counted"
    assert data._version == 1
    assert x.tolist() == [0] * 4
    with torch.no_grad():
        x[0] = 5
    assert x._version == 4


REFUSED = [
    (
        "leaf",
        lambda: leaf(1, 2).add_(1),
        "a leaf Variable that requires grad is being used in an in-place operation",
    ),
    ("view of a leaf", lambda: leaf(1, 2)[0].add_(1), "a view of a leaf Variable that requires grad"),
    (
        "item of a leaf",
        lambda: leaf(1, 2).__setitem__(0, 1.0),
        "a view of a leaf Variable that requires grad",
    ),
    (
        "unbind",
        lambda: (leaf(1, 2) * 1).unbind()[0].mul_(2),
        "Output 0 of Unbind is a view and is being modified inplace",
    ),
    ("split", lambda: (leaf(1, 2, 3) * 1).split(2)[1].mul_(2), "Output 1 of Split is a view"),
    (
        "chunk of plain",
        lambda: torch.ones(4).chunk(2)[0].mul_(leaf(1, 2)),
        "function that returns multiple views",
    ),
    ("iteration", lambda: [row.mul_(2) for row in leaf(1, 2).view(2, 1) * 1], "Output 0 of Unbind"),
    ("expanded", lambda: torch.ones(1).expand(3).add_(1), "more than one element of the written-to tensor"),
    ("wrong shape", lambda: torch.ones(2).add_(torch.ones(2, 2)), "doesn't match the broadcast shape"),
    (
        "wrong type",
        lambda: torch.ones(2, dtype=torch.int64).add_(0.5),
        "can't be cast to the desired output type",
    ),
    ("overlap", lambda: (lambda x: x[1:].copy_(x[:-1]))(torch.ones(4)), "refer to a single memory location"),
    ("detach of a view", lambda: (leaf(1, 2) * 1)[:1].detach_(), "Can't detach views in-place"),
    ("resize", lambda: (leaf(1, 2) * 1).resize_(3), "cannot resize variables that require grad"),
]


@pytest.mark.parametrize(("name", "write", "text"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refused(name, write, text):
    with pytest.raises(RuntimeError, match=text):
        write()


def test_view_made_without_recording_is_refused():
    x = leaf(1, 2) * 1
    with torch.no_grad():
        view = x[:1]
        view.mul_(2)  # in the block it is not tracked
    with pytest.raises(RuntimeError, match="A view was created in no_grad mode"):
        view.mul_(2)


SAVED = [
    ("input", lambda a: (lambda x: (x * x, x.add_(1)))(a * 2)[0]),
    ("result", lambda a: (lambda y: (y, y.mul_(2)))(a.exp())[0]),
    ("through a view", lambda a: (lambda x: (x * x, x[0].add_(1)))(a * 2)[0]),
    ("through detach", lambda a: (lambda x: (x * x, x.detach().add_(1)))(a * 2)[0]),
    ("by itself", lambda a: (lambda x: x.mul_(x))(a * 1)),
]


@pytest.mark.parametrize(("name", "make"), SAVED, ids=[s[0] for s in SAVED])
def test_modified_saved_tensor(name, make):
    y = make(leaf(1, 2))
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        y.sum().backward()


def differences(run, values, step=1e-6):
    """Central differences of run(values) for each of a list of arrays."""
    found = []
    for array in values:
        one = np.zeros_like(array)
        for k in np.ndindex(array.shape):
            before = array[k]
            sums = []
            for sign in (1, -1):
                array[k] = before + sign * step
                sums.append(run(*[torch.from_numpy(v.copy()) for v in values]).item())
            array[k] = before
            one[k] = (sums[0] - sums[1]) / (2 * step)
        found.append(one)
    return found


def through_view(a, b):
    x = a * 2
    x[1].mul_(b)
    return (x * x).sum()


def through_view_of_view(a, b):
    x = a.clone()
    v = x[1:]
    v[:, 1:3].mul_(b[1:3])
    return (x * v.sum()).sum() + v.exp().sum()


def base_after_view(a, b):
    x = a * 2
    v = x[0]
    x.mul_(b)
    return (v * v).sum() + x.sum()


def siblings(a, b):
    x = a * 1
    first, second = x[0], x[1]
    first.mul_(second.clone() * b)
    second.add_(first)
    return x.sin().sum()


def into_plain_base(a, b):
    x = torch.zeros(3, 4, dtype=torch.float64)
    x[0] = b
    x[1] = a[1] * x[0].clone()
    x[2] += x[1]
    return (x * x).sum()


def transposed_and_diagonal(a, b):
    x = a * 1
    x.t()[:, 0].mul_(b)
    x[:, :3].diagonal().copy_(b[:3])
    return (x * x).sum()


def index_tensors(a, b):
    x = a * 1
    x[torch.tensor([2, 0])] = b * a[:2]
    x[x.detach() > 0.3] = b[0]
    x.index_add_(1, torch.tensor([1, 1]), x[:, :2].clone())
    return (x * x).sum()


def in_a_loop(a, b):
    x = torch.zeros(3, 4, dtype=torch.float64)
    x[0] = a[0]
    for k in range(1, 3):
        x[k] = x[k - 1].clone().sin() * b + a[k]
    return (x * x).sum()


def strided_region(a, b):
    x = a * 1
    x.as_strided((2, 2), (5, 2), 1).mul_(b[:2])
    x.view(-1)[3::4].zero_()
    return (x * x).sum()


@pytest.mark.parametrize(
    "run",
    [through_view, through_view_of_view, base_after_view, siblings, into_plain_base, transposed_and_diagonal, index_tensors,
     in_a_loop, strided_region],
)  # fmt: skip
def test_gradients_follow_writes(run):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((3, 4)), rng.standard_normal(4)]
    a, b = (torch.from_numpy(v.copy()).requires_grad_() for v in arrays)
    run(a, b).backward()
    expected = differences(run, arrays)
    assert np.allclose(a.grad.numpy(), expected[0], atol=1e-6)
    assert np.allclose(b.grad.numpy(), expected[1], atol=1e-6)


def test_second_derivative_through_a_write():
    a = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    x = a * a
    x[:2] = x[1:].clone() * a[:2]
    (g,) = torch.autograd.grad((x**3).sum(), a, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), a)
    step = 1e-5

    def gradient_sum(values):
        b = torch.tensor(values, dtype=torch.float64, requires_grad=True)
        y = b * b
        y[:2] = y[1:].clone() * b[:2]
        return torch.autograd.grad((y**3).sum(), b)[0].sum().item()

    base = a.tolist()
    for k in range(3):
        up, down = list(base), list(base)
        up[k] += step
        down[k] -= step
        assert h[k].item() == pytest.approx((gradient_sum(up) - gradient_sum(down)) / (2 * step), rel=1e-5)


def test_hooks_and_retain_grad():
    a = leaf(1, 2)
    x = a * 2
    seen = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    x.retain_grad()
    x.mul_(3)
    (x * x).sum().backward()
    assert seen == [[36, 72]], "a hook stays with the value on which it was registered"
    assert x.grad.tolist() == [12, 24], "retain_grad follows the tensor"
    assert a.grad.tolist() == [72, 144]


def test_flags_follow_a_write():
    x = torch.ones(2, 2)
    row, other = x[0], x[1]
    assert not row.requires_grad
    other.mul_(leaf(1, 2))
    assert x.requires_grad
    assert row.requires_grad
    assert not row.is_leaf
    assert row.grad_fn.name() == "AsStridedBackward0"


def test_views_are_freed():
    x = torch.ones(100, 2)
    views = [weakref.ref(x[k]) for k in range(100)]
    gc.collect()
    assert not any(v() is not None for v in views)
    assert len(x._views) <= 64, "the base keeps a list of dead views"


def test_many_writes_do_not_recurse():
    a = leaf(1.0)
    x = torch.zeros(2)
    for _ in range(3000):
        x[0] = x[1] + a[0]
    x[0].backward()
    assert a.grad.item() == 1.0


def test_data_of_a_parameter_between_forward_and_backward():
    w = leaf(1, 2)
    y = (w * w).sum()
    w.data.mul_(0.5)
    y.backward()
    assert w.grad.tolist() == [1, 2], "the gradient is formed from what the memory holds now"
