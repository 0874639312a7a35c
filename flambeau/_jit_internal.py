"""Names that libraries take from the inside of `torch.jit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Dict, Final, List, Optional, Tuple, Union  # noqa: UP035

from .futures import Future
from .jit import _overload, _overload_method, export, ignore, is_scripting, unused
from .jit.annotations import BroadcastingList1, BroadcastingList2, BroadcastingList3

__all__ = [
    "Any", "BroadcastingList1", "BroadcastingList2", "BroadcastingList3", "Dict", "Final", "Future", "List", "Optional",
    "Tuple", "Union", "boolean_dispatch", "export", "ignore", "is_scripting", "unused", "weak_module", "weak_script_method",
]  # fmt: skip
_ = (_overload, _overload_method)


def boolean_dispatch(
    arg_name: str, arg_index: int, default: bool, if_true: Callable, if_false: Callable, module_name: str, func_name: str
) -> Callable:  # fmt: skip
    """A function that is one of two, by a flag among its arguments."""

    def choose(*args: Any, **kwargs: Any) -> Any:
        flag = args[arg_index] if arg_index < len(args) else kwargs.get(arg_name, default)
        return (if_true if flag else if_false)(*args, **kwargs)

    choose.__name__, choose.__module__ = func_name, module_name
    choose.__doc__ = if_true.__doc__ or if_false.__doc__
    return choose


def _copy_to_script_wrapper(fn: Callable) -> Callable:
    return fn


def weak_module(cls: type) -> type:
    """The class itself."""
    return cls


def weak_script_method(fn: Callable) -> Callable:
    """The method itself."""
    return fn
