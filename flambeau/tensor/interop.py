"""Tensors from Python data, NumPy arrays and foreign buffers, and back."""

from __future__ import annotations

import ctypes
import struct
from itertools import chain
from typing import Any

from ..base import dtype as types
from ..base.device import cpu, default_device, unavailable
from ..base.device import device as Device
from ..base.dtype import DTYPES
from ..base.dtype import dtype as DType
from ..base.layout import contiguous_layout, layout
from ..base.mode import mode
from ..ops.define import ops
from . import dispatch
from . import from_python as python
from .autograd import AccumulateGrad
from .tensor import Tensor, make


def empty_tensor(shape, dtype: DType, device: Device = cpu) -> Tensor:
    """Uninitialised memory of a shape, contiguous."""
    where = contiguous_layout(shape, dtype, device)
    return make(dispatch.runtime().allocate(where.nbytes) if device.type != "meta" else None, where)


def address(t: Tensor) -> int:
    """Address of the first element."""
    return 0 if t._memory is None else dispatch.runtime().address(t._memory) + t._offset


def outside_address(t: Tensor) -> int:
    """`address`, for somebody who keeps it: what compiled code does with this memory is done at once from here on."""
    return 0 if t._memory is None else dispatch.runtime().give_away(t._memory) + t._offset


def fill_from_list(t: Tensor, flat: list) -> None:
    """Write a flat list of Python numbers into a contiguous tensor."""
    if flat:
        data = python.to_bytes(flat, t._layout.dtype)
        ctypes.memmove(address(t), data, len(data))


_DTYPE_OF_CLASS = {
    "float": types.float64,
    "int": types.int64,
    "bool": types.bool_,
    "complex": types.complex128,
}


def as_dtype(value, function: str = "tensor") -> DType | None:
    """A type from what users may pass as one: a dtype, or Python's float, int, bool or complex."""
    if value is None or isinstance(value, DType):
        return value
    if value in (float, int, bool, complex):
        return _DTYPE_OF_CLASS[value.__name__]
    raise TypeError(f"{function}(): argument 'dtype' must be torch.dtype, not {type(value).__name__}")


def require_device(device: Device) -> None:
    """Raise for a device that this build has no memory on."""
    if device.type not in ("cpu", "meta"):
        raise unavailable(device)


def tensor(
    data, *, dtype: DType | None = None, device=None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new tensor with a copy of `data` (numbers, nested sequences, arrays, tensors).

    Dtype: inferred as bool, int64, the default float or complex type; arrays and tensors keep theirs.

    Raises: ValueError for rows of different lengths; RuntimeError for a number that the type cannot hold.

    >>> import flambeau as torch
    >>> torch.tensor([[1, 2], [3, 4]]).sum()
    tensor(10)
    """
    dtype = as_dtype(dtype)
    where = default_device() if device is None else Device(device)
    made = from_numbers(data, dtype) if where is cpu else None
    if made is not None:
        if requires_grad:
            need_float(made)
            set_requires_grad(made, True)
        return made
    require_device(where)
    if isinstance(data, Tensor):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).", UserWarning,
            stacklevel=2,
        )  # fmt: skip
        made = data.detach().clone()
        made = made.to(device=where if device is not None else data.device, dtype=dtype or data.dtype)
    elif python.is_array(data):
        made = copied_array(data)
        made = made.to(device=where, dtype=dtype or made.dtype)
    else:
        made = from_data(data, dtype, where)
    if requires_grad:
        need_float(made)
        set_requires_grad(made, True)
    return made


#: struct's letter for numbers of a Python type as elements of a type
_LETTERS = {
    (float, types.float32): "f", (float, types.float64): "d", (int, types.int64): "q", (bool, types.bool_): "?",
    (int, types.float32): "f", (int, types.float64): "d",
}  # fmt: skip
#: layouts of tensors of numbers, by their length (and that of a row) and type
_NUMBERS_LAYOUTS: dict = {}


def from_numbers(data, dtype: DType | None) -> Tensor | None:
    """A tensor of a number, or of a list (of lists) of numbers of one type; None for other data."""
    kind = type(data)
    size: object = None
    if kind is list or kind is tuple:
        kinds = set(map(type, data))
        size = len(data)
        if kinds == {list}:
            lengths = set(map(len, data))
            if len(lengths) != 1:
                return None
            size = (size, *lengths)
            data = list(chain.from_iterable(data))
            kinds = set(map(type, data))
        if len(kinds) != 1:
            return None
        (kind,) = kinds
    else:
        data = (data,)
    if dtype is None:
        dtype = types.default_float() if kind is float else types.int64 if kind is int else types.bool_
    letter = _LETTERS.get((kind, dtype))
    if letter is None:
        return None
    try:
        packed = struct.pack(f"{len(data)}{letter}", *data)
    except (OverflowError, struct.error):  # a number that does not fit
        return None
    where = _NUMBERS_LAYOUTS.get((size, dtype))
    if where is None:
        if len(_NUMBERS_LAYOUTS) > 4096:
            _NUMBERS_LAYOUTS.clear()
        shape = () if size is None else size if type(size) is tuple else (size,)
        where = _NUMBERS_LAYOUTS[size, dtype] = contiguous_layout(shape, dtype, cpu)
    return make(dispatch.runtime().allocate_copy(packed), where)


def copied_array(data) -> Tensor:
    """A tensor with a copy of an array's elements."""
    import numpy as np

    array = np.asarray(data)
    if array.flags.writeable:
        return from_numpy(array).clone()
    _check_array(array)
    return from_numpy(array.copy())


def from_data(data, dtype: DType | None, where: Device) -> Tensor:
    """A tensor of nested sequences of numbers."""
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    shape = python.shape_of(data)
    if len(shape) == 2 and type(data) in (list, tuple) and python.is_array(data[0]):
        found = _stacked(data, dtype)
        if found is not None:
            return found if where.type == "cpu" else found.to(where)
    flat = python.flat_list(data, shape)
    kind = dtype or python.type_of(flat) or types.default_float()
    made = empty_tensor(shape, kind, where)
    if where.type != "meta":
        fill_from_list(made, flat)
    return made


def _stacked(rows, dtype: DType | None) -> Tensor | None:
    """A list of arrays of one shape as one tensor; None where they differ."""
    import numpy as np

    if not all(
        isinstance(r, np.ndarray) and r.shape == rows[0].shape and r.dtype.name in DTYPES for r in rows
    ):
        return None
    made = from_numpy(np.stack(rows))
    return made if dtype is None else made.to(dtype)


def need_float(t: Tensor) -> None:
    """Raise for a type that cannot carry a gradient, in the words of the functions that make tensors."""
    if t._layout.dtype.kind < 2:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")


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
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if not mode.inference and t._memory is not None and dispatch.runtime().of_inference(t._memory):
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
            )
        t._node = AccumulateGrad(t)


def as_tensor(data, dtype: DType | None = None, device=None) -> Tensor:
    """`data` as a tensor, sharing its memory where that is possible; a tensor stays part of its gradient graph.

    >>> import flambeau as torch
    >>> x = torch.ones(2)
    >>> torch.as_tensor(x) is x
    True
    """
    dtype = as_dtype(dtype, "as_tensor")
    if isinstance(data, Tensor):
        made = data
    elif python.is_array(data):
        import numpy as np

        array = np.asarray(data)
        made = from_numpy(array) if array.ndim or isinstance(data, np.ndarray) else copied_array(array)
    else:
        return tensor(data, dtype=dtype, device=device)
    if (dtype is None or dtype is made.dtype) and (device is None or Device(device).type == made.device.type):
        return made
    return made.to(device=Device(device) if device is not None else made.device, dtype=dtype or made.dtype)


def asarray(
    obj: Any,
    *,
    dtype: DType | None = None,
    device=None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`obj` as a tensor: shared where it can be (copy=None), never (True), or else an error (False).

    obj: a tensor, a NumPy array or scalar, an object with DLPack or the buffer protocol, or nested sequences of numbers.
    """
    dtype = as_dtype(dtype, "asarray")
    made = _shared(obj, dtype)
    if made is None:
        if copy is False:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        made = tensor(obj, dtype=dtype, device=device)
        return made.requires_grad_() if _wants_gradient(made, requires_grad) else made
    wanted_dtype, wanted = dtype or made.dtype, Device(device) if device is not None else made.device
    same = wanted_dtype is made.dtype and wanted.type == made.device.type
    if not same:
        if copy is False:
            if wanted.type != made.device.type:
                raise ValueError(f"can't alias tensor from device '{made.device}' to '{wanted}'.")
            raise ValueError(
                f"can't alias tensor with dtype '{types.type_name(made.dtype)}' into dtype '{types.type_name(wanted_dtype)}'."
            )
        made = made.to(device=wanted, dtype=wanted_dtype)
    elif copy:
        made = made.clone()
    if isinstance(obj, Tensor) and not requires_grad:
        return made
    if isinstance(obj, Tensor) and made._node is not None and type(made._node) is not AccumulateGrad:
        made = made.detach()
    return made.requires_grad_() if _wants_gradient(made, requires_grad) and made._node is None else made


def _wants_gradient(made: Tensor, requires_grad: bool) -> bool:
    if requires_grad:
        need_float(made)
    return requires_grad


def _shared(obj, dtype: DType | None) -> Tensor | None:
    """A tensor over the memory of `obj`, or None where it has none to share."""
    if isinstance(obj, Tensor):
        return obj
    if python.is_array(obj):
        import numpy as np

        return from_numpy(np.asarray(obj)) if isinstance(obj, np.ndarray) else copied_array(obj)
    if hasattr(obj, "__dlpack__"):
        from .dlpack import from_dlpack

        return from_dlpack(obj)
    if isinstance(obj, (list, tuple, int, float, complex, str)):
        return None
    try:
        memoryview(obj)
    except TypeError:
        return None
    return frombuffer(obj, dtype=dtype or types.default_float())


# -- NumPy -----------------------------------------------------------------------------------------------------------


def _check_array(array) -> DType:
    """The element type of an array that tensors can have; TypeError or ValueError for others."""
    found = DTYPES.get(array.dtype.name)
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{array.dtype.type.__name__}. The only supported types are: float64, "
            "float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
        )
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is "
            "currently not supported."
        )
    item = array.dtype.itemsize
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently supported. (You can probably work around this by making a copy of your array  with array.copy().) "
        )
    if any(s % item for s in array.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the "
            "memory."
        )
    return found


#: layouts by the type, shape and strides of contiguous arrays that became tensors before
_ARRAYS: dict = {}


def from_numpy(array) -> Tensor:
    """A tensor over the memory of a NumPy array; writes to one show in the other.

    Raises: TypeError for what is no array or of no type that tensors have; ValueError for negative strides.
    """
    try:
        where = _ARRAYS[array.dtype, array.shape, array.strides]
        start = ctypes.addressof(ctypes.c_char.from_buffer(array))  # refused where it is not writable
    except (KeyError, TypeError, ValueError, AttributeError, BufferError):
        where = None
    if where is None:
        return _from_numpy(array)
    return make(dispatch.runtime().wrap(start, where.nbytes, array), where)


def _from_numpy(array) -> Tensor:
    """`from_numpy` in general form; fills the table of its quick one."""
    import numpy as np

    if not isinstance(array, np.ndarray):
        module = type(array).__module__
        raise TypeError(
            f"expected np.ndarray (got {module + '.' if module != 'builtins' else ''}{type(array).__name__})"
        )
    found = _check_array(array)
    item = array.dtype.itemsize
    where = layout(array.shape, tuple(s // item for s in array.strides), found, cpu)
    if where.numel and array.flags.c_contiguous and array.dtype.metadata is None:
        if len(_ARRAYS) > 4096:
            _ARRAYS.clear()
        _ARRAYS[array.dtype, array.shape, array.strides] = where
    if not array.flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing "
            "to this tensor will result in undefined behavior. You may want to copy the array to protect its data or make "
            "it writable before converting it to a tensor. This type of warning will be suppressed for the rest of this "
            "program.", UserWarning, stacklevel=3,
        )  # fmt: skip
    start = array.__array_interface__["data"][0]
    memory = dispatch.runtime().wrap(start, where.extent * item, array)
    return make(memory, where)


class _Exporter:
    """Hands memory to NumPy and keeps it alive."""

    __slots__ = ("__array_interface__", "memory", "tensor")


def to_numpy(t: Tensor, kept: bool = True):
    """A NumPy array over the tensor's memory. kept: whether somebody may use it after more operators ran."""
    where = t._layout
    form = where.cache.get("numpy")
    if form:
        block, array, kind, strides = form
        bytes_ = block.from_address(
            dispatch.runtime().give_away(t._memory) + t._offset if kept else address(t)
        )
        bytes_.memory = t._memory  # which thereby lives as long as the array
        return array(where.shape, kind, bytes_, 0, strides)
    import numpy as np

    if where.device.type != "cpu":
        raise TypeError(
            f"can't convert {where.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory "
            "first."
        )
    if where.dtype.numpy_name is None:
        raise TypeError("Got unsupported ScalarType BFloat16")
    item = where.dtype.itemsize
    if where.numel == 0:
        return np.empty(where.shape, dtype=where.dtype.numpy_name)
    kind, strides = np.dtype(where.dtype.numpy_name), tuple(s * item for s in where.strides)
    if form is None:
        where.cache["numpy"] = ()
    else:  # the second array of this layout: from now on its own way, which takes a class to set up
        block = type("Block", (ctypes.Array,), {"_type_": ctypes.c_char, "_length_": where.extent * item})
        where.cache["numpy"] = (block, np.ndarray, kind, strides)
    exporter = _Exporter()
    exporter.memory = t._memory
    exporter.__array_interface__ = {
        "version": 3, "shape": tuple(where.shape), "typestr": kind.str,
        "data": ((outside_address if kept else address)(t), False), "strides": strides,
    }  # fmt: skip
    return np.asarray(exporter)


# -- buffers ---------------------------------------------------------------------------------------------------------


class _PyBuffer(ctypes.Structure):
    """CPython's Py_buffer: what the buffer protocol fills in."""

    _fields_ = [
        ("buf", ctypes.c_void_p), ("obj", ctypes.py_object), ("len", ctypes.c_ssize_t), ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int), ("ndim", ctypes.c_int), ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p), ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]  # fmt: skip


def buffer_address(view: memoryview) -> int:
    """Where the bytes of a contiguous view start (read-only ones too, which ctypes itself refuses)."""
    found = _PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(found), 0)
    place = found.buf or 0
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(found))
    return place


def frombuffer(
    buffer, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-D tensor over the memory of an object with Python's buffer protocol (bytearray, array, mmap, ...).

    count: elements, -1 for all that follow. offset: bytes to skip.

    >>> import flambeau as torch
    >>> torch.frombuffer(bytearray(b"abc"), dtype=torch.uint8)
    tensor([97, 98, 99], dtype=torch.uint8)
    """
    kind = as_dtype(dtype, "frombuffer")
    assert kind is not None
    try:
        view = memoryview(buffer)
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    if not view.contiguous:
        raise RuntimeError("could not retrieve buffer from object")
    size, item = view.nbytes, kind.itemsize
    if requires_grad and kind.kind < 2:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    if size == 0 or count == 0:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({size} bytes) minus 1"
        )
    if count < 0:
        if (size - offset) % item:
            raise ValueError(
                f"buffer length ({size - offset} bytes) after offset ({offset} bytes) must be a multiple of element size "
                f"({item})"
            )
        count = (size - offset) // item
    if offset + count * item > size:
        raise ValueError(
            f"requested buffer length ({count} * {item} bytes) after offset ({offset} bytes) must not be greater than actual "
            f"buffer length ({size} bytes)"
        )
    if view.readonly:
        import warnings

        warnings.warn(
            "The given buffer is not writable, and PyTorch does not support non-writable tensors. This means you can write "
            "to the underlying (supposedly non-writable) buffer using the tensor. You may want to copy the buffer to "
            "protect its data or make it writable before converting it to a tensor.", UserWarning, stacklevel=2,
        )  # fmt: skip
    memory = dispatch.runtime().wrap(buffer_address(view) + offset, count * item, view)
    made = make(memory, contiguous_layout((count,), kind, cpu))
    return made.requires_grad_() if requires_grad else made


# -- to Python -------------------------------------------------------------------------------------------------------

_READERS = {
    "bool": ctypes.c_bool, "uint8": ctypes.c_uint8, "int8": ctypes.c_int8, "int16": ctypes.c_int16,
    "int32": ctypes.c_int32, "int64": ctypes.c_int64, "float32": ctypes.c_float, "float64": ctypes.c_double,
    "uint16": ctypes.c_uint16, "uint32": ctypes.c_uint32, "uint64": ctypes.c_uint64,
}  # fmt: skip


#: by the layout of one element of a type that the run-time core reads itself: its number for the type
SINGLE: dict = {}
#: the run-time core's function that reads such an element
NUMBER: list = [None]
#: the one that lists several
LIST: list = [None]


def item(t: Tensor) -> Any:
    """The one element of a tensor as a Python number."""
    where = t._layout
    if where.numel != 1:
        raise RuntimeError(f"a Tensor with {where.numel} elements cannot be converted to Scalar")
    if where.device.type == "meta":
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    readable = dispatch.runtime().READABLE
    if where.dtype.name in readable:
        NUMBER[0] = dispatch.runtime().number
        SINGLE[where] = readable.index(where.dtype.name)
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


def to_list(t: Tensor) -> Any:
    """Nested lists of Python numbers (a number for 0 dimensions)."""
    where = t._layout
    found = where.cache.get("listed")
    if found:
        return LIST[0](t._memory, t._offset, *found)
    if where.device.type == "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    if where.ndim == 0:
        return item(t)
    if where.numel == 0:
        return _nest([], where.shape)
    if where.dtype.name == "bfloat16":
        t = t.to(types.float32)
    if found is None:
        where.cache["listed"] = _listed(where)
        LIST[0] = dispatch.runtime().numbers
    return to_numpy(t.detach(), kept=False).tolist()


def _listed(where) -> tuple:
    """How the run-time core lists the elements of a layout: (kind, bytes of one, length of a row, rows); or ()."""
    readable = dispatch.runtime().READABLE
    if where.ndim > 2 or not where.contiguous or where.numel > 256 or where.dtype.name not in readable:
        return ()
    rows = 0 if where.ndim == 1 else where.shape[0]
    return readable.index(where.dtype.name), where.dtype.itemsize, where.shape[-1], rows


def _nest(flat, shape):
    if len(shape) == 1:
        return []
    return [_nest(flat, shape[1:]) for _ in range(shape[0])]


_ = ops
