"""`torch.jit` for programs that use it: functions and modules stay the Python that they are.

PyTorch compiles "scripted" code because its Python is slow; here the kernels are generated either way, so scripting and
tracing give back what they were given, and everything about it (debuggers, hooks, plain attributes) goes on working.
What only makes sense for compiled code (`save`, `load`, graphs) says so.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, Final, Generic, NoReturn, TypeVar

from ..futures import Future
from ..nn import Module

__all__ = [
    "Attribute", "CompilationUnit", "Error", "Final", "Future", "ONNXTracerWarning", "RecursiveScriptModule",
    "ScriptFunction", "ScriptModule", "TopLevelTracedModule", "TracerWarning", "TracingCheckError", "annotate",
    "enable_onednn_fusion", "export", "export_opnames", "fork", "freeze", "fuser", "ignore", "interface",
    "is_scripting", "is_tracing", "isinstance", "last_executed_optimized_graph", "load", "onednn_fusion_enabled",
    "optimize_for_inference", "optimized_execution", "run_frozen_optimizations", "save", "script",
    "script_if_tracing", "script_method", "set_fusion_strategy", "strict_fusion", "trace", "trace_module", "unused",
    "wait",
]  # fmt: skip

_isinstance = isinstance
T = TypeVar("T")


class Error(RuntimeError):
    """An error of compiled code; never raised here, for programs that catch it."""


class TracingCheckError(Exception):
    """A traced function that does not repeat itself; never raised here."""


class TracerWarning(Warning):
    """A warning of PyTorch's tracer; never given here."""

    @staticmethod
    def ignore_lib_warnings() -> None:
        """There is nothing to ignore."""


ONNXTracerWarning = TracerWarning


class Attribute(Generic[T]):
    """A value with a type, for attributes of scripted modules: gives the value itself.

    >>> Attribute(0.5, float)
    0.5
    """

    def __new__(cls, value: Any, type: Any) -> Any:
        return value


class ScriptModule(Module):
    """The base of compiled modules in PyTorch. Subclasses written by hand run as ordinary modules."""


class RecursiveScriptModule(ScriptModule):
    """What PyTorch's `script` makes of a module; nothing here is of this type."""


class TopLevelTracedModule(ScriptModule):
    """What PyTorch's `trace` makes of a module; nothing here is of this type."""


TracedModule = TopLevelTracedModule


class ScriptFunction:
    """What PyTorch's `script` makes of a function; nothing here is of this type."""

    def __init__(self) -> None:
        _no_compiled_code("ScriptFunction")


class ScriptObject:
    """An object of compiled code; nothing here is of this type."""

    def __init__(self) -> None:
        _no_compiled_code("ScriptObject")


class CompilationUnit:
    """Compiled source code: not supported."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        _no_compiled_code("CompilationUnit")


def _no_compiled_code(name: str) -> NoReturn:
    raise NotImplementedError(
        f"torch.jit.{name} works on TorchScript programs, which Flambeau does not have\n"
        "  fix     save a model by its parameters: torch.save(model.state_dict(), file), and load them into the same class"
    )


# -- what gives back what it was given -------------------------------------------------------------------------------


def script(
    obj: Any = None, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None
) -> Any:
    """The function, class or module itself: it runs as the Python that it is.

    >>> import flambeau as torch
    >>> @torch.jit.script
    ... def double(x):
    ...     return x + x
    >>> double(torch.ones(2))
    tensor([2., 2.])
    """
    return obj


def trace(
    func: Any = None, example_inputs: Any = None, optimize: Any = None, check_trace: bool = True,
    check_inputs: Any = None, check_tolerance: float = 1e-5, strict: bool = True, _force_outplace: bool = False,
    _module_class: Any = None, _compilation_unit: Any = None, example_kwarg_inputs: dict | None = None,
    _store_inputs: bool = True,
) -> Any:  # fmt: skip
    """The function or module itself, after one call on the example inputs: errors in them show here, as in PyTorch."""
    if example_inputs is not None or example_kwarg_inputs is not None:
        from ..tensor.tensor import Tensor

        given = (example_inputs,) if _isinstance(example_inputs, (Tensor, dict)) else example_inputs or ()
        func(*given, **(example_kwarg_inputs or {}))
    return func


def trace_module(mod: Module, inputs: dict[str, Any], *options: Any, **keywords: Any) -> Module:
    """The module itself, after one call of each method named in `inputs`."""
    for name, given in inputs.items():
        getattr(mod, name)(*(given if _isinstance(given, tuple) else (given,)))
    return mod


def script_method(fn: Callable) -> Callable:
    """The method itself."""
    return fn


def script_if_tracing(fn: Callable) -> Callable:
    """The function itself."""
    return fn


def export(fn: Callable) -> Callable:
    """The method itself: all methods can be called."""
    return fn


def unused(fn: Any) -> Any:
    """The method itself: there is no compiler that should leave it out."""
    return fn


def ignore(drop: Any = False, **keywords: Any) -> Any:
    """The function itself: there is no compiler that should leave it alone."""
    if callable(drop):
        return drop
    return lambda fn: fn


def interface(obj: type) -> type:
    """The class itself."""
    return obj


def freeze(mod: Module, preserved_attrs: Any = None, optimize_numerics: bool = True) -> Module:
    """The module itself.

    Raises: RuntimeError for a module in training mode.
    """
    if mod.training:
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call .eval() on your module before freezing."
        )
    return mod


def optimize_for_inference(mod: Module, other_methods: list[str] | None = None) -> Module:
    """The module itself, in eval mode."""
    return freeze(mod.eval())


def run_frozen_optimizations(
    mod: Module, optimize_numerics: bool = True, preserved_methods: Any = None
) -> None:
    """There is nothing to do."""


def annotate(the_type: Any, the_value: T) -> T:
    """The value itself."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether an object is of a type, which may be parametrised: ``List[int]``, ``Optional[Tensor]``.

    >>> import typing
    >>> isinstance([1, 2], typing.List[int]), isinstance([1, "a"], typing.List[int])
    (True, False)
    """
    import types
    import typing

    if _isinstance(target_type, (tuple, list)):
        return any(isinstance(obj, one) for one in target_type)
    origin, inner = typing.get_origin(target_type), typing.get_args(target_type)
    if target_type is None or target_type is Any:
        return target_type is Any or obj is None
    if origin is None:
        return _isinstance(obj, target_type)
    if origin in (typing.Union, types.UnionType):
        return any(isinstance(obj, one) for one in inner)
    if not _isinstance(obj, origin):
        return False
    if origin is dict:
        return all(isinstance(k, inner[0]) and isinstance(v, inner[1]) for k, v in obj.items())
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        return len(obj) == len(inner) and all(isinstance(o, i) for o, i in zip(obj, inner))
    return all(isinstance(one, inner[0]) for one in obj)


# -- questions and switches ------------------------------------------------------------------------------------------


def is_scripting() -> bool:
    """Whether compiled code is running: never."""
    return False


def is_tracing() -> bool:
    """Whether a function is being traced: never."""
    return False


@contextlib.contextmanager
def optimized_execution(should_optimize: bool):
    """Nothing changes within it."""
    yield


@contextlib.contextmanager
def fuser(name: str):
    """Nothing changes within it."""
    yield


class strict_fusion(contextlib.nullcontext):
    """Nothing changes within it."""


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Kept for programs that set it."""
    return strategy


_onednn = [False]


def enable_onednn_fusion(enabled: bool) -> None:
    """Kept for programs that set it."""
    _onednn[0] = bool(enabled)


def onednn_fusion_enabled() -> bool:
    """What `enable_onednn_fusion` set."""
    return _onednn[0]


# -- tasks -----------------------------------------------------------------------------------------------------------


def fork(func: Callable, *args: Any, **kwargs: Any) -> Future:
    """Call the function and give its result as a future. The call has ended when this returns."""
    future: Future = Future()
    try:
        future.set_result(func(*args, **kwargs))
    except Exception as error:
        future.set_exception(error)
    return future


def wait(future: Future) -> Any:
    """The result of a future."""
    return future.wait()


_fork, _wait = fork, wait

# -- what needs compiled code ----------------------------------------------------------------------------------------


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """Not supported: there is no compiled code to save."""
    _no_compiled_code("save")


def load(f: Any, map_location: Any = None, _extra_files: Any = None, _restore_shapes: bool = False) -> Any:
    """Not supported: archives of compiled code hold programs of PyTorch's own."""
    _no_compiled_code("load")


def last_executed_optimized_graph() -> Any:
    """Not supported: there is no graph."""
    _no_compiled_code("last_executed_optimized_graph")


def export_opnames(m: Any) -> list[str]:
    """Not supported: there is no graph."""
    _no_compiled_code("export_opnames")


def _overload(func: Callable) -> Callable:
    """A declaration that only the compiler reads."""
    return func


_overload_method = _overload


def _script_if_tracing(fn: Callable) -> Callable:
    return functools.wraps(fn)(fn)
