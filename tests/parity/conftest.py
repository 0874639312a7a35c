"""Fixtures of the parity tests: a program run with Flambeau and with PyTorch must end the same way."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest

import flambeau


def described(x: Any, torch: Any) -> Any:
    """A result in terms that both libraries share."""
    if isinstance(x, torch.Tensor):
        return ("tensor", str(x.dtype), tuple(x.shape), x.requires_grad, x.detach().tolist())
    if isinstance(x, (tuple, list)):
        return (
            type(x).__name__ if type(x) in (tuple, list) else "sequence",
            *(described(e, torch) for e in x),
        )
    if isinstance(x, dict):
        return {k: described(v, torch) for k, v in x.items()}
    if x is None or isinstance(x, (bool, int, float, complex, str, bytes)):
        return x
    if isinstance(x, (torch.dtype, torch.device, torch.Size)):
        return str(x)
    return type(x).__name__


def alike(a: Any, b: Any) -> bool:
    """Equal, but for the last digits of numbers."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, complex) and isinstance(b, complex):
        return alike(a.real, b.real) and alike(a.imag, b.imag)
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=2e-5, abs_tol=1e-6) or math.isnan(a) and math.isnan(b)
    return type(a) is type(b) and a == b


def outcome(program: str, torch: Any) -> Any:
    """What a program leaves in `r`, or the type and first line of its error."""
    scope = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(program, "<program>", "exec"), scope)
        except Exception as error:
            kind = "RuntimeError" if isinstance(error, RuntimeError) else type(error).__name__
            return "error", kind, (str(error).splitlines() or [""])[0]
        return described(scope.get("r"), torch)


@pytest.fixture
def same(oracle):
    """same(program): the program ends in the same way with both libraries."""

    def check(program: str) -> None:
        ours, theirs = outcome(program, flambeau), outcome(program, oracle)
        assert alike(ours, theirs), f"\n    {ours}\n    {theirs}"

    return check


@pytest.fixture
def same_values(oracle):
    """same_values(expressions): each gives the same with both, `manual_seed(7)` before each."""

    def check(expressions: list[str], ending: str = "") -> None:
        different = []
        for text in expressions:
            program = f"torch.manual_seed(7)\nr = {text}\n{ending}"
            ours, theirs = outcome(program, flambeau), outcome(program, oracle)
            if not alike(ours, theirs):
                different.append(f"{text}\n    {ours}\n    {theirs}")
        assert not different, "\n".join(different)

    return check
