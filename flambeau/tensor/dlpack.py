"""DLPack: tensors handed to and taken from other libraries without a copy.

Source: the DLPack specification, version 1.0 (dmlc.github.io/dlpack).
"""

from __future__ import annotations

import ctypes
from typing import Any

from ..base import dtype as types
from ..base.device import device as Device
from ..base.dtype import dtype as DType
from ..base.layout import contiguous_strides, layout
from . import dispatch, interop
from .tensor import Tensor, make

CPU = 1
READ_ONLY, COPIED = 1, 2
VERSION = (1, 0)
_CODES = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}
_MOST_DIMENSIONS = 64
_Sizes = ctypes.c_int64 * _MOST_DIMENSIONS


class _Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device", _Device), ("ndim", ctypes.c_int32), ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class _Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("tensor", _Tensor),
    ]  # fmt: skip


def _api(name: str, result: Any, *arguments: Any):
    """A function of Python's C interface with types of its own, which no other user of ctypes changes."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


# A capsule under destruction must not be touched as a Python object, so its address is what is passed.
_new_capsule = _api("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_is_valid = _api("PyCapsule_IsValid", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)
_pointer = _api("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_set_name = _api("PyCapsule_SetName", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)

#: what exported tensors need while others hold them, by the address of their description
_exported: dict[int, tuple] = {}
_PLAIN, _NEW = b"dltensor", b"dltensor_versioned"
_USED = {_PLAIN: b"used_dltensor", _NEW: b"used_dltensor_versioned"}


@_Deleter
def _forget(place) -> None:
    _exported.pop(place, None)


@_Deleter
def _drop_capsule(capsule) -> None:
    """An exported capsule that nobody took: free what it holds."""
    for name in (_PLAIN, _NEW):
        if _is_valid(capsule, name):
            _forget(_pointer(capsule, name))


_forget_address = ctypes.cast(_forget, ctypes.c_void_p).value
_drop_address = ctypes.cast(_drop_capsule, ctypes.c_void_p).value


def _type_code(kind: DType) -> tuple[int, int]:
    if kind.name == "bfloat16":
        return 4, 16
    code = {0: 6, 1: 0 if kind.is_signed else 1, 2: 2, 3: 5}[kind.kind]
    return code, 8 * kind.itemsize


def export(t: Tensor, versioned: bool, flags: int = 0):
    """A capsule that describes a tensor's memory and keeps it alive."""
    where = t._layout
    ndim = where.ndim
    if ndim > _MOST_DIMENSIONS:
        raise BufferError(f"a tensor with {ndim} dimensions")
    shape = _Sizes(*where.shape)
    # A size of 0 or 1 may have any stride; others expect the usual one.
    usual = contiguous_strides(where.shape)
    strides = _Sizes(*(u if n < 2 else s for n, s, u in zip(where.shape, where.strides, usual)))
    held: Any = _Versioned() if versioned else _Managed()
    described = held.tensor
    described.data = interop.outside_address(t) if where.numel else None
    described.device.type, described.device.id = CPU, 0
    described.ndim = ndim
    described.dtype.code, described.dtype.bits = _type_code(where.dtype)
    described.dtype.lanes = 1
    described.shape = ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64))
    described.strides = ctypes.cast(strides, ctypes.POINTER(ctypes.c_int64))
    described.byte_offset = 0
    held.deleter = _forget_address
    if versioned:
        held.major, held.minor = VERSION
        held.flags = flags
    place = ctypes.addressof(held)
    _exported[place] = (held, shape, strides, t._memory)
    return _new_capsule(place, _NEW if versioned else _PLAIN, _drop_address)


def device_of(t: Tensor) -> tuple[int, int]:
    """`Tensor.__dlpack_device__`: type and index of the device in DLPack's numbers."""
    if t._layout.device.type != "cpu":
        raise ValueError(f"Unknown device type {t._layout.device.type} for Dlpack")
    return CPU, 0


def capsule_of(t: Tensor, *, stream: Any = -1, max_version=None, dl_device=None, copy: bool | None = None):
    """`Tensor.__dlpack__`."""
    if t._node is not None:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if t._layout.device.type == "meta":
        raise BufferError("Cannot pack tensors on meta")
    if stream is not None and type(stream) is not int:
        raise TypeError("stream must be ``int`` or ``none``")
    if stream not in (None, -1):
        raise AssertionError("stream should be None on cpu.")
    if dl_device is not None and tuple(dl_device) != (CPU, 0):
        raise ValueError(f"cannot move a tensor from the CPU to DLPack device {tuple(dl_device)}")
    flags = 0
    if copy:
        t, flags = t.clone(), COPIED
    return export(t, max_version is not None and max_version[0] >= 1, flags)


def to_dlpack(tensor: Tensor):
    """A capsule that describes a tensor's memory; `from_dlpack` takes it, once."""
    return export(tensor.detach(), False)


class _Imported:
    """Memory that another library owns: gives it back when the last tensor over it goes."""

    __slots__ = ("held",)

    def __init__(self, held):
        self.held = held

    def __del__(self):
        if self.held.deleter:
            _Deleter(self.held.deleter)(ctypes.addressof(self.held))


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of an object with ``__dlpack__`` (or of a DLPack capsule).

    >>> import flambeau as torch, numpy
    >>> torch.from_dlpack(numpy.arange(3))
    tensor([0, 1, 2])
    """
    capsule = ext_tensor
    if hasattr(ext_tensor, "__dlpack__"):
        kind, _ = ext_tensor.__dlpack_device__()
        if kind != CPU:
            raise BufferError(f"cannot take a tensor of DLPack device type {kind}")
        try:
            capsule = ext_tensor.__dlpack__(max_version=VERSION)
        except TypeError:  # from before version 1.0
            capsule = ext_tensor.__dlpack__()
    made = _take(capsule)
    if device is not None and Device(device).type != "cpu":
        if copy is False:
            raise ValueError(f"cannot move tensor from {made.device} to {Device(device)} without copying.")
        made = made.to(Device(device))
    return made.clone() if copy else made


def _take(capsule) -> Tensor:
    """The tensor that a capsule describes; the capsule is marked as used."""
    place = id(capsule)
    name = next((n for n in (_NEW, _PLAIN) if _is_valid(place, n)), None)
    if name is None:
        raise RuntimeError(  # also for what is no capsule at all
            "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you might "
            "have already constructed a tensor from it once."
        )
    held: Any = (_Versioned if name == _NEW else _Managed).from_address(_pointer(place, name))
    if name == _NEW and held.major > VERSION[0]:
        raise BufferError(f"cannot read DLPack version {held.major}.{held.minor}")
    described = held.tensor
    if described.device.type != CPU:
        raise BufferError(f"cannot take a tensor of DLPack device type {described.device.type}")
    where, start, nbytes = _layout_of(described)
    _set_name(place, _USED[name])
    owner = _Imported(held)
    return make(dispatch.runtime().wrap(start, nbytes, owner), where)


def _layout_of(described):
    """Layout, address and bytes of a foreign tensor, checked."""
    ndim = described.ndim
    if not 0 <= ndim <= _MOST_DIMENSIONS:
        raise RuntimeError(f"a DLPack tensor with {ndim} dimensions")
    shape = tuple(described.shape[k] for k in range(ndim))
    strides = (
        tuple(described.strides[k] for k in range(ndim)) if described.strides else contiguous_strides(shape)
    )
    if any(n < 0 for n in shape):
        raise RuntimeError(f"a DLPack tensor of shape {shape}")
    if any(s < 0 for s, n in zip(strides, shape) if n > 1):
        raise ValueError(
            "At least one stride in the given tensor is negative, and tensors with negative strides are not currently "
            "supported."
        )
    strides = (
        tuple(s if n > 1 else 1 for s, n in zip(strides, shape)) if any(s < 0 for s in strides) else strides
    )
    where = layout(shape, strides, _dtype_of(described.dtype), Device("cpu"))
    start = (described.data or 0) + described.byte_offset
    nbytes = where.extent * where.dtype.itemsize
    if nbytes and (not described.data or nbytes >= 1 << 62):
        raise RuntimeError(
            "a DLPack tensor without data" if not described.data else "a DLPack tensor beyond all memory"
        )
    return where, start, nbytes


def _dtype_of(given) -> DType:
    kind = _CODES.get(given.code)
    if given.lanes != 1 or kind is None:
        raise RuntimeError(
            f"Unsupported DLPack type: code {given.code}, {given.bits} bits, {given.lanes} lanes"
        )
    name = {"bool": "bool", "bfloat": "bfloat16"}.get(kind, f"{kind}{given.bits}")
    found = types.DTYPES.get(name)
    if found is None or 8 * found.itemsize != given.bits:
        raise RuntimeError(f"Unsupported {kind} bits {given.bits}")
    return found
