"""Schedules of creation operators: fills, ranges, the unit matrix, triangles."""

from __future__ import annotations

from ...ir.expr import constant
from .kernels_memory import WORD
from .native import bitcast, independent, native, unroll
from .schedule import scalar_leaves
from .types import BY_CODE, f32, f64, i64, ptr, u8, u16, u32, u64

PART = {"c64": "f32", "c128": "f64"}
CHUNK = 32768


def nothing(call) -> None:
    """Memory as it is."""


def fill(call, value, scalars=()) -> None:
    """Every element of the output one value (a number, or an expression of run-time numbers)."""
    made = call.outputs[0]
    call.pointwise([(made.dtype.code, made.strides, call.out(0))], [], value, made.shape, scalars)


def zeros(call) -> None:
    fill(call, lambda: constant(0, "i64"))


def ones(call) -> None:
    fill(call, lambda: constant(1, "i64"))


def full(call) -> None:
    code = call.scalar_codes[0]
    fill(call, lambda *leaves: leaves[-1], [(code, call.scalar(0))])


# -- ranges ----------------------------------------------------------------------------------------------------------


@native
def arange_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    """out[i] = start + i * step, computed in type C. Parameters: output, start, step."""
    out = bitcast(frame[params[0]], ptr(T))
    start = bitcast(frame[params[1]], C)
    step = bitcast(frame[params[2]], C)
    for i in independent(begin, end):
        out[i] = R(start + C(i) * step)


def arange(call) -> None:
    made = call.outputs[0]
    code = made.dtype.code
    computed = f64 if made.dtype.kind >= 2 else i64
    words = [number_word(call, k, computed) for k in range(2)]
    statics = {"T": BY_CODE[code], "R": BY_CODE[code].register, "C": computed}
    call.native(arange_kernel, statics, [call.out(0), *words], made.numel, CHUNK)


def number_word(call, k: int, computed) -> int:
    """Frame word of run-time number k; its type must be the one computed in."""
    assert (call.scalar_codes[k] == "i64") == (computed is i64)
    return call.scalar(k)


@native
def linspace_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    """From the start in the first half, from the end in the second. Parameters: output, start, end, step, count."""
    out = bitcast(frame[params[0]], ptr(T))
    first = bitcast(frame[params[1]], f64)
    last = bitcast(frame[params[2]], f64)
    step = bitcast(frame[params[3]], f64)
    n = params[4]
    half = n // 2
    for i in independent(begin, end):
        out[i] = R(first + f64(i) * step if i < half else last - f64(n - 1 - i) * step)


def linspace(call) -> None:
    made = call.outputs[0]
    t = BY_CODE[made.dtype.code]
    words = [call.scalar(k) for k in range(3)]
    if made.numel == 1:  # the one number is the start
        words[1] = words[0]
    call.native(
        linspace_kernel, {"T": t, "R": t.register}, [call.out(0), *words, made.numel], made.numel, CHUNK
    )


# -- matrices --------------------------------------------------------------------------------------------------------


@native
def eye_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    """Rows [begin, end) of the unit matrix. Parameters: output, columns. P parts an element (2 for complex)."""
    out = bitcast(frame[params[0]], ptr(T))
    columns = params[1]
    for r in range(begin, end):
        row = out + r * columns * P
        for c in independent(0, columns * P):
            row[c] = R(0)
        if r < columns:
            row[r * P] = R(1)


def eye(call) -> None:
    made = call.outputs[0]
    code = made.dtype.code
    t = BY_CODE[PART.get(code, code)]
    rows, columns = made.shape
    statics = {"T": t, "R": t.register, "P": 2 if code in PART else 1}
    call.native(eye_kernel, statics, [call.out(0), columns], rows, max(1, CHUNK // max(1, columns)))


#: the unsigned type that moves an element of so many bytes, and how many of them make one
MOVERS = {1: (u8, 1), 2: (u16, 1), 4: (u32, 1), 8: (u64, 1), 16: (u64, 2)}


@native
def triangle_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    """Rows of matrices with one triangle zeroed. Parameters: output, input, rows, columns, diagonal."""
    out = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    rows = params[2]
    columns = params[3]
    diagonal = params[4]
    for r in range(begin, end):
        limit = r % rows + diagonal
        at = r * columns * P
        for c in independent(0, columns):
            keep = c >= limit if UPPER else c <= limit
            for p in unroll(0, P):
                k = at + c * P + p
                out[k] = source[k] if keep else T(0)


def triangle(call, upper: bool) -> None:
    made = call.outputs[0]
    if made.numel == 0:
        return
    t, parts = MOVERS[made.dtype.itemsize]
    rows, columns = made.shape[-2:]
    parameters = [call.out(0), call.contiguous(0), rows, columns, call.values["diagonal"]]
    count = made.numel // columns
    call.native(
        triangle_kernel,
        {"T": t, "P": parts, "UPPER": int(upper)},
        parameters,
        count,
        max(1, CHUNK // columns),
    )


def lower(call) -> None:
    triangle(call, False)


def upper(call) -> None:
    triangle(call, True)


_ = (f32, scalar_leaves)
