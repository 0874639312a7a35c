"""Fixtures of the parity tests: a program run with Flambeau and with PyTorch must end the same way."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest

import flambeau


def described(x: Any, torch: Any) -> Any:
    """A result in terms that both libraries share; numbers to five digits."""
    if isinstance(x, torch.Tensor):
        return ("tensor", str(x.dtype), tuple(x.shape), x.requires_grad, rounded(x.detach().tolist()))
    if isinstance(x, (tuple, list)):
        return (
            type(x).__name__ if type(x) in (tuple, list) else "sequence",
            *(described(e, torch) for e in x),
        )
    if isinstance(x, dict):
        return {k: described(v, torch) for k, v in x.items()}
    if isinstance(x, (float, complex)):
        return rounded(x)
    if x is None or isinstance(x, (bool, int, str, bytes)):
        return x
    if isinstance(x, (torch.dtype, torch.device, torch.Size)):
        return str(x)
    return type(x).__name__


def rounded(x: Any) -> Any:
    if isinstance(x, list):
        return [rounded(e) for e in x]
    if isinstance(x, complex):
        return rounded(x.real), rounded(x.imag)
    if isinstance(x, float):
        return "nan" if math.isnan(x) else float(f"{x:.5g}")
    return x


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
        assert outcome(program, flambeau) == outcome(program, oracle)

    return check


@pytest.fixture
def same_values(oracle):
    """same_values(expressions): each gives the same with both, `manual_seed(7)` before each."""

    def check(expressions: list[str], ending: str = "") -> None:
        different = []
        for text in expressions:
            program = f"torch.manual_seed(7)\nr = {text}\n{ending}"
            ours, theirs = outcome(program, flambeau), outcome(program, oracle)
            if ours != theirs:
                different.append(f"{text}\n    {ours}\n    {theirs}")
        assert not different, "\n".join(different)

    return check
