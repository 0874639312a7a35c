"""Schedules that copy between parts of tensors: strided regions, reversed and shifted orders."""

from __future__ import annotations

from ...base.layout import overlaps_itself
from .native import bitcast, copy_bytes, fill_bytes, native, unroll
from .schedule import Call
from .types import BY_CODE, i8, i64, ptr

WORD = ptr(i64)
#: bytes that one chunk of a memory fill or copy handles
BLOCK = 1 << 18
#: integer of the size of an element, to move it whatever it means
BITS = {1: BY_CODE["u8"], 2: BY_CODE["u16"], 4: BY_CODE["u32"], 8: BY_CODE["u64"]}


@native
def shift(frame: WORD, params: WORD, begin: i64, end: i64):
    """frame[to] = frame[from] + bytes."""
    frame[params[0]] = frame[params[1]] + params[2]


@native
def clear(frame: WORD, params: WORD, begin: i64, end: i64):
    """Zero bytes."""
    fill_bytes(bitcast(frame[params[0]] + begin, ptr(i8)), 0, end - begin)


@native
def add_region(frame: WORD, params: WORD, begin: i64, end: i64):
    """Add a contiguous tensor to a strided region whose elements may coincide, in order.

    Parameters: target word, source word, inner size and stride, number of outer dimensions, then size and stride of each.
    """
    target = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    inner = params[2]
    step = params[3]
    for row in range(begin, end):
        place = 0
        rest = row
        for d in range(params[4]):
            size = params[5 + 2 * d]
            place += (rest % size) * params[6 + 2 * d]
            rest = rest // size
        for i in range(inner):
            for part in unroll(PARTS):
                at = (place + i * step) * PARTS + part
                target[at] = target[at] + source[(row * inner + i) * PARTS + part]


def product(numbers) -> int:
    total = 1
    for n in numbers:
        total *= n
    return total


def moved(call: Call, word: int, nbytes: int) -> int:
    """Frame word of the place `nbytes` after that of another word."""
    if nbytes == 0:
        return word
    place = call.scratch(64)
    call.native(shift, {}, [place, word, nbytes], 1, 1)
    return place


def clear_all(call: Call, word: int, nbytes: int) -> None:
    call.native(clear, {}, [word], nbytes, BLOCK)


def identity(x):
    return x


def number_parts(code: str) -> tuple[str, int]:
    """Real type and number of the parts of an element (two for complex)."""
    return {"c64": ("f32", 2), "c128": ("f64", 2)}.get(code, (code, 1))


def strided_sum(call: Call) -> None:
    """Zeros, and the input added at the places of a strided view."""
    where, out = call.inputs[0], call.outputs[0]
    stride, move = call.values["stride"], call.values["move"]
    code, item = where.dtype.code, where.dtype.itemsize
    if where.numel != out.numel or overlaps_itself(where.shape, stride):
        clear_all(call, call.out(), out.nbytes)
    if where.numel == 0:
        return
    target = moved(call, call.out(), move * item)
    if not overlaps_itself(where.shape, stride):
        call.pointwise([(code, stride, target)], [(code, where.strides, call.input())], identity, where.shape)
        return
    add_overlapping(call, target, call.contiguous(0), where.shape, stride, code)


def add_overlapping(call: Call, target: int, source: int, shape, stride, code: str) -> None:
    """Add a contiguous buffer to a region that overlaps itself, in one thread and in order."""
    name, parts = number_parts(code)
    shape, stride = (tuple(shape), tuple(stride)) if shape else ((1,), (0,))
    rows = 1
    for n in shape[:-1]:
        rows *= n
    params = [target, source, shape[-1], stride[-1], len(shape) - 1]
    for d in range(len(shape) - 2, -1, -1):
        params += [shape[d], stride[d]]
    call.native(add_region, {"T": BY_CODE[name], "PARTS": parts}, params, rows, rows)


def write_view(call: Call) -> None:
    """A contiguous copy of the first input, then the second in a strided region of it."""
    where, source = call.inputs
    out = call.outputs[0]
    code = out.dtype.code
    call.pointwise(
        [(code, out.strides, call.out())], [(code, where.strides, call.input(0))], identity, where.shape
    )
    if source.numel:
        target = moved(call, call.out(), call.values["move"] * out.dtype.itemsize)
        call.pointwise(
            [(code, call.values["stride"], target)], [(source.dtype.code, source.strides, call.input(1))], identity,
            source.shape,
        )  # fmt: skip


def flip(call: Call) -> None:
    """Read each reversed dimension from its end."""
    where, out = call.inputs[0], call.outputs[0]
    if where.numel == 0:
        return
    dims = {d % where.ndim for d in call.values["dims"]} if where.ndim else set()
    strides = [-s if d in dims else s for d, s in enumerate(where.strides)]
    start = sum((where.shape[d] - 1) * where.strides[d] for d in dims)
    code = where.dtype.code
    source = moved(call, call.input(), start * where.dtype.itemsize)
    call.pointwise([(code, out.strides, call.out())], [(code, strides, source)], identity, where.shape)


def _shifts(where, shifts, dims) -> dict[int, int]:
    """Shift of each dimension, within its size; dimension -1 is the flat tensor."""
    shifts, dims = ((x,) if isinstance(x, int) else tuple(x) for x in (shifts, dims))
    if not dims:
        return {-1: shifts[0] % where.numel}
    found: dict[int, int] = {}
    for s, d in zip(shifts, dims):
        found[d % where.ndim] = (found.get(d % where.ndim, 0) + s) % where.shape[d]
    return found


@native
def turn_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Rows of bytes whose last `shift` bytes come first. Parameters: result, source, bytes of a row, shift."""
    row = params[2]
    shift_by = params[3]
    for r in range(begin, end):
        out = frame[params[0]] + r * row
        source = frame[params[1]] + r * row
        copy_bytes(bitcast(out + shift_by, ptr(i8)), bitcast(source, ptr(i8)), row - shift_by)
        copy_bytes(bitcast(out, ptr(i8)), bitcast(source + (row - shift_by), ptr(i8)), shift_by)


def roll(call: Call) -> None:
    """Copy the pieces before and after each shift to their places."""
    where, out = call.inputs[0], call.outputs[0]
    if where.numel == 0:
        return
    shifts = _shifts(where, call.values["shifts"], call.values["dims"])
    if len(shifts) == 1 and (where.contiguous or -1 in shifts):
        ((dim, by),) = shifts.items()
        inner, row = where.dtype.itemsize, where.nbytes
        if dim >= 0:
            inner *= product(where.shape[dim + 1 :])
            row = inner * where.shape[dim]
        params = [call.out(), call.contiguous(0), row, by * inner]
        call.native(turn_rows, {}, params, where.nbytes // row, max(1, BLOCK // row))
        return
    code, item, word = where.dtype.code, where.dtype.itemsize, call.input()
    shape, source, target = list(where.shape), list(where.strides), list(out.strides)
    if -1 in shifts:
        word, shape, source, target = call.contiguous(0), [where.numel], [1], [1]
        shifts = {0: shifts[-1]}
    blocks: list[tuple[list[int], int, int]] = [
        (shape, 0, 0)
    ]  # shape, start in the source, start in the result
    for d, s in shifts.items():
        cut = []
        for sizes, a, b in blocks:
            n = sizes[d]
            for count, at, to in ((n - s, 0, s), (s, n - s, 0)):
                if count:
                    cut.append(([*sizes[:d], count, *sizes[d + 1 :]], a + at * source[d], b + to * target[d]))
        blocks = cut
    for sizes, a, b in blocks:
        from_word, to_word = moved(call, word, a * item), moved(call, call.out(), b * item)
        call.pointwise([(code, target, to_word)], [(code, source, from_word)], identity, sizes)


@native
def repeat_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Each row (or element) of the source so many times. Parameters: result, source, elements of a row, times."""
    out = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    row = params[2]
    times = params[3]
    if ONE:
        for r in range(begin, end):
            value = source[r]
            if TIMES > 0:
                for k in unroll(TIMES):
                    out[r * TIMES + k] = value
            else:
                for k in range(times):
                    out[r * times + k] = value
    else:
        for r in range(begin, end):
            start = source + r * row
            for k in range(times):
                to = out + (r * times + k) * row
                for i in independent(0, row):
                    to[i] = start[i]


def repeat_each(call: Call) -> None:
    where, times, dim = call.inputs[0], call.values["repeats"], call.values["dim"]
    if call.outputs[0].numel == 0:
        return
    wide = 2 if where.dtype.itemsize == 16 else 1
    row = product(where.shape[dim + 1 :]) * wide
    rows = where.numel * wide // row
    statics = {"T": BITS[where.dtype.itemsize // wide], "ONE": row == 1, "TIMES": times if times <= 8 else 0}
    params = [call.out(), call.contiguous(0), row, times]
    call.native(repeat_rows, statics, params, rows, max(1, 32768 // (row * times)))


@native
def spell_out(frame: WORD, params: WORD, begin: i64, end: i64):
    """Write each position as often as its count says."""
    out = bitcast(frame[params[0]], ptr(T))
    counts = bitcast(frame[params[1]], ptr(T))
    total = params[3]
    place = 0
    for k in range(params[2]):
        for _ in range(i64(counts[k])):
            if place < total:
                out[place] = T(k)
                place += 1


def repeat_positions(call: Call) -> None:
    where = call.inputs[0]
    t = BY_CODE[where.dtype.code]
    call.native(
        spell_out, {"T": t}, [call.out(), call.contiguous(0), where.numel, call.outputs[0].numel], 1, 1
    )
