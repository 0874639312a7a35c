"""3x3 convolutions by Winograd's filtering, against sums in float64."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.backend.cpu import runtime, winograd
from flambeau.nn.functional import conv2d, conv_transpose2d

TABLE = [  # samples, channels, rows, height, width, padding
    (1, 16, 16, 4, 4, 0),
    (2, 17, 19, 7, 9, 1),
    (3, 16, 33, 12, 5, 2),
    (5, 24, 16, 3, 3, 1),
    (1, 16, 16, 6, 67, 0),
    (1, 16, 16, 150, 33, 1),
    (9, 40, 16, 16, 16, 1),
]


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(winograd, "pays", lambda g, gradient=False: g.pitch * 2 <= winograd.STRIP)
    runtime.poison(True)
    yield
    runtime.poison(False)


def close(a, b):
    scale = b.abs().max().item()
    assert ((a.double() - b).abs().max().item()) < 4e-5 * scale


@pytest.mark.parametrize("case", TABLE)
def test_results_and_gradients(always, case):
    n, c, o, h, w, padding = case
    torch.manual_seed(n + c + o)
    x, weight, bias = torch.randn(n, c, h, w), torch.randn(o, c, 3, 3), torch.randn(o)
    singles = [t.requires_grad_() for t in (x, weight, bias)]
    doubles = [t.detach().double().requires_grad_() for t in singles]
    single, double = conv2d(*singles, padding=padding), conv2d(*doubles, padding=padding)
    close(single.detach(), double.detach())
    g = torch.randn(*single.shape)
    single.backward(g)
    double.backward(g.double())
    for a, b in zip(singles, doubles):
        close(a.grad, b.grad)


@pytest.mark.parametrize("case", [(2, 16, 18, 9, 10, 1), (1, 17, 16, 21, 70, 1)])
def test_surplus_tiles_may_stay(always, monkeypatch, case):
    """Processors that cannot move lanes together keep the tiles past a row's end in the products."""
    monkeypatch.setattr(winograd, "closes_up", lambda: False)
    test_results_and_gradients(None, case)


def test_strided_inputs_and_transposed_convolution(always):
    x = torch.randn(2, 40, 14, 22)[:, 3:20, 2:13, 4:21]
    weight = torch.randn(18, 17, 3, 3)
    close(conv2d(x, weight, padding=1), conv2d(x.double(), weight.double(), padding=1))
    turned = torch.randn(17, 18, 3, 3)
    close(conv_transpose2d(x, turned, padding=1), conv_transpose2d(x.double(), turned.double(), padding=1))


def test_results_do_not_depend_on_threads(always):
    x, weight = torch.randn(3, 20, 21, 21, requires_grad=True), torch.randn(21, 20, 3, 3, requires_grad=True)
    found = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        y = conv2d(x, weight, padding=1)
        found.append([y, *torch.autograd.grad(y.square().sum(), (x, weight))])
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found))


def test_who_takes_it():
    takes = lambda *case: winograd.pays(winograd.Geometry(*case))  # noqa: E731
    assert takes(16, 64, 64, 32, 32, (1, 1), 32, 32)
    assert not takes(16, 3, 64, 32, 32, (1, 1), 32, 32)
    assert not takes(1, 512, 512, 4, 4, (1, 1), 4, 4)
