"""CRC-32 at the speed of memory: folding by carry-less products where the processor has them, else `zlib`.

Source: V. Gopal et al., Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction (Intel, 2009).
"""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Callable

from . import jit

_POLYNOMIAL = 0x104C11DB7
_LANES = 8  # independent products in flight
_STRIDE = 16 * _LANES
_SHORT = 1 << 14  # bytes below which starting the kernel costs more than it saves
_kernel: list[Callable | None] = []


def crc32(data, value: int = 0) -> int:
    """The checksum of `zlib.crc32`, of an object with the buffer interface; `value` continues an earlier one.

    >>> import zlib
    >>> crc32(bytes(100_000)) == zlib.crc32(bytes(100_000))
    True
    """
    view = memoryview(data).cast("B")
    whole = view.nbytes // _STRIDE * _STRIDE
    kernel = _fold() if whole >= _SHORT else None
    if kernel is None:
        return zlib.crc32(view, value)
    held = ctypes.py_object(view)
    folded = (ctypes.c_char * 16)()
    kernel(_address(held), whole, value ^ 0xFFFFFFFF, ctypes.addressof(folded))
    # What is left of all that was folded has the same remainder; the kernel took the initial value into account.
    return zlib.crc32(view[whole:], zlib.crc32(folded, 0xFFFFFFFF))


class _Buffer(ctypes.Structure):
    """The head of CPython's Py_buffer."""

    _fields_ = [("start", ctypes.c_void_p), ("rest", ctypes.c_byte * 128)]


def _address(held: ctypes.py_object) -> int:
    """Where the bytes of a view start; the view keeps them in place."""
    found = _Buffer()
    ctypes.pythonapi.PyObject_GetBuffer(held, ctypes.byref(found), 0)
    start = found.start or 0
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(found))
    return start


def _fold() -> Callable | None:
    """The kernel, or None where the processor has no carry-less product."""
    if not _kernel:
        if jit.has_feature("pclmul"):
            (address,) = jit.build(f"crc32 fold {_LANES}", _text, ["crc32_fold"])
            parameters = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
            _kernel.append(ctypes.CFUNCTYPE(None, *parameters)(address))
        else:
            _kernel.append(None)
    return _kernel[0]


def _power(exponent: int) -> int:
    """``x ** exponent`` modulo the polynomial, its bits reversed as the checksum has them, times x."""
    value = 1
    for _ in range(exponent):
        value <<= 1
        if value >> 32:
            value ^= _POLYNOMIAL
    return int(f"{value:032b}"[::-1], 2) << 1


def _constants(bits: int) -> str:
    """The factors that move 128 bits `bits` further."""
    return f"<i64 {_power(bits + 32)}, i64 {_power(bits - 32)}>"


def _text() -> str:
    """LLVM text: ``crc32_fold(data, bytes, initial, out)``; `bytes` is a multiple of the stride, at least one."""
    lines = [
        "declare <2 x i64> @llvm.x86.pclmulqdq(<2 x i64>, <2 x i64>, i8 immarg)",
        "define void @crc32_fold(ptr %data, i64 %bytes, i64 %initial, ptr %out) {",
        "entry:",
        "  %first = insertelement <2 x i64> zeroinitializer, i64 %initial, i64 0",
        *(line for k in range(_LANES) for line in _load(f"start{k}", "%data", 16 * k)),
        "  %begin0 = xor <2 x i64> %start0, %first",
        f"  %more = icmp ugt i64 %bytes, {_STRIDE}",
        "  br i1 %more, label %loop, label %end",
        "loop:",
        f"  %at = phi i64 [ {_STRIDE}, %entry ], [ %next, %loop ]",
        *(f"  %acc{k} = phi <2 x i64> [ {_first(k)}, %entry ], [ %new{k}, %loop ]" for k in range(_LANES)),
        "  %here = getelementptr i8, ptr %data, i64 %at",
    ]
    for k in range(_LANES):
        lines += _load(f"word{k}", "%here", 16 * k)
        lines += _folded(f"new{k}", f"%acc{k}", f"%word{k}", _constants(8 * _STRIDE))
    lines += [
        f"  %next = add i64 %at, {_STRIDE}",
        "  %again = icmp ult i64 %next, %bytes",
        "  br i1 %again, label %loop, label %end",
        "end:",
        *(f"  %last{k} = phi <2 x i64> [ {_first(k)}, %entry ], [ %new{k}, %loop ]" for k in range(_LANES)),
    ]
    total = "%last0"
    for k in range(1, _LANES):
        lines += _folded(f"sum{k}", total, f"%last{k}", _constants(128))
        total = f"%sum{k}"
    return "\n".join([*lines, f"  store <2 x i64> {total}, ptr %out, align 1", "  ret void", "}", ""])


def _first(lane: int) -> str:
    return "%begin0" if lane == 0 else f"%start{lane}"


def _load(name: str, base: str, offset: int) -> list[str]:
    place = f"%{name}_place"
    return [
        f"  {place} = getelementptr i8, ptr {base}, i64 {offset}",
        f"  %{name} = load <2 x i64>, ptr {place}, align 1",
    ]


def _folded(name: str, value: str, onto: str, constants: str) -> list[str]:
    """``value`` moved ahead, added to ``onto``."""
    call = "call <2 x i64> @llvm.x86.pclmulqdq"
    return [
        f"  %{name}_low = {call}(<2 x i64> {value}, <2 x i64> {constants}, i8 0)",
        f"  %{name}_high = {call}(<2 x i64> {value}, <2 x i64> {constants}, i8 17)",
        f"  %{name}_both = xor <2 x i64> %{name}_low, %{name}_high",
        f"  %{name} = xor <2 x i64> %{name}_both, {onto}",
    ]
