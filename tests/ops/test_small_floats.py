"""Floats of 16 bits: neighbours of every value, and scores of attention that are not rounded on the way."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch

BITS = np.arange(1 << 16, dtype=np.uint16)


@pytest.mark.parametrize("goal", [np.inf, -np.inf, 0.0, 1.0])
def test_neighbours_of_every_float16(goal):
    x = BITS.view(np.float16)
    found = torch.nextafter(torch.from_numpy(x), torch.full((1 << 16,), goal, dtype=torch.float16)).numpy()
    with np.errstate(all="ignore"):
        want = np.nextafter(x, np.float16(goal))
    told = ~np.isnan(x) & (x != goal)
    np.testing.assert_array_equal(found.view(np.uint16)[told], want.view(np.uint16)[told])
    assert np.isnan(found[np.isnan(x)]).all()


def test_neighbours_of_every_bfloat16():
    x = torch.from_numpy(BITS.view(np.int16)).view(torch.bfloat16)
    up = torch.nextafter(x, torch.full((1 << 16,), float("inf"), dtype=torch.bfloat16))
    bits = up.view(torch.int16).numpy().view(np.uint16)
    positive, negative = BITS < 0x7F80, (BITS > 0x8000) & (BITS <= 0xFF80)
    np.testing.assert_array_equal(bits[positive], BITS[positive] + 1)
    np.testing.assert_array_equal(bits[negative], BITS[negative] - 1)
    assert bits[0x8000] == 1
    assert bits[0x7F80] == 0x7F80


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_attention_keeps_its_scores_in_float32(kind):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 16, 64).mul(4).to(kind) for _ in range(3))
    exact = torch.nn.functional.scaled_dot_product_attention(q.double(), k.double(), v.double())
    found = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    assert found.dtype is kind
    assert (found.double() - exact).abs().max().item() <= 2 * torch.finfo(kind).eps * exact.abs().max().item()
