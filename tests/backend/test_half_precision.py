"""Halves that are computed through float64, in every form of loop: nothing asks for a conversion that the processor lacks."""

from __future__ import annotations

import pytest

import flambeau as torch

NAMES = [
    name for name in "cosh sinh tan atanh acosh asinh digamma lgamma erfinv expm1 log1p i0 sinc exp2".split()
]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_two_results_of_a_strided_loop(name, dtype):
    def f(x):
        y = getattr(torch, name)(x)
        return y, y.tanh(), (y.float() * 2).to(dtype)

    first = 1.1 if name == "acosh" else 0.1
    x = torch.linspace(first, first + 0.8, 128).to(dtype)[::2]
    wanted, found = f(x), torch.compile(f)(x)
    assert [a.tolist() for a in found] == [a.tolist() for a in wanted]
    dense = f(x.contiguous())
    assert [a.tolist() for a in dense] == [a.tolist() for a in wanted]


def test_float64_to_half_by_way_of_float32():
    x = torch.linspace(-3, 3, 50, dtype=torch.float64)
    assert x[::2].half().tolist() == x[::2].float().half().tolist()
    assert torch.compile(lambda x: (x * 2).half() + 1)(x).tolist() == ((x * 2).half() + 1).tolist()
