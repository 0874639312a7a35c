"""Reductions with masks against NumPy's own masks, and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch

VALUES = np.random.default_rng(0).standard_normal((3, 4))
MASK = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
KEPT = [row[keep] for row, keep in zip(VALUES, MASK)]

#: name, arguments, what it gives for one row of what is left
ROWS = [
    ("sum", (1,), lambda x: x.sum()),
    ("prod", (1,), lambda x: x.prod()),
    ("mean", (1,), lambda x: x.mean() if x.size else np.nan),
    ("amax", (1,), lambda x: x.max(initial=-np.inf)),
    ("amin", (1,), lambda x: x.min(initial=np.inf)),
    ("norm", (3, 1), lambda x: (np.abs(x) ** 3).sum() ** (1 / 3)),
    ("var", (1,), lambda x: x.var(ddof=1) if x.size > 1 else np.nan),
    ("std", (1, False), lambda x: x.std() if x.size else np.nan),
    ("median", (1,), lambda x: np.sort(x)[(x.size - 1) // 2] if x.size else np.nan),
    ("logsumexp", (1,), lambda x: np.log(np.exp(x).sum()) if x.size else -np.inf),
]


@pytest.mark.parametrize(("name", "args", "row"), ROWS, ids=[r[0] for r in ROWS])
def test_rows(name, args, row):
    function = getattr(torch.masked, name)
    x, mask = torch.tensor(VALUES), torch.tensor(MASK)
    found = function(x, *args, mask=mask)
    np.testing.assert_allclose(found.numpy(), [row(kept) for kept in KEPT], rtol=1e-12)
    assert function(x, *args, mask=mask, keepdim=True).shape == (3, 1)
    whole = function(x, *args)
    np.testing.assert_allclose(whole.numpy(), [row(values) for values in VALUES], rtol=1e-12)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin", "cumsum", "cumprod", "normalize"])
def test_masked_elements_have_no_influence(name):
    function = getattr(torch.masked, name)
    args = (2, 1) if name == "normalize" else (1,)
    other = np.where(MASK, VALUES, 100.0)
    x, y, mask = torch.tensor(VALUES), torch.tensor(other), torch.tensor(MASK)
    np.testing.assert_array_equal(
        function(x, *args, mask=mask).numpy(), function(y, *args, mask=mask).numpy()
    )


@pytest.mark.parametrize(("name", "args", "row"), ROWS, ids=[r[0] for r in ROWS])
def test_derivative_reaches_kept_elements_only(name, args, row):
    x = torch.tensor(VALUES, requires_grad=True)
    mask = torch.tensor(MASK)
    getattr(torch.masked, name)(x, *args, mask=mask)[torch.tensor([0, 2])].sum().backward()
    assert (x.grad[0][~mask[0]] == 0).all()
    step = 1e-6
    for i, j in ((0, 2), (2, 1)):
        ends = []
        for sign in (1, -1):
            moved = VALUES.copy()
            moved[i, j] += sign * step
            ends.append(row(moved[i][MASK[i]]))
        assert x.grad[i, j].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-7)


def test_places_and_pairs():
    x, mask = torch.tensor(VALUES), torch.tensor(MASK)
    found = torch.masked.argmax(x, 1, mask=mask, dtype=torch.int64)
    assert found[0].item() == np.where(MASK[0], VALUES[0], -np.inf).argmax()
    assert torch.masked.argmin(x, 1, mask=mask, dtype=torch.int64)[2].item() == VALUES[2].argmin()
    both = torch.masked.logaddexp(x, x, input_mask=mask, other_mask=~mask)
    np.testing.assert_allclose(both.numpy(), VALUES)


def test_integers_sum_wide():
    x = torch.tensor([100, 100, 100], dtype=torch.int8)
    assert torch.masked.sum(x, mask=torch.tensor([True, True, False])).item() == 200
    assert torch.masked.amax(x, mask=torch.tensor([False, False, False])).item() == -128
