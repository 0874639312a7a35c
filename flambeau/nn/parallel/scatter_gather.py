"""Splitting inputs between devices, and joining outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

__all__ = ["gather", "scatter", "scatter_kwargs"]


def _is_named(x: Any) -> bool:
    return isinstance(x, tuple) and hasattr(x, "_fields")


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of nested containers in equal pieces along `dim`, one a device; other objects are repeated.

    Returns:
        A list (a tuple for a tensor) with one entry a device that got a piece.
    """
    targets = [
        flambeau.device(d) if not isinstance(d, int) else flambeau.device("cuda", d) for d in target_gpus
    ]

    def split(x: Any) -> list:
        if isinstance(x, Tensor):
            return [piece.to(device) for piece, device in zip(x.chunk(len(targets), dim), targets)]
        if _is_named(x):
            return [type(x)(*one) for one in zip(*map(split, x))]
        if isinstance(x, tuple) and x:
            return list(zip(*map(split, x)))
        if isinstance(x, list) and x:
            return [list(one) for one in zip(*map(split, x))]
        if isinstance(x, dict) and x:
            return [type(x)(one) for one in zip(*(split_item(item) for item in x.items()))]
        return [x for _ in targets]

    def split_item(item: tuple) -> list:
        return [(item[0], value) for value in split(item[1])]

    found = split(inputs)
    return tuple(found) if isinstance(inputs, Tensor) else found


def scatter_kwargs(
    inputs: tuple[Any, ...], kwargs: dict[str, Any] | None, target_gpus: Sequence[Any], dim: int = 0
) -> tuple[tuple[Any, ...], tuple[dict[str, Any], ...]]:
    """Positional and keyword arguments of a call, one of each a device."""
    split = list(scatter(inputs, target_gpus, dim)) if inputs else []
    named = list(scatter(kwargs, target_gpus, dim)) if kwargs else []
    split += [()] * (len(named) - len(split))
    named += [{} for _ in range(len(split) - len(named))]
    return tuple(split), tuple(named)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """The outputs of all devices joined along `dim` on one of them, container by container."""
    target = (
        flambeau.device("cuda", target_device)
        if isinstance(target_device, int)
        else flambeau.device(target_device)
    )

    def join(parts: Sequence[Any]) -> Any:
        first = parts[0]
        if isinstance(first, Tensor):
            whole = [part.reshape(1) if part.dim() == 0 else part for part in parts]
            return flambeau.cat([part.to(target) for part in whole], dim)
        if first is None:
            return None
        if isinstance(first, dict):
            if not all(len(first) == len(part) for part in parts):
                raise ValueError("All dicts must have the same number of keys")
            return type(first)((key, join([part[key] for part in parts])) for key in first)
        if _is_named(first):
            return type(first)(*map(join, zip(*parts)))
        return type(first)(map(join, zip(*parts)))

    return join(outputs)
