"""Tensors from Python data, NumPy arrays and foreign buffers, and back."""

from __future__ import annotations

import ctypes
import struct

from ..base import dtype as types
from ..base.device import cpu, default_device, device as Device
from ..base.dtype import DTYPES, dtype as DType
from ..base.layout import contiguous_layout, layout
from ..ops.define import ops
from . import dispatch
from .autograd import AccumulateGrad
from .tensor import Tensor, make

_FORMATS = {"bool": "?", "uint8": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "float32": "f", "float64": "d",
            "uint16": "H", "uint32": "I", "uint64": "Q", "float16": "e"}  # fmt: skip


def empty_tensor(shape, dtype: DType, device: Device = cpu) -> Tensor:
    """Uninitialised memory of a shape, contiguous."""
    where = contiguous_layout(shape, dtype, device)
    return make(dispatch.runtime().allocate(where.nbytes) if device.type != "meta" else None, where)


def address(t: Tensor) -> int:
    """Address of the first element."""
    return 0 if t._memory is None else dispatch.runtime().address(t._memory) + t._offset


def infer(data) -> tuple[tuple[int, ...], DType | None, list]:
    """Shape, type (None when empty) and flat list of nested sequences of numbers."""
    shape: list[int] = []
    probe = data
    while isinstance(probe, (list, tuple)) or _is_array(probe) and probe.ndim:
        shape.append(len(probe))
        if not len(probe):
            return tuple(shape), None, []
        probe = probe[0]
    flat = [data]
    for depth, n in enumerate(shape):
        following = []
        for row in flat:
            if not (isinstance(row, (list, tuple)) or _is_array(row)):
                raise ValueError(f"expected sequence of length {n} at dim {depth} (got {type(row).__name__})")
            if len(row) != n:
                raise ValueError(f"expected sequence of length {n} at dim {depth} (got {len(row)})")
            following.extend(row)
        flat = following
    kind, found = -1, None
    for k, x in enumerate(flat):
        if isinstance(x, Tensor) or _is_array(x):
            flat[k] = x = x.item()
        t = type(x)
        if t is float:
            rank = 2
        elif t is bool:
            rank = 0
        elif t is int:
            rank = 1
        elif t is complex:
            rank = 3
        elif isinstance(x, (list, tuple)):
            raise ValueError(f"expected sequence of length {len(x)} at dim {len(shape)} (got different nesting)")
        elif hasattr(x, "item"):
            flat[k] = x = x.item()
            rank = (bool, int, float, complex).index(type(x))
        else:
            raise TypeError(f"new(): invalid data type '{t.__name__}'") if isinstance(x, str) else RuntimeError(
                f"Could not infer dtype of {t.__name__}"
            )
        kind = max(kind, rank)
    if kind >= 0:
        found = (types.bool_, types.int64, types.default_float(), types.default_complex())[kind]
    return tuple(shape), found, flat


def _is_array(x) -> bool:
    return hasattr(x, "__array__") and hasattr(x, "ndim")


def fill_from_list(t: Tensor, flat: list) -> None:
    """Write a flat list of Python numbers into a contiguous tensor."""
    if not flat:
        return
    name = t._layout.dtype.name
    if t._layout.dtype.kind == 3:
        parts = [p for z in flat for p in (complex(z).real, complex(z).imag)]
        data = struct.pack(f"{len(parts)}{'f' if name == 'complex64' else 'd'}", *parts)
    elif name == "bool":
        data = bytes(bytearray(1 if x else 0 for x in flat))
    elif name == "bfloat16":
        data = b"".join(_bfloat16(float(x)) for x in flat)
    elif t._layout.dtype.kind == 1:
        bits = 8 * t._layout.dtype.itemsize
        signed = t._layout.dtype.is_signed
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        ints = [int(x) for x in flat]
        if min(ints) < low or max(ints) > high:
            if name == "int64" or min(ints) < -(1 << 63) or max(ints) >= 1 << 63:
                raise RuntimeError("Overflow when unpacking long long")
            raise RuntimeError(f"value cannot be converted to type {t._layout.dtype.code}_t without overflow")
        data = struct.pack(f"{len(ints)}{_FORMATS[name]}", *ints)
    else:
        data = _pack_floats(name, flat)
    ctypes.memmove(address(t), data, len(data))


def _pack_floats(name: str, flat: list) -> bytes:
    code = _FORMATS[name]
    try:
        return struct.pack(f"{len(flat)}{code}", *flat)
    except OverflowError:  # beyond the type's range: infinity, as a conversion gives
        limit = 65520.0 if name == "float16" else 3.4028235677973366e38
        inf = float("inf")
        return struct.pack(f"{len(flat)}{code}", *[inf if x >= limit else -inf if x <= -limit else x for x in flat])


def _bfloat16(x: float) -> bytes:
    (bits,) = struct.unpack("I", _pack_floats("float32", [x]))
    if x != x:
        return b"\xc0\x7f"
    return struct.pack("H", ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) & 0xFFFF)


def tensor(data, *, dtype: DType | None = None, device=None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A new tensor with a copy of `data` (numbers, nested sequences, arrays, tensors).

    Dtype: inferred as bool, int64, the default float or complex type; arrays keep theirs.

    >>> import flambeau as torch
    >>> torch.tensor([[1, 2], [3, 4]]).sum()
    tensor(10)
    """
    where = default_device() if device is None else Device(device)
    if isinstance(data, Tensor):
        made = data.detach().clone()
        made = made.to(device=where if device is not None else data.device, dtype=dtype or data.dtype)
    elif _is_array(data) or hasattr(data, "__array_interface__") or hasattr(data, "__dlpack__") and not isinstance(data, (list, tuple)):
        import numpy as np

        made = from_numpy(np.array(data)).clone()
        made = made.to(device=where, dtype=dtype or made.dtype)
    elif isinstance(data, (bytes, bytearray)):
        made = tensor(list(data), dtype=dtype or types.uint8, device=where)
    else:
        shape, found, flat = infer(data)
        made = empty_tensor(shape, dtype or found or types.default_float(), where if where.type == "meta" else cpu)
        if where.type != "meta":
            if made._layout.dtype.kind < 3 and found is not None and found.kind == 3:
                raise RuntimeError("value cannot be converted to type without overflow")
            fill_from_list(made, flat)
    if requires_grad:
        set_requires_grad(made, True)
    return made


def set_requires_grad(t: Tensor, value: bool) -> None:
    """Make a leaf ask for a gradient, or no more."""
    if not value:
        if t._node is not None and type(t._node) is not AccumulateGrad:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
                "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        t._node = None
    elif t._node is None:
        if t._layout.dtype.kind < 2:
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        t._node = AccumulateGrad(t)


def as_tensor(data, dtype: DType | None = None, device=None) -> Tensor:
    """`data` as a tensor, sharing its memory where that is possible."""
    if isinstance(data, Tensor):
        made = data
    elif _is_array(data):
        import numpy as np

        array = np.asarray(data)
        made = from_numpy(array) if array.ndim or isinstance(data, np.ndarray) else tensor(array)
    else:
        return tensor(data, dtype=dtype, device=device)
    if (dtype is None or dtype is made.dtype) and (device is None or Device(device).type == made.device.type):
        return made
    return made.to(device=Device(device) if device is not None else made.device, dtype=dtype or made.dtype)


def from_numpy(array) -> Tensor:
    """A tensor over the memory of a NumPy array; writes to one show in the other."""
    import numpy as np

    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    found = DTYPES.get(array.dtype.name)
    if found is None or array.dtype.byteorder == ">":
        raise TypeError(
            f"can't convert np.ndarray of type {array.dtype.type.__module__}.{array.dtype.name}. The only supported types "
            "are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, "
            "uint8, and bool."
        )
    item = array.dtype.itemsize
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently supported. (You can probably work around this by making a copy of your array with array.copy().)"
        )
    if any(s % item for s in array.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the "
            "memory."
        )
    where = layout(array.shape, tuple(s // item for s in array.strides), found, cpu)
    if not array.flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means "
            "writing to this tensor will result in undefined behavior.", UserWarning, stacklevel=2,
        )  # fmt: skip
    start = array.__array_interface__["data"][0]
    memory = dispatch.runtime().wrap(start, where.extent * item, array)
    return make(memory, where)


class _Exporter:
    """Hands memory to NumPy and keeps it alive."""

    __slots__ = ("__array_interface__", "memory", "tensor")


def to_numpy(t: Tensor):
    """A NumPy array over the tensor's memory."""
    import numpy as np

    where = t._layout
    if where.device.type != "cpu":
        raise TypeError(f"can't convert {where.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.")
    if where.dtype.numpy_name is None:
        raise TypeError("Got unsupported ScalarType BFloat16")
    item = where.dtype.itemsize
    if where.numel == 0:
        return np.empty(where.shape, dtype=where.dtype.numpy_name)
    exporter = _Exporter()
    exporter.memory = t._memory
    exporter.__array_interface__ = {
        "version": 3, "shape": tuple(where.shape), "typestr": np.dtype(where.dtype.numpy_name).str,
        "data": (address(t), False), "strides": tuple(s * item for s in where.strides),
    }  # fmt: skip
    return np.asarray(exporter)


_READERS = {
    "bool": ctypes.c_bool, "uint8": ctypes.c_uint8, "int8": ctypes.c_int8, "int16": ctypes.c_int16,
    "int32": ctypes.c_int32, "int64": ctypes.c_int64, "float32": ctypes.c_float, "float64": ctypes.c_double,
    "uint16": ctypes.c_uint16, "uint32": ctypes.c_uint32, "uint64": ctypes.c_uint64,
}  # fmt: skip


def item(t: Tensor):
    """The one element of a tensor as a Python number."""
    where = t._layout
    if where.numel != 1:
        raise RuntimeError(f"a Tensor with {where.numel} elements cannot be converted to Scalar")
    if where.device.type == "meta":
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    name = where.dtype.name
    place = address(t)
    reader = _READERS.get(name)
    if reader is not None:
        return reader.from_address(place).value
    raw = ctypes.string_at(place, where.dtype.itemsize)
    if name == "float16":
        return struct.unpack("e", raw)[0]
    if name == "bfloat16":
        return struct.unpack("f", b"\0\0" + raw)[0]
    re, im = struct.unpack("ff" if name == "complex64" else "dd", raw)
    return complex(re, im)


def to_list(t: Tensor):
    """Nested lists of Python numbers (a number for 0 dimensions)."""
    where = t._layout
    if where.ndim == 0:
        return item(t)
    if where.numel == 0:
        return _nest([], where.shape)
    if where.dtype.name == "bfloat16":
        t = t.to(types.float32)
    return to_numpy(t.detach()).tolist()


def _nest(flat, shape):
    if len(shape) == 1:
        return []
    return [_nest(flat, shape[1:]) for _ in range(shape[0])]


_ = ops
