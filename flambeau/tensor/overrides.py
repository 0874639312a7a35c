"""`__torch_function__`: operators on subclasses and on foreign types that want to answer for themselves, and modes."""

from __future__ import annotations

import contextlib
from typing import Any

from ..base.mode import mode
from .tensor import Tensor, _disabled_torch_function, _raw_layout, foreign_layout

#: types that never override: checked first, by identity
PLAIN = {Tensor, int, float, bool, complex, type(None), str, tuple, list}
_NEVER = frozenset(PLAIN)


def overrides(x) -> bool:
    """Whether `x` has a __torch_function__ of its own."""
    kind = type(x)
    if kind in _NEVER:
        return False
    own = getattr(kind, "__torch_function__", None)
    return own is not None and getattr(own, "__func__", own) is not _disabled_torch_function


def present(args) -> bool:
    """Whether any argument (or element of a list argument) overrides, or a mode is on."""
    if not mode.torch_function:
        return False
    if mode.function_modes:
        return True
    for x in args:
        if type(x) in (list, tuple):
            if any(type(e) not in _NEVER and overrides(e) for e in x):
                return True
        elif type(x) not in _NEVER and overrides(x):
            return True
    return False


def overriding(args) -> list:
    """The arguments that override, one a type, subclasses before their bases."""
    found: list = []
    for x in args:
        for e in x if type(x) in (list, tuple) else (x,):
            if overrides(e) and type(e) not in [type(f) for f in found]:
                at = next((k for k, f in enumerate(found) if issubclass(type(e), type(f))), len(found))
                found.insert(at, e)
    return found


def handle(function, args: tuple, keywords: dict, relevant=None):
    """Ask the innermost mode, then the overriding arguments in order; NotImplemented when none overrides.

    relevant: the arguments that may override, where those are not all.
    """
    if not mode.torch_function:
        return NotImplemented
    found = overriding((*args, *keywords.values()) if relevant is None else relevant)
    kinds = tuple(type(f) for f in found)
    if mode.function_modes:
        result = _ask_mode(function, kinds, args, keywords)
        if result is not NotImplemented:
            return result
    elif not found:
        return NotImplemented
    for one in found:
        result = type(one).__torch_function__(function, kinds, args, keywords)
        if result is not NotImplemented:
            return result
    name = f"{function.__module__}.{function.__name__}".replace("flambeau", "torch", 1)
    raise TypeError(
        f"Multiple dispatch failed for '{name}'; all __torch_function__ handlers returned NotImplemented:\n\n"
        + "".join(f"  - tensor subclass {kind}\n" for kind in kinds)
    )


def _ask_mode(function, kinds: tuple, args: tuple, keywords: dict):
    """The answer of the innermost mode, which is off while it answers."""
    stack = mode.function_modes
    inner, mode.function_modes = stack[-1], stack[:-1]
    try:
        return inner.__torch_function__(function, kinds, args, keywords)
    finally:
        mode.function_modes = stack


def routed(function, self, *args):
    """Ask `self` (or a mode) for a method that is no operator; NotImplemented when the method itself should run."""
    return handle(function, (self, *args), {}) if present((self,)) else NotImplemented


@classmethod
def _default(cls, func, types, args=(), kwargs=None):
    """Run the operator on the plain tensors, then give results the subclass's type."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        found = func(*args, **(kwargs or {}))
    return wrap(found, cls, args)


def wrap(found, cls, args=()):
    """Results as the subclass: a new tensor changes its class, one that the caller holds gets an alias."""
    if isinstance(found, Tensor) and not isinstance(found, cls):
        if type(found) is Tensor and not any(found is a for a in args):
            try:
                found.__class__ = cls
                return found
            except TypeError:  # a class with slots of its own
                pass
        return found.as_subclass(cls)
    if isinstance(found, (tuple, list)):
        made = [wrap(f, cls, args) for f in found]
        return type(found)(*made) if hasattr(found, "_make") else type(found)(made)
    return found


Tensor.__torch_function__ = _default  # type: ignore[attr-defined]


@contextlib.contextmanager
def DisableTorchFunctionSubclass():
    """Within it, operators do not ask __torch_function__ of subclasses (PyTorch's public name)."""
    before = mode.torch_function
    mode.torch_function = False
    try:
        yield
    finally:
        mode.torch_function = before


DisableTorchFunction = DisableTorchFunctionSubclass


class TorchFunctionMode:
    """Within it, every call of an operator goes to this object's ``__torch_function__`` first.

    >>> import flambeau as torch
    >>> class Log(torch.overrides.TorchFunctionMode):
    ...     def __torch_function__(self, func, types, args=(), kwargs=None):
    ...         print(func.__name__)
    ...         return func(*args, **(kwargs or {}))
    >>> with Log():
    ...     x = torch.exp(torch.tensor([0.0]))
    exp
    """

    def __init__(self) -> None:
        pass

    def __torch_function__(self, func, types, args=(), kwargs=None) -> Any:
        raise NotImplementedError

    def __enter__(self):
        mode.function_modes = (*mode.function_modes, self)
        _count_modes(1)
        return self

    def __exit__(self, *exc) -> None:
        mode.function_modes = mode.function_modes[:-1]
        _count_modes(-1)


_active = [0]


def _count_modes(step: int) -> None:
    """While a mode is on in any thread, plain tensors take the long way, where modes are asked."""
    before = _active[0]
    _active[0] += step
    if before == 0:
        PLAIN.discard(Tensor)
        Tensor._layout = property(foreign_layout, _raw_layout.__set__)  # type: ignore[assignment]
    elif _active[0] == 0:
        PLAIN.add(Tensor)
        Tensor._layout = _raw_layout  # type: ignore[assignment]
