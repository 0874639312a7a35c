"""`__torch_function__`: operators on subclasses and on foreign types that want to answer for themselves."""

from __future__ import annotations

import contextlib

from ..base.mode import mode
from .tensor import Tensor, _disabled_torch_function

#: types that never override: checked first, by identity
PLAIN = {Tensor, int, float, bool, complex, type(None), str, tuple, list}


def overrides(x) -> bool:
    """Whether `x` has a __torch_function__ of its own."""
    kind = type(x)
    if kind in PLAIN:
        return False
    own = getattr(kind, "__torch_function__", None)
    if own is None:
        return False
    inner = getattr(own, "__func__", own)
    return inner is not _default.__func__ and inner is not _disabled_torch_function


def present(args) -> bool:
    """Whether any argument (or element of a list argument) overrides."""
    if not mode.torch_function:
        return False
    for x in args:
        if type(x) in (list, tuple):
            if any(type(e) not in PLAIN and overrides(e) for e in x):
                return True
        elif type(x) not in PLAIN and overrides(x):
            return True
    return False


def handle(function, args: tuple, keywords: dict):
    """Ask the overriding arguments in order, subclasses before their bases; NotImplemented when none overrides."""
    if not mode.torch_function:
        return NotImplemented
    found: list = []
    for x in (*args, *keywords.values()):
        for e in x if type(x) in (list, tuple) else (x,):
            if overrides(e) and type(e) not in [type(f) for f in found]:
                at = next((k for k, f in enumerate(found) if issubclass(type(e), type(f))), len(found))
                found.insert(at, e)
    if not found:
        return NotImplemented
    kinds = tuple(type(f) for f in found)
    for one in found:
        result = type(one).__torch_function__(function, kinds, args, keywords)
        if result is not NotImplemented:
            return result
    names = ", ".join(k.__name__ for k in kinds)
    raise TypeError(f"no implementation found for '{function.__module__}.{function.__name__}' on types that implement "
                    f"__torch_function__: [{names}]")  # fmt: skip


@classmethod
def _default(cls, func, types, args=(), kwargs=None):
    """Run the operator on the plain tensors, then give results the subclass's type."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        return wrap(func(*args, **(kwargs or {})), cls)


def wrap(found, cls):
    if isinstance(found, Tensor) and not isinstance(found, cls):
        return found.as_subclass(cls)
    if isinstance(found, (tuple, list)):
        made = [wrap(f, cls) for f in found]
        return type(found)(*made) if hasattr(found, "_fields") else type(found)(made)
    return found


Tensor.__torch_function__ = _default  # type: ignore[attr-defined]


@contextlib.contextmanager
def DisableTorchFunctionSubclass():  # noqa: N802 (PyTorch's public name)
    """Within it, operators do not ask __torch_function__."""
    before = mode.torch_function
    mode.torch_function = False
    try:
        yield
    finally:
        mode.torch_function = before
