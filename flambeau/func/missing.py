"""Transformations that this version does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

__all__ = ["functionalize", "jacfwd", "jvp", "linearize", "vmap"]


def _missing(name: str, fix: str) -> Callable[..., Any]:
    def transform(*arguments: Any, **keywords: Any) -> NoReturn:
        raise NotImplementedError(f"torch.func.{name} is not in this version of Flambeau\n  fix     {fix}")

    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = f"Not in this version: {fix}."
    return transform


vmap = _missing("vmap", "write the function for a whole batch: operators broadcast over leading dimensions")
jvp = _missing("jvp", "torch.autograd.functional.jvp")
jacfwd = _missing("jacfwd", "torch.func.jacrev")
linearize = _missing("linearize", "torch.func.vjp")
functionalize = _missing("functionalize", "leave it out: writes in place need no rewriting here")
