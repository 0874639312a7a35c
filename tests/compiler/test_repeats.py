"""Common subexpressions: what was computed before is not computed again, unless somebody could tell."""

from __future__ import annotations

import pytest

import flambeau as torch


def twice(x):
    return x.exp().sum() + x.exp().sum()


def products(x):
    return ((x @ x).tanh() * (x @ x).tanh()).softmax(0).softmax(1)


def rows(x):
    return x[0].sin() + x[1].sin()


def written_between(x):
    y = x + 0
    a = y.exp()
    y.add_(1)
    return a + y.exp()


def written_result(x):
    a, b = x.exp(), x.exp()
    b.add_(1)
    return a * b


def both_kept(x):
    return x.exp(), x.exp()


def random(x):
    return torch.rand(3, 3) - torch.rand(3, 3), torch.dropout(x, 0.5, True) + torch.dropout(x, 0.5, True)


def joined(x):
    return torch.cat([x, x + 1]).sum() - torch.cat([x, x + 1]).sum() + torch.cat([x + 1, x])[0, 0]


def constants(x):
    return x * torch.ones(3, 3) + torch.ones(3, 3)


def other_type(x):
    return x.to(torch.float64).sum() + x.sum()


CASES = [
    twice,
    products,
    rows,
    written_between,
    written_result,
    both_kept,
    random,
    joined,
    constants,
    other_type,
]


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_the_same_values(function):
    x = torch.arange(9.0).reshape(3, 3) / 9
    torch.manual_seed(0)
    expected = [function(x) for _ in range(3)]
    torch.manual_seed(0)
    compiled = torch.compile(function)
    for one in expected:
        found = compiled(x)
        for a, b in zip(
            one if isinstance(one, tuple) else (one,), found if isinstance(found, tuple) else (found,)
        ):
            assert torch.equal(a, b)


@pytest.mark.parametrize(("function", "left_out"), [(twice, ["exp", "sum"]), (products, ["matmul", "tanh"]), (rows, []),
                                                (written_between, []), (written_result, []), (both_kept, []),
                                                (other_type, [])])  # fmt: skip
def test_what_is_left_out(function, left_out):
    compiled = torch.compile(function)
    compiled(torch.ones(3, 3))
    assert compiled.explain().plans[0].dead == left_out


def test_results_have_memory_of_their_own():
    a, b = torch.compile(both_kept)(torch.zeros(3))
    a.add_(1)
    assert b.tolist() == [1.0, 1.0, 1.0]


def test_a_changed_argument_is_computed_anew():
    compiled, x = torch.compile(twice), torch.zeros(4)
    assert compiled(x).item() == 8.0
    x.add_(1)
    assert compiled(x).item() == pytest.approx(8 * 2.718281828)
