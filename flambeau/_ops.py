"""`torch.ops.space.name`: operators by name space, those of `torch.library` and (as ``aten``) Flambeau's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["OpOverload", "OpOverloadPacket", "REGISTERED", "namespaces"]

#: operators that programs registered, by (name space, name)
REGISTERED: dict[tuple[str, str], Callable] = {}
#: attributes of `torch.ops` that are always there
KNOWN = frozenset(("aten", "prim", "prims", "load_library", "loaded_libraries", "import_module"))


class OpOverloadPacket:
    """An operator of a name space; its overloads (``.default``, ``.Tensor``) are all this one."""

    def __init__(self, space: str, name: str, function: Callable):
        self._space, self.__name__, self._function = space, name, function
        self._qualified_op_name = f"{space}::{name}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __getattr__(self, name: str) -> OpOverload:
        if name.startswith("_"):
            raise AttributeError(name)
        made = OpOverload(self._space, self.__name__, self._function)
        made.overload = name
        setattr(self, name, made)
        return made

    def overloads(self) -> list[str]:
        """The names of the overloads."""
        return ["default"]

    def name(self) -> str:
        """``space::name``"""
        return self._qualified_op_name

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self._space}.{self.__name__}')>"


class OpOverload(OpOverloadPacket):
    """One overload of an operator."""

    overload = "default"

    def __repr__(self) -> str:
        return f"<OpOverload(op='{self._space}.{self.__name__}', overload='{self.overload}')>"


class _Space:
    """The operators of one name space."""

    def __init__(self, name: str):
        self.__name__ = f"torch.ops.{name}"
        self._space = name

    def __getattr__(self, name: str) -> OpOverloadPacket:
        if name.startswith("__"):
            raise AttributeError(name)
        function = REGISTERED.get((self._space, name))
        if function is None and self._space in ("aten", "prim", "prims"):
            function = _own(name) or _absent(name)
        if function is None:
            raise AttributeError(f"'_OpNamespace' '{self._space}' object has no attribute '{name}'")
        made = OpOverloadPacket(self._space, name, function)
        setattr(self, name, made)
        return made

    def __dir__(self) -> list[str]:
        return [n for space, n in REGISTERED if space == self._space]


def _own(name: str) -> Callable | None:
    """Flambeau's operator of this name, wherever it is public."""
    import flambeau
    from flambeau.nn import functional

    for space in (flambeau, functional, flambeau.linalg, flambeau.special):
        found = getattr(space, name, None)
        if callable(found):
            return found
    found = getattr(flambeau.Tensor, name, None)
    return found if callable(found) else None


def _absent(name: str) -> Callable:
    """An operator of PyTorch's that libraries name in tables; to call it is an error."""

    def call(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"torch.ops.aten.{name}: Flambeau has no operator of this name")

    return call


_spaces: dict[str, _Space] = {}


def namespaces(name: str) -> Any:
    """`torch.ops.name`: a name space, or a function of `torch.ops` itself."""
    if name in ("load_library", "import_module"):
        return _no_library
    if name == "loaded_libraries":
        return set()
    if name not in _spaces:
        _spaces[name] = _Space(name)
    return _spaces[name]


def forget(space: str, name: str) -> None:
    """Remove a registered operator."""
    REGISTERED.pop((space, name), None)
    if space in _spaces:
        vars(_spaces[space]).pop(name, None)


def _no_library(path: str) -> None:
    """Not supported: libraries of PyTorch's operators are compiled against PyTorch."""
    raise OSError(
        f"cannot load {path}: it holds operators compiled against PyTorch, which Flambeau cannot call\n"
        "  fix     write the operator in Python with torch.library.custom_op, or as a torch.autograd.Function"
    )


def space_called(name: str) -> Any:
    """The name space of that name; None where there is none."""
    known = name in KNOWN or any(space == name for space, _ in REGISTERED)
    return namespaces(name) if known else None
