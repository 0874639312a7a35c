"""Tools around training: data loading, hooks."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from . import data, hooks

__all__ = ["data", "get_cpp_backtrace", "hooks", "set_module", "swap_tensors"]

_MODULES = (
    "benchmark", "bottleneck", "checkpoint", "collect_env", "cpp_extension", "deterministic", "dlpack", "flop_counter",
    "model_zoo", "tensorboard", "weak", "_contextlib", "_device", "_foreach_utils", "_python_dispatch", "_pytree",
)  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    """Modules that are imported when they are first asked for."""
    if name in _MODULES:
        from importlib import import_module

        try:
            return import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def set_module(obj: Any, mod: str) -> None:
    """Say that a class or function belongs to another module."""
    if not isinstance(mod, str):
        raise TypeError("The mod argument should be a string")
    obj.__module__ = mod


def get_cpp_backtrace(frames_to_skip: int = 0, maximum_number_of_frames: int = 64) -> str:
    """The native frames on the stack: kernels have none of their own."""
    return ""


def swap_tensors(t1: Any, t2: Any) -> None:
    """Exchange two tensors: every reference to the one now means the other's data, type, gradient and attributes.

    Raises: RuntimeError when one of them is watched by weak references.
    """
    import weakref

    from ..tensor.autograd import AccumulateGrad
    from ..tensor.tensor import Tensor

    leaves = [t._node if type(t._node) is AccumulateGrad else None for t in (t1, t2)]
    for name, t, leaf in (("t1", t1, leaves[0]), ("t2", t2, leaves[1])):
        if any(leaf is None or ref is not leaf._variable for ref in weakref.getweakrefs(t)):
            raise RuntimeError(f"Cannot swap {name} because it has weakref associated with it")
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    for slot in ("_memory", "_offset", "_layout", "_node", "_base", "_grad", "_extra", "_views"):
        member = Tensor.__dict__[slot]
        first, second = (_slot(member, t) for t in (t1, t2))
        member.__set__(t1, second)
        member.__set__(t2, first)
    first, second = dict(t1.__dict__), dict(t2.__dict__)
    for t, kept in ((t1, second), (t2, first)):
        t.__dict__.clear()
        t.__dict__.update(kept)
        if type(t._node) is AccumulateGrad:
            t._node._variable = weakref.ref(t)


def _slot(member: Any, t: Any) -> Any:
    try:
        return member.__get__(t)
    except AttributeError:  # never set
        return None
