"""The old ways to make tensors: `torch.Tensor(...)`, `torch.FloatTensor(...)`, `x.new(...)`."""

from __future__ import annotations

from typing import Any

from ..base import dtype as types
from ..base.device import device as Device
from ..base.dtype import dtype as DType
from ..base.layout import Size
from . import from_python as python
from . import interop
from .defaults import set_default_dtype
from .tensor import Tensor, make


def legacy_new(
    cls: type, dtype: DType, given: tuple, data: Any = None, device: Any = None, check_type: bool = False
):
    """A tensor from sizes (uninitialised), a sequence of numbers, a tensor (shared) or a storage."""
    if device is not None and Device(device).type != "cpu":
        raise RuntimeError(
            f"legacy constructor expects device type: cpu but device type: {Device(device).type} was passed"
        )
    given = given or (() if data is None else (data,))
    return _as(cls, _from_arguments(dtype, given, check_type))


def _as(cls: type, t: Tensor) -> Tensor:
    return t if type(t) is cls else make(t._memory, t._layout.plain, t._offset, cls)


def _from_arguments(dtype: DType, given: tuple, check_type: bool) -> Tensor:
    if not given:
        return interop.empty_tensor((0,), dtype)
    first = given[0]
    if (
        isinstance(first, Tensor)
        or len(given) == 1
        and (python.is_array(first) or not hasattr(first, "__index__"))
    ):
        return _from_one(dtype, first, check_type)
    return _from_sizes(dtype, given)


def _from_one(dtype: DType, one, check_type: bool) -> Tensor:
    if isinstance(one, Tensor):
        if check_type and one._layout.dtype is not dtype:
            raise TypeError(f"expected {dtype} (got {one._layout.dtype})")
        return make(one._memory, one._layout.plain, one._offset)
    if isinstance(one, Size):
        return _from_sizes(dtype, tuple(one))
    if hasattr(one, "untyped"):  # a storage
        return interop.empty_tensor((0,), dtype).set_(one.untyped())
    if isinstance(one, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(one).__name__}'")
    if not python.is_sequence(one) and not python.is_array(one):
        raise TypeError(f"new(): data must be a sequence (got {type(one).__name__})")
    if python.is_array(one) and one.ndim:
        return interop.copied_array(one).to(dtype)
    if python.is_array(one):
        return _from_sizes(dtype, (one.item(),))
    return interop.from_data(one, dtype, Device("cpu"))


def _from_sizes(dtype: DType, sizes: tuple) -> Tensor:
    found = []
    for k, n in enumerate(sizes):
        if not hasattr(n, "__index__"):
            raise TypeError(
                f"new(): argument 'size' failed to unpack the object at pos {k + 1} with error \"type must be tuple of "
                f'ints,but got {type(n).__name__}"'
            )
        found.append(n.__index__())
    for n in found:
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {found}")
    return interop.empty_tensor(tuple(found), dtype)


def new_tensor_object(cls, *args, data=None, device=None, **keywords):
    """`Tensor.__new__`: the old constructor, in the default float type."""
    return legacy_new(cls, types.default_float(), args, data, device)


def new(self, *args, data=None, device=None):
    """A tensor of this one's type from sizes or data. Deprecated: use `new_empty` or `new_tensor`."""
    return legacy_new(Tensor, self._layout.dtype, args, data, device, check_type=True)


class TensorType:
    """An old class of tensors by element type, such as ``torch.FloatTensor``: a constructor that `isinstance` knows."""

    def __init__(self, name: str, dtype: DType, device: str = "cpu"):
        self.dtype, self._device = dtype, device
        self.__name__ = self.__qualname__ = name
        self.__module__ = "torch" if device == "cpu" else f"torch.{device}"
        self.is_cuda = device == "cuda"

    def __call__(self, *args, data=None, device=None) -> Tensor:
        if self._device == "cuda":
            raise TypeError(
                f"type {self.__module__}.{self.__name__} not available. Torch not compiled with CUDA enabled."
            )
        return legacy_new(Tensor, self.dtype, args, data, device, check_type=True)

    def __instancecheck__(self, other) -> bool:
        return (
            isinstance(other, Tensor)
            and other._layout.dtype is self.dtype
            and other._layout.device.type == self._device
        )

    def __or__(self, other):
        from typing import Union

        return Union[self, other]  # noqa: UP007 (annotations: ``torch.LongTensor | None``)

    __ror__ = __or__

    def __repr__(self) -> str:
        return f"<class '{self.__module__}.{self.__name__}'>"

    def __reduce__(self):
        return _find, (self.__name__, self._device)


_NAMES = {
    "Float": types.float32, "Double": types.float64, "Half": types.float16, "BFloat16": types.bfloat16,
    "Long": types.int64, "Int": types.int32, "Short": types.int16, "Char": types.int8, "Byte": types.uint8,
    "Bool": types.bool_,
}  # fmt: skip
CLASSES = {f"{name}Tensor": TensorType(f"{name}Tensor", kind) for name, kind in _NAMES.items()}
CUDA_CLASSES = {f"{name}Tensor": TensorType(f"{name}Tensor", kind, "cuda") for name, kind in _NAMES.items()}
globals().update(CLASSES)


def _find(name: str, device: str) -> TensorType:
    return (CUDA_CLASSES if device == "cuda" else CLASSES)[name]


def set_default_tensor_type(t) -> None:
    """Set the float type of new tensors by an old class or its name. Deprecated: use `set_default_dtype`."""
    if isinstance(t, str):
        t = CLASSES.get(t.rpartition(".")[2])
    kind = getattr(t, "dtype", None)
    if not isinstance(kind, DType) or not kind.is_floating_point:
        raise TypeError("invalid type object: only floating-point types are supported as the default type")
    set_default_dtype(kind)
