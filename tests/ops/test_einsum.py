"""Einstein summation, against NumPy's and against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch

CASES = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("ij->ji", (2, 3)),
    ("i,j->ij", (2,), (3,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("...i->...", (2, 3)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("ij,jk,kl,lm->im", (2, 9), (9, 2), (2, 9), (9, 2)),
    ("bi,bi->b", (2, 3), (2, 3)),
    ("iij,jk->ik", (3, 3, 2), (2, 4)),
    (" i j , j -> i ", (2, 3), (3,)),
    ("ijkl,lkm->jim", (2, 3, 4, 5), (5, 4, 2)),
]


def operands(shapes, seed=0):
    random = np.random.default_rng(seed)
    return [random.standard_normal(s) for s in shapes]


@pytest.mark.parametrize(("equation", "shapes"), [(e, s) for e, *s in CASES])
def test_matches_numpy(equation, shapes):
    arrays = operands(shapes)
    found = torch.einsum(equation, *[torch.from_numpy(a) for a in arrays])
    np.testing.assert_allclose(found.numpy(), np.einsum(equation, *arrays), rtol=1e-12, atol=1e-12)


def test_sizes_of_one_broadcast():
    a, b = operands([(2, 1), (3, 4)])
    found = torch.einsum("ij,jk->ik", torch.from_numpy(a), torch.from_numpy(b))
    np.testing.assert_allclose(found.numpy(), a @ b.sum(0, keepdims=True), rtol=1e-12)


def test_sublists_mean_the_same_as_letters():
    a, b = (torch.from_numpy(x) for x in operands([(2, 3), (3, 4)]))
    assert torch.equal(torch.einsum(a, [0, 1], b, [1, 2], [2, 0]), torch.einsum("ij,jk->ki", a, b))
    assert torch.equal(torch.einsum(a, [..., 1], b, [1, 2]), torch.einsum("...j,jk", a, b))


def test_gradients_by_finite_differences():
    arrays = operands([(2, 3), (3, 4), (2, 4)])
    weight = operands([(2,)], 1)[0]

    def value(given):
        return (np.einsum("ij,jk,ik->i", *given) * weight).sum()

    tensors = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    (torch.einsum("ij,jk,ik->i", *tensors) * torch.from_numpy(weight)).sum().backward()
    for k, (array, tensor) in enumerate(zip(arrays, tensors)):
        for at in np.ndindex(*array.shape):
            high, low = [a.copy() for a in arrays], [a.copy() for a in arrays]
            high[k][at] += 1e-6
            low[k][at] -= 1e-6
            assert tensor.grad.numpy()[at] == pytest.approx(
                (value(high) - value(low)) / 2e-6, rel=1e-6, abs=1e-7
            )


@pytest.mark.parametrize(
    ("equation", "shapes", "text"),
    [
        ("ij,jk", [(2, 3)], "einsum(): fewer operands were provided than specified in the equation"),
        ("ij", [(2, 3), (2, 3)], "einsum(): more operands were provided than specified in the equation"),
        ("ij->ii", [(2, 3)], "einsum(): output subscript i appears more than once in the output"),
        (
            "ij->k",
            [(2, 3)],
            "einsum(): output subscript k does not appear in the equation for any input operand",
        ),
        ("i", [(2, 3)], "einsum(): the number of subscripts in the equation (1) does not match"),
        ("ii", [(2, 3)], "einsum(): subscript i is repeated for operand 0 but the sizes don't match, 3 != 2"),
        ("i.j", [(2, 3)], "einsum(): found '.' for operand 0 that is not part of any ellipsis"),
        ("ij,jk", [(2, 3), (4, 5)], "einsum(): operands do not broadcast with remapped shapes"),
    ],
)
def test_errors(equation, shapes, text):
    with pytest.raises(RuntimeError) as caught:
        torch.einsum(equation, *[torch.zeros(s) for s in shapes])
    assert str(caught.value).startswith(text)


def test_too_few_arguments():
    with pytest.raises(ValueError, match="must specify the equation string and at least one operand"):
        torch.einsum("ij")
