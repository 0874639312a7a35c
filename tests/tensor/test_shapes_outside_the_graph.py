"""Tensors that take another shape outside the graph, and products without rows or columns: gradients read no other memory."""

from __future__ import annotations

import pytest

import flambeau as torch

F = torch.nn.functional


def test_a_gradient_of_another_shape_is_refused():
    x = torch.ones(2, 3, requires_grad=True)
    m = torch.minimum(x.t(), torch.tensor(0.5))
    v = m * 2
    with torch.no_grad():
        v.transpose_(0, 1)
    with pytest.raises(
        RuntimeError,
        match=r"MulBackward0|SumBackward0 returned an invalid gradient at index 0 - got \[2, 3\]",
    ):
        v.sum().backward()
    with torch.no_grad():
        v.transpose_(0, 1)
    v.sum().backward()
    assert x.grad.tolist() == [[0.0] * 3] * 2


def test_products_without_columns_have_gradients_of_zeros():
    for _ in range(3):
        dirty = [torch.full((n,), 7.0) for n in (2, 4, 6, 8, 12)]
        del dirty
        x = torch.ones(3, 2, requires_grad=True)
        F.linear(x.t(), torch.zeros(0, 3)).sum().backward()
        assert x.grad.tolist() == [[0.0] * 2] * 3
