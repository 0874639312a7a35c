"""`torch._foreach_add_` and its kin: an operator for each tensor of a list.

Optimisers outside PyTorch call these to save the cost of many small calls, which is small here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau

from .tensor.tensor import Tensor

__all__: list[str] = []


def _column(x: Any, count: int) -> list:
    """An argument for each tensor: the items of a list, or one value for all."""
    if isinstance(x, (list, tuple)):
        return list(x)
    if isinstance(x, Tensor) and x.dim() == 1 and x.numel() == count and count > 1:
        return x.tolist()
    return [x] * count


def _norm(tensor: Tensor, ord: float = 2, dtype: Any = None) -> Tensor:
    return flambeau.linalg.vector_norm(tensor, ord, dtype=dtype)


def _scaled(name: str, one: Tensor, other: Tensor, third: Any, value: Any) -> Tensor:
    """``addcmul`` and ``addcdiv`` take their factor by name."""
    return getattr(one, name)(other, third, value=value)


def find(name: str) -> Callable:
    """The function ``_foreach_name``; a trailing underscore writes into the first list.

    Raises: AttributeError where tensors have no such method.
    """
    what = name.removeprefix("_foreach_")
    in_place = what.endswith("_")
    if what == "norm":
        method: Any = _norm
    elif what in ("copy_", "zero_") or hasattr(Tensor, what):
        method = getattr(Tensor, what)
    else:
        raise AttributeError(f"module 'flambeau' has no attribute '{name}'")
    factor = what.rstrip("_") in ("addcmul", "addcdiv")

    def each(tensors: Any, *args: Any, **keywords: Any) -> tuple[Tensor, ...] | None:
        count = len(tensors)
        if factor:
            scale = keywords.pop("value", args[2] if len(args) > 2 else keywords.pop("scalars", 1))
            columns = [_column(a, count) for a in args[:2]]
            found = [
                _scaled(what, t, a, b, v)
                for t, a, b, v in zip(tensors, *columns, _column(scale, count), strict=True)
            ]
        else:
            columns = [_column(a, count) for a in args]
            found = [method(t, *rest, **keywords) for t, *rest in zip(tensors, *columns, strict=True)]
        return None if in_place else tuple(found)

    each.__name__ = each.__qualname__ = name
    each.__doc__ = f"`{what}` for each tensor of a list."
    return each
