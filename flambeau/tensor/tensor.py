"""The Tensor: a strided view of memory, with the node of the gradient graph that made it."""

from __future__ import annotations

import weakref
from typing import Any

from ..base.layout import Layout, layout
from ..ops.define import METHODS, function_of


class LazyMethod:
    """An operator as a method, compiled when it is first used."""

    __slots__ = ("name", "operator", "variant")

    def __init__(self, name: str, operator, variant: str):
        self.name, self.operator, self.variant = name, operator, variant

    def __get__(self, instance, owner=None):
        function = function_of(self.operator, self.variant)
        setattr(Tensor, self.name, function)
        return function if instance is None else function.__get__(instance, owner)


class Tensor:
    """A multi-dimensional array of one type that remembers how it was computed.

    Make one with `tensor`, `zeros`, `rand`, `from_numpy`, ...

    >>> import flambeau as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    #: _memory: block that holds the elements; _offset: bytes to the first; _layout: shape, strides, dtype, device;
    #: _node: node of the gradient graph or None; _base: the tensor this is a view of, or None;
    #: _grad: gradient of a leaf; _extra: rare attributes (hooks, names); _views: weak references to views of this tensor
    __slots__ = (
        "_memory", "_offset", "_layout", "_node", "_base", "_grad", "_extra", "_views", "__weakref__", "__dict__",
    )  # fmt: skip

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        own = getattr(cls, "__torch_function__", None)
        if "_layout" not in cls.__dict__:  # a class that answers for itself never takes the short way
            plain = getattr(own, "__func__", own) is _disabled_torch_function
            cls._layout = _raw_layout if plain else property(foreign_layout, _set_layout)  # type: ignore[assignment]

    def __getattr__(self, name) -> Any:
        # Slots that were never set read as None.
        if name in ("_grad", "_extra", "_views"):
            return None
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


def _disabled_torch_function(cls, func, types, args=(), kwargs=None):
    """The mark of a subclass that takes part in operators like a plain tensor."""
    return NotImplemented


_raw_layout = Tensor.__dict__["_layout"]


def foreign_layout(self) -> Layout:
    """The layout of a tensor that answers for itself: it equals no plain one, so no plan is found for it."""
    plain = _raw_layout.__get__(self)
    return layout(plain.shape, plain.strides, plain.dtype, plain.device, True)


def _set_layout(self, value: Layout) -> None:
    _raw_layout.__set__(self, value.plain)


def install_methods() -> None:
    """Give Tensor a lazily compiled method for every operator that declares one."""
    for name, (operator, variant) in METHODS.items():
        if name not in Tensor.__dict__:
            setattr(Tensor, name, LazyMethod(name, operator, variant))


new_object = object.__new__


def make(memory, where: Layout, offset: int = 0, cls: type = Tensor) -> Tensor:
    """A tensor over memory, outside any gradient graph."""
    t = new_object(cls)
    t._memory = memory
    t._offset = offset
    t._layout = where
    t._node = None
    t._base = None
    return t


def track_view(base: Tensor, view: Tensor) -> None:
    """Let `base` know its views, so that a write in place can renew their gradient history."""
    views = base._views
    if views is None:
        base._views = [weakref.ref(view)]
        return
    count = len(views)
    if count >= 32 and count & (count - 1) == 0:
        views[:] = [v for v in views if v() is not None]
    views.append(weakref.ref(view))
