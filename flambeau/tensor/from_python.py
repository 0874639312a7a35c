"""Python data to elements: the shape and type of nested sequences of numbers, and their bytes."""

from __future__ import annotations

import array
import struct
from typing import Any

from ..base import dtype as types
from ..base.dtype import DTYPES, promote_types
from ..base.dtype import dtype as DType
from .tensor import Tensor

FORMATS = {"bool": "?", "uint8": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "float32": "f", "float64": "d",
           "uint16": "H", "uint32": "I", "uint64": "Q", "float16": "e"}  # fmt: skip
_DEEPEST = 128


def is_array(x) -> bool:
    """Whether `x` offers its elements the way NumPy arrays do."""
    return hasattr(x, "__array__") and hasattr(x, "ndim")


def is_sequence(x) -> bool:
    """Whether `x` nests: a list, a tuple, anything with a length and places (a tensor is one element)."""
    kind = type(x)
    if kind is list or kind is tuple:
        return True
    if kind in (int, float, bool, complex, type(None), dict, set, frozenset, str, bytes) or isinstance(
        x, (Tensor, str, dict)
    ):
        return False
    if is_array(x):
        return x.ndim > 0
    return hasattr(x, "__len__") and hasattr(x, "__getitem__")


def shape_of(data) -> tuple[int, ...]:
    """Lengths along the first elements."""
    shape: list[int] = []
    probe = data
    while is_sequence(probe):
        shape.append(len(probe))
        if not len(probe):
            break
        probe = probe[0]
        if isinstance(probe, str) or len(shape) > _DEEPEST:
            raise ValueError(f"too many dimensions '{type(probe).__name__}'")
    return tuple(shape)


def flat_list(data, shape: tuple[int, ...]) -> list:
    """The elements in order; every sequence must have the length that the first one of its depth has."""
    flat = [data]
    for depth, n in enumerate(shape):
        following: list = []
        for row in flat:
            if not is_sequence(row):
                raise TypeError("not a sequence")
            if len(row) != n:
                raise ValueError(f"expected sequence of length {n} at dim {depth} (got {len(row)})")
            following.extend(row)
        flat = following
    return flat


_OF_PYTHON = {bool: 0, int: 1, float: 2, complex: 3}


def type_of(flat: list) -> DType | None:
    """The type that holds all elements: bool, int64, the default float or complex type; arrays and tensors keep theirs."""
    found: DType | None = None
    for kind in dict.fromkeys(map(type, flat)):
        if kind in _OF_PYTHON:
            one = (types.bool_, types.int64, types.default_float(), types.default_complex())[_OF_PYTHON[kind]]
            found = one if found is None else promote_types(found, one)
            continue
        for x in flat:
            if type(x) is kind:
                one = _type_of_object(x)
                found = one if found is None else promote_types(found, one)
                if not isinstance(x, Tensor) and not hasattr(x, "dtype"):
                    break
    return found


def _type_of_object(x) -> DType:
    """The type of one element that is no plain Python number."""
    if isinstance(x, Tensor):
        return x._layout.dtype
    if isinstance(x, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(x).__name__}'")
    name = getattr(getattr(x, "dtype", None), "name", None)
    if name in DTYPES:
        return DTYPES[name]
    for kind in (bool, int, float, complex):
        if isinstance(x, kind):
            return type_of([kind(x)])  # type: ignore[return-value]
    if is_sequence(x):
        inner = type_of(list(x))
        return types.default_float() if inner is None else inner
    raise RuntimeError(f"Could not infer dtype of {type(x).__name__}")


def plain(x) -> Any:
    """An element as a Python number, where it is a tensor or a NumPy scalar."""
    if isinstance(x, Tensor):
        if x._layout.numel != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return x.item()
    return x.item() if hasattr(x, "item") and hasattr(x, "dtype") else x


def to_bytes(flat: list, kind: DType) -> bytes:
    """The elements converted to a type, in memory order."""
    if any(t not in _OF_PYTHON for t in set(map(type, flat))):
        flat = [plain(x) for x in flat]
    if kind.name == "bool":
        return bytes(bytearray([_truth(x) for x in flat]))
    if kind.kind == 1:
        return _integers(flat, kind)
    if kind.kind == 3:
        flat = [_complex(x) for x in flat]
        return _floats(
            "float32" if kind.name == "complex64" else "float64", [p for z in flat for p in (z.real, z.imag)]
        )
    flat = [_real(x) for x in flat]
    return b"".join(map(bfloat16_bytes, flat)) if kind.name == "bfloat16" else _floats(kind.name, flat)


def _truth(x) -> int:
    if type(x) not in _OF_PYTHON and not hasattr(x, "__index__"):
        raise TypeError(f"'{type(x).__name__}' object cannot be interpreted as an integer")
    return 1 if x else 0


def _real(x) -> float:
    if type(x) is float:
        return x
    if isinstance(x, complex) or not hasattr(x, "__float__") and not hasattr(x, "__index__"):
        raise TypeError(f"must be real number, not {type(x).__name__}")
    return float(x)


def _complex(x) -> complex:
    if not isinstance(x, complex) and not hasattr(x, "__float__") and not hasattr(x, "__complex__"):
        raise TypeError(f"must be real number, not {type(x).__name__}")
    return complex(x)


def _integers(flat: list, kind: DType) -> bytes:
    """Integers of a type; a negative number that fits may become an unsigned one, as in C."""
    if kind.name == "uint64":
        return _unsigned_words(flat)
    bits = 8 * kind.itemsize
    low, high = (
        (-(1 << bits - 1), (1 << bits - 1) - 1) if kind.is_signed else (-(1 << bits) + 1, (1 << bits) - 1)
    )
    found = []
    for x in flat:
        if type(x) is not int:
            x = _whole(x, kind)
        if not low <= x <= high:
            if not -(1 << 63) <= x < 1 << 63:
                raise ValueError("Overflow when unpacking long long")
            raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")
        found.append(x if x >= 0 or kind.is_signed else x + (1 << bits))
    return struct.pack(f"{len(found)}{FORMATS[kind.name]}", *found)


def _whole(x, kind: DType) -> int:
    if isinstance(x, float):
        if not -9.3e18 < x < 9.3e18:  # also NaN
            raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")
        return int(x)
    if not hasattr(x, "__index__"):
        raise TypeError(f"'{type(x).__name__}' object cannot be interpreted as an integer")
    return x.__index__()


def _unsigned_words(flat: list) -> bytes:
    for x in flat:
        if not hasattr(x, "__index__"):
            raise TypeError("an integer is required")
        if x < 0:
            raise OverflowError("can't convert negative int to unsigned")
        if x >= 1 << 64:
            raise OverflowError("int too big to convert")
    return struct.pack(f"{len(flat)}Q", *[x.__index__() for x in flat])


def _floats(name: str, flat: list) -> bytes:
    if name == "float64":
        return array.array("d", flat).tobytes()
    code = FORMATS[name]
    try:
        return struct.pack(f"{len(flat)}{code}", *flat)
    except OverflowError:  # beyond the type's range: infinity, as a conversion gives
        limit = 65520.0 if name == "float16" else 3.4028235677973366e38
        inf = float("inf")
        return struct.pack(
            f"{len(flat)}{code}", *[inf if x >= limit else -inf if x <= -limit else x for x in flat]
        )


def bfloat16_bytes(x: float) -> bytes:
    """The upper half of a float32, rounded to even."""
    (bits,) = struct.unpack("I", _floats("float32", [x]))
    if x != x:
        return b"\xc0\x7f"
    return struct.pack("H", ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) & 0xFFFF)
