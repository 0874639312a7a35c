"""Tensors that a module owns: `Parameter`, `Buffer` and their not yet shaped forms."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.tensor.overrides import PLAIN, DisableTorchFunctionSubclass
from flambeau.tensor.tensor import Tensor, _disabled_torch_function

__all__ = [
    "Parameter",
    "Buffer",
    "UninitializedParameter",
    "UninitializedBuffer",
    "is_lazy",
]


class _MarkedMeta(type(Tensor)):
    """Lets ``isinstance`` see tensors of a user's subclass that were marked as parameter or buffer."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if super().__instancecheck__(instance):
            return True
        mark = cls.__dict__.get("_mark")
        return mark is not None and isinstance(instance, Tensor) and getattr(instance, mark, False)


def _rebuild_parameter(cls, data: Tensor, requires_grad: bool, attributes: dict | None) -> Tensor:
    """Inverse of pickling: a parameter or buffer of class `cls` around `data`."""
    result = Tensor._make_subclass(cls, data, requires_grad)
    if attributes:
        result.__dict__.update(attributes)
    return result


def _rebuild_buffer(cls, data: Tensor, requires_grad: bool, persistent: bool) -> Tensor:
    result = Tensor._make_subclass(cls, data, requires_grad)
    result.persistent = persistent
    return result


class Parameter(Tensor, metaclass=_MarkedMeta):
    """A tensor that a `Module` registers as trainable when it is assigned as an attribute.

    The parameter shares its memory with `data`.

    Args:
        data: the values; an empty tensor when left out.
        requires_grad: whether the parameter receives a gradient.

    Example::

        >>> weight = flambeau.nn.Parameter(flambeau.zeros(2, 3))
        >>> weight.requires_grad
        True
    """

    _mark = "_is_param"
    #: results of operators on parameters are plain tensors
    __torch_function__ = _disabled_torch_function

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = flambeau.empty(0)
        kind = type(data)
        if kind is Tensor or kind is Parameter:
            return Tensor._make_subclass(cls, data, requires_grad)
        result = data.detach().requires_grad_(requires_grad)
        if type(result) is not kind:
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {kind.__name__} "
                "requires that detach() returns an instance of the same type, but return "
                f"type {type(result).__name__} was found instead. To use the type as a "
                "Parameter, please correct the detach() semantics defined by "
                "its __torch_dispatch__() implementation."
            )
        result._is_param = True
        return result

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        pass  # all work is done by __new__; the tensor's own __init__ must not run

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]
        copied = self.detach().clone()
        result = type(self)(copied, self.requires_grad)
        memo[id(self)] = result
        return result

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: int):
        attributes = {k: v for k, v in self.__dict__.items() if not k.startswith("__")} or None
        return _rebuild_parameter, (type(self), self.detach(), self.requires_grad, attributes)


PLAIN.add(Parameter)  # operators take it for a plain tensor without asking


class Buffer(Tensor, metaclass=_MarkedMeta):
    """A tensor that a `Module` keeps as state without training it (a running mean, a mask).

    Args:
        data: the values; an empty tensor when left out.
        persistent: whether ``state_dict`` has it.
    """

    _mark = "_is_buffer"
    __torch_function__ = _disabled_torch_function

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True):
        if data is None:
            data = flambeau.empty(0)
        result = data.detach().requires_grad_(data.requires_grad)
        result.persistent = persistent
        result._is_buffer = True
        return result


_LAZY_SAFE = frozenset(
    """__class__ __dict__ __init__ __new__ __repr__ __str__ __hash__ __reduce_ex__ __deepcopy__ __setattr__
    __doc__ __module__ materialize cls_to_become data device dtype layout is_cuda half bfloat16 float double
    char short int long cuda cpu to get_device _has_compatible_shallow_copy_type requires_grad
    requires_grad_ is_leaf grad_fn grad detach share_memory_ is_shared persistent _is_param _is_buffer
    _make_subclass _mark is_floating_point is_complex is_meta size copy_""".split()
)


_LAZY_OPERATORS = frozenset(["to_copy", "copy_", "without_version"])  # casts of memory that holds nothing yet
_NOT_YET = (
    "Attempted to use an uninitialized parameter in {}. This error happens when you are using a `LazyModule` "
    "or explicitly manipulating `torch.nn.parameter.{}` objects. When using LazyModules Call `forward` with a "
    "dummy batch to initialize the parameters before calling torch functions"
)


class _Uninitialized:
    """Shared behaviour of parameters and buffers whose shape comes with the first input."""

    def materialize(self, shape, device=None, dtype=None) -> None:
        """Gives the tensor its `shape` and turns it into an ordinary parameter or buffer (values unset)."""
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = flambeau.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self):
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. "
            "This error usually happens in `load_state_dict` when trying to load "
            "an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    def __getattribute__(self, name: str):
        # _LAZY_SAFE lists what makes sense without a shape; all else would read memory that is not there.
        if name in _LAZY_SAFE or name == "shape" or not hasattr(Tensor, name):
            return super().__getattribute__(name)
        if name.startswith("_") and not name.startswith("__"):
            return super().__getattribute__(name)
        raise ValueError(_NOT_YET.format(name, type(self).__name__))

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = getattr(func, "__name__", str(func))
        if name not in _LAZY_OPERATORS:
            raise ValueError(_NOT_YET.format(name, cls.__name__))
        with DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    def share_memory_(self):
        """Not before the shape is known."""
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters "
            "before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: int):
        arguments = {"requires_grad": self.requires_grad} if isinstance(self, Parameter) else {}
        return _rebuild_uninitialized, (type(self), self.data.device, self.data.dtype, arguments)

    def __deepcopy__(self, memo: dict):
        if id(self) in memo:
            return memo[id(self)]
        kind: Any = type(self)
        arguments = {"requires_grad": self.requires_grad} if isinstance(self, Parameter) else {}
        result = kind(device=self.data.device, dtype=self.data.dtype, **arguments)
        memo[id(self)] = result
        return result


def _rebuild_uninitialized(cls, device, dtype, arguments: dict):
    return cls(device=device, dtype=dtype, **arguments)


UninitializedTensorMixin = _Uninitialized


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter of a lazy module: has a dtype and a device, but no shape yet."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device=None, dtype=None):
        data = flambeau.empty(0, device=device, dtype=dtype)
        return Tensor._make_subclass(cls, data, requires_grad)

    def __init__(self, requires_grad: bool = True, device=None, dtype=None) -> None:
        pass


class UninitializedBuffer(_Uninitialized, Tensor):
    """A buffer of a lazy module: has a dtype and a device, but no shape yet."""

    cls_to_become = Tensor

    def __new__(cls, requires_grad: bool = False, device=None, dtype=None, persistent: bool = True):
        data = flambeau.empty(0, device=device, dtype=dtype)
        result = Tensor._make_subclass(cls, data, requires_grad)
        result.persistent = persistent
        result._is_buffer = True
        return result

    def __init__(self, requires_grad: bool = False, device=None, dtype=None, persistent: bool = True) -> None:
        pass


def is_lazy(param: Any) -> bool:
    """Whether `param` still waits for its shape."""
    return isinstance(param, _Uninitialized)
