"""Operators of programs' own, under `torch.library`'s names: plain Python functions with a gradient, called by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import _ops
from .tensor.tensor import Tensor

__all__ = [
    "CustomOpDef", "Library", "custom_op", "define", "fallthrough_kernel", "impl", "impl_abstract", "infer_schema",
    "register_autocast", "register_autograd", "register_fake", "register_kernel", "register_torch_dispatch",
    "register_vmap", "triton_op", "wrap_triton",
]  # fmt: skip


def _split(name: str) -> tuple[str, str]:
    space, found, last = name.partition("::")
    if not found or not space or not last or "::" in last:
        raise ValueError(
            f"Expected `{name}` to be of the form `namespace::name`. Library.define() accepts schemas, `custom_op` names"
        )
    return space, last.partition(".")[0]


class CustomOpDef:
    """A function registered as an operator: call it, or ``torch.ops.space.name``."""

    def __init__(self, space: str, name: str, function: Callable | None, schema: str | None = None):
        self._namespace, self._name, self._init_fn = space, name, function
        self._schema = schema
        self._kernels: dict[str | None, Callable] = {} if function is None else {None: function}
        self._backward: Callable | None = None
        self._setup: Callable | None = None
        self._fake: Callable | None = None
        if function is not None:
            self.__name__, self.__doc__ = function.__name__, function.__doc__
        _ops.forget(space, name)
        _ops.REGISTERED[space, name] = self

    @property
    def _qualname(self) -> str:
        return f"{self._namespace}::{self._name}"

    @property
    def _opoverload(self) -> Any:
        return getattr(_ops.namespaces(self._namespace), self._name).default

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._backward is not None and any(isinstance(a, Tensor) and a.requires_grad for a in args):
            return self._differentiable().apply(*args, **kwargs)
        return self._run(*args, **kwargs)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        device = next((a.device.type for a in args if isinstance(a, Tensor)), None)
        kernel = self._kernels.get(device) or self._kernels.get(None)
        if device == "meta" and self._fake is not None:
            kernel = self._fake
        if kernel is None:
            raise NotImplementedError(
                f"Could not run '{self._qualname}': it is declared, but has no implementation for '{device}'"
            )
        return kernel(*args, **kwargs)

    def _differentiable(self) -> type:
        from .autograd import Function

        run, setup, backward = self._run, self._setup, self._backward

        class Wrapped(Function):
            @staticmethod
            def forward(*args: Any, **kwargs: Any) -> Any:
                return run(*args, **kwargs)

            @staticmethod
            def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
                if setup is not None:
                    setup(ctx, inputs, output)

            @staticmethod
            def backward(ctx: Any, *gradients: Any) -> Any:
                return backward(ctx, *gradients)

        Wrapped.__name__ = Wrapped.__qualname__ = self._name
        return Wrapped

    def register_kernel(self, device_types: Any, fn: Callable | None = None, /) -> Callable:
        """Decorate the implementation for a type of device, or several."""
        types = (
            [device_types] if isinstance(device_types, str) or device_types is None else list(device_types)
        )

        def register(function: Callable) -> Callable:
            for one in types:
                self._kernels[one] = function
            return function

        return register if fn is None else register(fn)

    def register_fake(self, fn: Callable, /) -> Callable:
        """Decorate the function that makes results of the right shape: it runs for tensors without data ("meta")."""
        self._fake = fn
        return fn

    register_impl_abstract = register_fake

    def register_autograd(self, backward: Callable, /, *, setup_context: Callable | None = None) -> None:
        """Give the gradient: ``backward(ctx, *grads)``, with what ``setup_context(ctx, inputs, output)`` saved."""
        self._backward, self._setup = backward, setup_context

    def register_vmap(self, func: Callable | None = None) -> Callable:
        """Decorate the rule for a batch of calls (kept; nothing calls it here)."""
        self._vmap = func
        return func if func is not None else lambda f: f

    def register_autocast(self, device_type: str, cast_inputs: Any) -> None:
        """Name the type that inputs are cast to under `autocast` (kept; inputs arrive as they are)."""
        self._autocast = (device_type, cast_inputs)

    def register_torch_dispatch(self, torch_dispatch_class: Any, fn: Callable | None = None, /) -> Callable:
        """Decorate the rule for a tensor subclass or mode (kept; nothing calls it here)."""
        return fn if fn is not None else lambda f: f


def custom_op(
    name: str, fn: Callable | None = None, /, *, mutates_args: str | Iterable[str],
    device_types: str | Sequence[str] | None = None, schema: str | None = None, tags: Any = None,
) -> Any:  # fmt: skip
    """Decorate a function to make it an operator, ``torch.ops.space.name``.

    name: ``"space::name"``. mutates_args: the names of the arguments that it writes.

    >>> import flambeau as torch
    >>> @torch.library.custom_op("mine::triple", mutates_args=())
    ... def triple(x: torch.Tensor) -> torch.Tensor:
    ...     return x * 3
    >>> triple.register_autograd(lambda ctx, g: g * 3)
    >>> torch.ops.mine.triple(torch.ones(2))
    tensor([3., 3.])
    """
    space, last = _split(name)

    def register(function: Callable) -> CustomOpDef:
        made = CustomOpDef(space, last, None if device_types is not None else function, schema)
        made._init_fn = function
        made.__name__, made.__doc__ = function.__name__, function.__doc__
        if device_types is not None:
            made.register_kernel(device_types, function)
        return made

    return register if fn is None else register(fn)


triton_op = custom_op


def wrap_triton(triton_kernel: Any, /) -> Any:
    """The kernel itself."""
    return triton_kernel


_SCHEMA = re.compile(r"\s*([\w.]+(?:::[\w.]+)?)\s*\(")


class Library:
    """A set of operators that one file defines or implements.

    ns: the name space. kind: "DEF" to declare operators, "IMPL" to implement them, "FRAGMENT" for either.
    """

    def __init__(self, ns: str, kind: str, dispatch_key: str = ""):
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError("Unsupported kind: ", kind)
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key
        self._names: list[str] = []

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Declare an operator by its schema, ``"name(Tensor x) -> Tensor"``; gives its name."""
        found = _SCHEMA.match(schema)
        if found is None:
            raise RuntimeError(f"Could not parse the schema: {schema}")
        name = found[1].partition(".")[0]
        CustomOpDef(self.ns, name, None, schema)
        self._names.append(name)
        return name

    def impl(
        self, op_name: Any, fn: Callable, dispatch_key: str = "", *, with_keyset: bool = False, allow_override: bool = False
    ) -> None:  # fmt: skip
        """Implement an operator, for a kind of device or for all."""
        name = (op_name if isinstance(op_name, str) else op_name.name()).split("::")[-1].partition(".")[0]
        op = _registered(self.ns, name)
        key = dispatch_key or self.dispatch_key
        if key == "Meta":
            op.register_fake(fn)
        elif key in ("Autograd", "AutogradCPU", "AutogradCUDA"):
            op._kernels[None] = fn
        else:
            op.register_kernel(_DEVICES.get(key, key.lower()), fn)

    def _destroy(self) -> None:
        for name in self._names:
            _ops.forget(self.ns, name)


_DEVICES = {"": None, "CompositeExplicitAutograd": None, "CompositeImplicitAutograd": None}


def _registered(space: str, name: str) -> CustomOpDef:
    found = _ops.REGISTERED.get((space, name))
    if not isinstance(found, CustomOpDef):
        raise RuntimeError(f"operator {space}::{name} does not exist")
    return found


def _operator(op: Any) -> CustomOpDef:
    if isinstance(op, CustomOpDef):
        return op
    return _registered(*_split(op if isinstance(op, str) else op.name()))


def define(qualname: str, schema: Any = None, *, lib: Library | None = None, tags: Any = ()) -> Any:
    """Declare an operator by its name and schema; without a schema, a decorator that also implements it."""
    space, name = _split(qualname)
    if isinstance(schema, str):
        return CustomOpDef(space, name, None, schema)
    return lambda function: CustomOpDef(space, name, function)


def impl(
    qualname: str, types: str | Sequence[str], func: Callable | None = None, *, lib: Library | None = None
) -> Any:
    """Implement an operator for types of devices ("default" for all)."""
    op = _operator(qualname)
    names = [types] if isinstance(types, str) else list(types)
    return op.register_kernel(
        [None if t in ("default", "CompositeExplicitAutograd") else t.lower() for t in names], func
    )


def register_kernel(
    op: Any, device_types: Any, func: Callable | None = None, /, *, lib: Library | None = None
) -> Any:
    """Implement an operator for types of devices."""
    return _operator(op).register_kernel(device_types, func)


def register_fake(
    op: Any, func: Callable | None = None, /, *, lib: Library | None = None, _stacklevel: int = 1, allow_override: bool = False
) -> Any:  # fmt: skip
    """Give the function that makes an operator's results for tensors without data.

    An operator of a compiled library that could not be loaded is not there: then the function is not needed either.
    """
    if isinstance(op, str) and _split(op) not in _ops.REGISTERED:
        return (lambda function: function) if func is None else func
    made = _operator(op)
    return made.register_fake if func is None else made.register_fake(func)


impl_abstract = register_fake


def register_autograd(
    op: Any, backward: Callable, /, *, setup_context: Callable | None = None, lib: Library | None = None
) -> None:
    """Give the gradient of an operator."""
    _operator(op).register_autograd(backward, setup_context=setup_context)


def register_vmap(op: Any, func: Callable | None = None, /, *, lib: Library | None = None) -> Any:
    """Give the rule of an operator for a batch of calls (kept; nothing calls it here)."""
    return _operator(op).register_vmap(func)


def register_autocast(op: Any, device_type: str, cast_inputs: Any, /, *, lib: Library | None = None) -> None:
    """Name the type that an operator's inputs are cast to under `autocast` (kept)."""
    _operator(op).register_autocast(device_type, cast_inputs)


def register_torch_dispatch(
    op: Any, torch_dispatch_class: Any, func: Callable | None = None, /, *, lib: Library | None = None
) -> Any:
    """Give the rule of an operator for a tensor subclass or mode (kept; nothing calls it here)."""
    return _operator(op).register_torch_dispatch(torch_dispatch_class, func)


def fallthrough_kernel() -> None:
    """Stands for "use the next implementation"; never called."""
    raise NotImplementedError("fallthrough_kernel() should never be called.")


def infer_schema(prototype_function: Callable, /, *, mutates_args: Any, op_name: str | None = None) -> str:
    """The schema of a function, from its annotations: ``"(Tensor x, int n=1) -> Tensor"``."""
    import inspect
    import typing

    hints = typing.get_type_hints(prototype_function)
    parts, star = [], False
    for p in inspect.signature(prototype_function).parameters.values():
        if p.kind is p.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        kind = _schema_type(hints[p.name])
        mark = "(a!)" if mutates_args == "unknown" or p.name in mutates_args else ""
        default = "" if p.default is p.empty else f"={p.default}"
        parts.append(f"{kind}{mark} {p.name}{default}")
    result = hints.get("return")
    several = typing.get_origin(result) is tuple
    returns = (
        "(" + ", ".join(map(_schema_type, typing.get_args(result))) + ")" if several else _schema_type(result)
    )
    return f"{op_name or ''}({', '.join(parts)}) -> {returns}"


def _schema_type(kind: Any) -> str:
    import types
    import typing

    if kind is None or kind is type(None):
        return "()"
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _schema_type(next(i for i in inner if i is not type(None))) + "?"
    if origin is not None:
        return _schema_type(inner[0]) + "[]"
    names = {Tensor: "Tensor", int: "SymInt", float: "float", bool: "bool", str: "str"}
    if kind not in names:
        raise ValueError(f"infer_schema(func): unsupported type {kind}")
    return names[kind]
