"""CRC-32 at the speed of memory: folding by carry-less products where the processor has them, else `zlib`.

Source: V. Gopal et al., Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction (Intel, 2009).
"""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Callable

from . import jit

_POLYNOMIAL = 0x104C11DB7
_LANES = 8  # registers whose products are independent
_MOST_STRIDE = 64 * _LANES
_SHORT = 1 << 14  # bytes below which starting the kernel costs more than it saves
_kernel: list[Callable | None] = []


def crc32(data, value: int = 0) -> int:
    """The checksum of `zlib.crc32`, of an object with the buffer interface; `value` continues an earlier one.

    >>> import zlib
    >>> crc32(bytes(100_000)) == zlib.crc32(bytes(100_000))
    True
    """
    view = memoryview(data).cast("B")
    whole = view.nbytes // _MOST_STRIDE * _MOST_STRIDE
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
            width = 4 if jit.has_feature("vpclmulqdq") and jit.has_feature("avx512f") else 1
            (address,) = jit.build(f"crc32 fold {_LANES} {width}", lambda: _text(width), ["crc32_fold"])
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


def _constants(bits: int, width: int) -> str:
    """The factors that move 128 bits `bits` further, for every 128 bits of a register."""
    pair = f"i64 {_power(bits + 32)}, i64 {_power(bits - 32)}"
    return f"<{', '.join([pair] * width)}>"


def _text(width: int) -> str:
    """LLVM text: ``crc32_fold(data, bytes, initial, out)``, with `width` times 128 bits a register.

    `bytes` is a multiple of the stride, and at least one of it.
    """
    register, stride = f"<{2 * width} x i64>", 16 * width * _LANES
    lanes = range(_LANES)
    lines = [
        f"declare <{2 * k} x i64> {_product(k)}({', '.join([f'<{2 * k} x i64>'] * 2)}, i8 immarg)"
        for k in {1, width}
    ]
    lines += [
        "define void @crc32_fold(ptr %data, i64 %bytes, i64 %initial, ptr %out) {",
        "entry:",
        f"  %first = insertelement {register} zeroinitializer, i64 %initial, i64 0",
        *(line for k in lanes for line in _load(f"start{k}", "%data", 16 * width * k, register)),
        f"  %begin0 = xor {register} %start0, %first",
        f"  %more = icmp ugt i64 %bytes, {stride}",
        "  br i1 %more, label %loop, label %end",
        "loop:",
        f"  %at = phi i64 [ {stride}, %entry ], [ %next, %loop ]",
        *(f"  %acc{k} = phi {register} [ {_first(k)}, %entry ], [ %new{k}, %loop ]" for k in lanes),
        "  %here = getelementptr i8, ptr %data, i64 %at",
    ]
    for k in lanes:
        lines += _load(f"word{k}", "%here", 16 * width * k, register)
        lines += _folded(f"new{k}", f"%acc{k}", f"%word{k}", 8 * stride, width)
    lines += [
        f"  %next = add i64 %at, {stride}",
        "  %again = icmp ult i64 %next, %bytes",
        "  br i1 %again, label %loop, label %end",
        "end:",
        *(f"  %last{k} = phi {register} [ {_first(k)}, %entry ], [ %new{k}, %loop ]" for k in lanes),
    ]
    for k in lanes:
        for part in range(width):
            places = f"<2 x i32> <i32 {2 * part}, i32 {2 * part + 1}>"
            lines.append(
                f"  %part{k * width + part} = shufflevector {register} %last{k}, {register} poison, {places}"
            )
    total = "%part0"
    for k in range(1, _LANES * width):
        lines += _folded(f"sum{k}", total, f"%part{k}", 128, 1)
        total = f"%sum{k}"
    return "\n".join([*lines, f"  store <2 x i64> {total}, ptr %out, align 1", "  ret void", "}", ""])


def _first(lane: int) -> str:
    return "%begin0" if lane == 0 else f"%start{lane}"


def _product(width: int) -> str:
    return "@llvm.x86.pclmulqdq" + (f".{128 * width}" if width > 1 else "")


def _load(name: str, base: str, offset: int, register: str) -> list[str]:
    place = f"%{name}_place"
    return [
        f"  {place} = getelementptr i8, ptr {base}, i64 {offset}",
        f"  %{name} = load {register}, ptr {place}, align 1",
    ]


def _folded(name: str, value: str, onto: str, bits: int, width: int) -> list[str]:
    """`value` moved `bits` ahead, added to `onto`."""
    register = f"<{2 * width} x i64>"
    operands = f"{register} {value}, {register} {_constants(bits, width)}"
    return [
        f"  %{name}_low = call {register} {_product(width)}({operands}, i8 0)",
        f"  %{name}_high = call {register} {_product(width)}({operands}, i8 17)",
        f"  %{name}_both = xor {register} %{name}_low, %{name}_high",
        f"  %{name} = xor {register} %{name}_both, {onto}",
    ]
