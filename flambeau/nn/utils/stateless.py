"""Calling a module with other parameters than its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flambeau.nn.modules.module import Module
from flambeau.tensor.tensor import Tensor

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any | tuple | None = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with the given tensors in place of its parameters and buffers.

    Args:
        parameters_and_buffers: tensors by path, such as ``"encoder.weight"``.
        tie_weights: a tensor that the module has under several names is replaced under all of them.
        strict: every parameter and buffer must be given, and nothing else.
    """
    arguments = () if args is None else args if isinstance(args, tuple) else (args,)
    with replaced(module, parameters_and_buffers, tie_weights, strict):
        return module(*arguments, **(kwargs or {}))


@contextmanager
def replaced(module: Module, tensors: dict[str, Tensor], tie_weights: bool, strict: bool) -> Iterator[None]:
    """Within it, the module has the given tensors; changed buffers are handed back through `tensors`."""
    places = _places(module, tensors, tie_weights, strict)
    before = [registry[name] for registry, name, _ in places]
    for registry, name, key in places:
        registry[name] = tensors[key]
    try:
        yield
    finally:
        for (registry, name, key), value in zip(places, before):
            now = registry.get(name)
            if now is not tensors[key]:
                tensors[key] = now
            registry[name] = value


def _places(module: Module, tensors: dict[str, Tensor], tie_weights: bool, strict: bool) -> list[tuple]:
    """Where each of the tensors belongs: a registry of a module, a name in it, and the key of the tensor."""
    every: dict[str, tuple] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        for registry in (part._parameters, part._buffers):
            for name in registry:
                every[f"{path}.{name}" if path else name] = (registry, name)
    unknown = [key for key in tensors if key not in every]
    missing = [key for key in every if key not in tensors]
    if strict and (unknown or missing):
        parts = [f"Missing key(s): {', '.join(missing)}."] if missing else []
        parts += [f"Unexpected key(s): {', '.join(unknown)}."] if unknown else []
        raise RuntimeError(f"Error(s) in loading parameters_and_buffers for {type(module).__name__}:\n\t"
                           + "\n\t".join(parts))  # fmt: skip
    if unknown:
        raise AttributeError(f"{type(module).__name__} has no parameter or buffer `{unknown[0]}`")
    found = [(*every[key], key) for key in tensors]
    if tie_weights:
        given = {id(every[key][0][every[key][1]]): key for key in tensors}
        for key in missing:
            registry, name = every[key]
            value = registry[name]
            if value is not None and id(value) in given:
                found.append((registry, name, given[id(value)]))
    return found
