"""`__torch_function__` for authors of tensor-like types: asking whether a type answers for itself, and letting it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from .base.mode import mode
from .ops.define import METHODS, names
from .tensor.overrides import (
    DisableTorchFunction,
    DisableTorchFunctionSubclass,
    TorchFunctionMode,
    handle,
    overrides,
    present,
)  # fmt: skip
from .tensor.tensor import Tensor

__all__ = [
    "DisableTorchFunction", "DisableTorchFunctionSubclass", "TorchFunctionMode", "enable_reentrant_dispatch",
    "get_default_nowrap_functions", "get_ignored_functions", "get_overridable_functions", "get_testing_overrides",
    "handle_torch_function", "has_torch_function", "has_torch_function_unary", "has_torch_function_variadic",
    "is_tensor_like", "is_tensor_method_or_property", "resolve_name", "wrap_torch_function",
]  # fmt: skip

BaseTorchFunctionMode = TorchFunctionMode


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether any of the arguments answers for itself, or a mode is on."""
    return present(tuple(relevant_args))


def has_torch_function_unary(arg: Any) -> bool:
    """`has_torch_function` of one argument."""
    return present((arg,))


def has_torch_function_variadic(*args: Any) -> bool:
    """`has_torch_function` of arguments given one by one."""
    return present(args)


def handle_torch_function(
    public_api: Callable, relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """Call ``__torch_function__`` of the arguments that have one, in order, and give the first answer.

    public_api: the function that was called. relevant_args: what may answer; args and kwargs: the whole call.

    Raises: TypeError when none answers.

    >>> import flambeau as torch
    >>> class Two:
    ...     @classmethod
    ...     def __torch_function__(cls, func, types, args=(), kwargs=None):
    ...         return 2
    >>> def f(x):
    ...     if torch.overrides.has_torch_function((x,)):
    ...         return torch.overrides.handle_torch_function(f, (x,), x)
    >>> f(Two())
    2
    """
    found = handle(public_api, args, kwargs, tuple(relevant_args))
    if found is NotImplemented:
        raise TypeError(
            f"no implementation found for '{public_api.__module__}.{public_api.__name__}' on types that implement "
            "__torch_function__: []"
        )
    return found


def wrap_torch_function(dispatcher: Callable) -> Callable:
    """Decorate a function so that arguments with ``__torch_function__`` may answer for it.

    dispatcher: gives those arguments, from the arguments of the call.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped

    return decorate


def is_tensor_like(inp: Any) -> bool:
    """Whether an object is a tensor, or of a type with ``__torch_function__``."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def is_tensor_method_or_property(func: Callable) -> bool:
    """Whether a function given to ``__torch_function__`` is a method (or the getter of a property) of Tensor."""
    name = getattr(func, "__name__", "")
    return name == "__get__" or getattr(Tensor, name, None) is func


def get_overridable_functions() -> dict[Any, list[Callable]]:
    """The functions that ``__torch_function__`` can answer for, by the name space they are in."""
    import flambeau
    from flambeau.nn import functional

    found: dict[Any, list[Callable]] = {}
    for space, holder in (("", flambeau), ("nn.functional", functional)):
        found[holder] = [getattr(holder, name) for name in names(space) if hasattr(holder, name)]
    found[Tensor] = [getattr(Tensor, name) for name in METHODS if callable(getattr(Tensor, name, None))]
    return found


def get_testing_overrides() -> dict[Callable, Callable]:
    """For each function that can be answered for, one that takes anything."""
    return {f: (lambda *args, **kwargs: -1) for group in get_overridable_functions().values() for f in group}


def get_ignored_functions() -> set[Callable]:
    """Functions that no argument can answer for: those that make tensors of plain data."""
    import flambeau

    return {
        flambeau.is_tensor,
        flambeau.tensor,
        flambeau.from_numpy,
        flambeau.manual_seed,
        flambeau.set_default_dtype,
    }


def get_default_nowrap_functions() -> set[Callable]:
    """Functions whose results the default ``__torch_function__`` leaves as they are."""
    return set()


def resolve_name(f: Callable) -> str | None:
    """The public name of a function given to ``__torch_function__``."""
    if isinstance(getattr(f, "__module__", None), str) and hasattr(f, "__name__"):
        return f"{f.__module__}.{f.__name__}".replace("flambeau", "torch", 1)
    return None


def enable_reentrant_dispatch():
    """Within ``__torch_function__``, let the operators called ask again."""
    from contextlib import contextmanager

    @contextmanager
    def enabled():
        before, mode.torch_function = mode.torch_function, True
        try:
            yield
        finally:
            mode.torch_function = before

    return enabled()


def is_overriding(x: Any) -> bool:
    """Whether an object's type has a ``__torch_function__`` of its own."""
    return overrides(x)
