"""Calling a module with other parameters than its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import flambeau
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
    """The deprecated name of `flambeau.func.functional_call`."""
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be removed in a future "
        "version of PyTorch. Please use `torch.func.functional_call` instead which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return functional_call_of(
        module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def functional_call_of(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | Sequence[dict[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with the given tensors in place of its parameters and buffers.

    Args:
        parameter_and_buffer_dicts: tensors by path, such as ``"encoder.weight"``; or several such dicts.
        args: the arguments; what is no tuple is the only one.
        tie_weights: a tensor that the module has under several names is replaced under all of them.
        strict: every parameter and buffer must be given, and nothing else.

    Example::

        >>> layer = flambeau.nn.Linear(2, 1, bias=False)
        >>> flambeau.func.functional_call(layer, {"weight": flambeau.ones(1, 2)}, flambeau.ones(1, 2))
        tensor([[2.]])
    """
    arguments = () if args is None else args if isinstance(args, tuple) else (args,)
    given = _joined(parameter_and_buffer_dicts)
    with replaced(module, given, tie_weights, strict):
        return module(*arguments, **(kwargs or {}))


functional_call_of.__name__ = functional_call_of.__qualname__ = "functional_call"


def _joined(dicts: Any) -> dict[str, Tensor]:
    """One dict of several, none of which may repeat a key."""
    if isinstance(dicts, dict):
        return dicts
    if not isinstance(dicts, (list, tuple)):
        raise ValueError(
            f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(dicts)}"
        )
    if not all(isinstance(d, dict) for d in dicts):
        raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
    keys = [key for d in dicts for key in d]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise ValueError(
            f"{sorted(twice)} appeared in multiple dictionaries; behavior of functional call is ambiguous"
        )
    return {key: value for d in dicts for key, value in d.items()}


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


_reparametrize_module = replaced


def _places(module: Module, tensors: dict[str, Tensor], tie_weights: bool, strict: bool) -> list[tuple]:
    """Where each of the tensors belongs: a registry of a module, a name in it, and the key of the tensor."""
    every: dict[str, tuple] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        for registry in (part._parameters, part._buffers):
            for name, value in registry.items():
                if value is not None:
                    every[f"{path}.{name}" if path else name] = (registry, name)
    found = [(*every[key], key) for key in tensors if key in every]
    if tie_weights:
        found += _ties(every, tensors)
    filled = {(id(registry), name) for registry, name, _ in found}
    unknown = sorted(key for key in tensors if key not in every)
    missing = sorted(key for key, (registry, name) in every.items() if (id(registry), name) not in filled)
    if strict and (unknown or missing):
        parts = [f"Unexpected key(s): {', '.join(map(repr, unknown))}."] if unknown else []
        parts += [f"Missing key(s): {', '.join(map(repr, missing))}."] if missing else []
        listed = "\n\t".join([f"Error(s) in reparametrizing for {type(module).__name__}:", *parts])
        raise RuntimeError(listed)
    for key, value in tensors.items():
        if key in every and not isinstance(value, Tensor):
            raise TypeError(f"{value} is not an instance of torch.Tensor")
    return found


def _ties(every: dict[str, tuple], tensors: dict[str, Tensor]) -> list[tuple]:
    """Places, for the keys that are not given, of tensors that are given under another key."""
    groups: dict[int, list[str]] = {}
    for key, (registry, name) in every.items():
        groups.setdefault(id(registry[name]), []).append(key)
    found = []
    for keys in groups.values():
        given = [key for key in keys if key in tensors]
        if len({id(tensors[key]) for key in given}) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(keys)}, which are tied. Consider using "
                "tie_weights=False"
            )
        if given:
            found += [(*every[key], given[0]) for key in keys if key not in tensors]
    return found


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and buffers of equal modules, stacked under each name: for running an ensemble in one call.

    Returns:
        The parameters (leaves that ask for gradients as the first module's do) and the buffers, by path.
    """
    if len(models) == 0:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    first = models[0]
    if not all(type(m) is type(first) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters, buffers = {}, {}
    for name, value in first.named_parameters():
        every = [dict(m.named_parameters())[name] for m in models]
        stacked = flambeau.stack([p.detach() for p in every])
        parameters[name] = stacked.requires_grad_(value.requires_grad)
    for name, value in first.named_buffers():
        every = [dict(m.named_buffers())[name] for m in models]
        buffers[name] = flambeau.stack([b.detach() for b in every]).requires_grad_(value.requires_grad)
    return parameters, buffers
