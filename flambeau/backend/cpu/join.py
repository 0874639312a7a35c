"""Schedules of cat and stack: every input is copied, block by block, to its place in the result."""

from __future__ import annotations

from ...base.layout import Layout, stride_order, strides_in_order
from .native import bitcast, copy_bytes, drain, load, native, stream
from .regions import BITS, BLOCK, identity
from .schedule import Call
from .streaming import worthwhile
from .types import i8, i64, ptr, u8, vec

WORD = ptr(i64)
#: rows from this many bytes on are copied by memcpy, shorter ones element by element
LONG_ROW = 192


@native
def copy_flat(frame: WORD, params: WORD, begin: i64, end: i64):
    """Bytes of one input of the table to one place of the result."""
    table = bitcast(frame[params[0]], WORD)
    source = table[params[1]] + begin
    target = frame[params[2]] + params[3] + begin
    copy_bytes(bitcast(target, ptr(i8)), bitcast(source, ptr(i8)), end - begin)


@native
def stream_flat(frame: WORD, params: WORD, begin: i64, end: i64):
    """copy_flat past the caches, for results much larger than them."""
    table = bitcast(frame[params[0]], WORD)
    source = table[params[1]] + begin
    target = frame[params[2]] + params[3] + begin
    count = end - begin
    head = min((64 - (target & 63)) & 63, count)
    copy_bytes(bitcast(target, ptr(i8)), bitcast(source, ptr(i8)), head)
    whole = (count - head) // 64
    to = bitcast(target + head, ptr(u8))
    start = bitcast(source + head, ptr(u8))
    for k in range(whole):
        stream(to + k * 64, load(start + k * 64, vec(u8, 64)))
    drain()
    done = head + whole * 64
    copy_bytes(bitcast(target + done, ptr(i8)), bitcast(source + done, ptr(i8)), count - done)


@native
def copy_long_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Rows of an input to rows of the result that are further apart."""
    table = bitcast(frame[params[0]], WORD)
    source = table[params[1]]
    target = frame[params[2]] + params[3]
    row = params[4]
    step = params[5]
    for r in range(begin, end):
        copy_bytes(bitcast(target + r * step, ptr(i8)), bitcast(source + r * row, ptr(i8)), row)


@native
def copy_short_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    table = bitcast(frame[params[0]], WORD)
    source = bitcast(table[params[1]], ptr(T))
    target = bitcast(frame[params[2]] + params[3], ptr(T))
    row = params[4]
    step = params[5]
    if ONE:
        for r in range(begin, end):
            target[r * step] = source[r]
    else:
        for r in range(begin, end):
            for i in range(row):
                target[r * step + i] = source[r * row + i]


@native
def point_at(frame: WORD, params: WORD, begin: i64, end: i64):
    """Put the address of an input of the table, and a place in the result, into two frame words."""
    table = bitcast(frame[params[0]], WORD)
    frame[params[1]] = table[params[2]]
    frame[params[3]] = frame[params[4]] + params[5]


def cat(call: Call) -> None:
    tensors, out = call.inputs[0], call.outputs[0]
    dim = call.values["dim"] % max(1, out.ndim)
    start, parts = 0, []
    for k, t in enumerate(tensors):
        if t.ndim == out.ndim and t.numel:
            parts.append((k, t, tuple(t.shape), t.strides, start))
        start += t.shape[dim] if t.ndim == out.ndim else 0
    place(call, parts, dim)


def stack(call: Call) -> None:
    tensors, out = call.inputs[0], call.outputs[0]
    dim = call.values["dim"] % out.ndim
    parts = []
    for k, t in enumerate(tensors):
        if t.numel:
            shape = (*t.shape[:dim], 1, *t.shape[dim:])
            step = t.strides[dim] * t.shape[dim] if dim < t.ndim else 1
            parts.append((k, t, shape, (*t.strides[:dim], step, *t.strides[dim:]), k))
    place(call, parts, dim)


def place(call: Call, parts: list, dim: int) -> None:
    """Copy inputs (number, layout, shape, strides, first place along `dim`) into the result."""
    out = call.outputs[0]
    item, table = out.dtype.itemsize, call.input(0)
    order = stride_order(out.shape, out.strides)
    outside = order.index(dim) if out.ndim else 0
    rows = 1
    for d in order[:outside]:
        rows *= out.shape[d]
    inner = 1
    for d in order[outside + 1 :]:
        inner *= out.shape[d]
    words: tuple[int, int] | None = None
    for k, where, shape, strides, start in parts:
        offset = start * out.strides[dim] * item
        if where.dtype is out.dtype and same_order(where, shape, strides, order):
            copy_block(call, table, k, offset, rows, shape[dim] * inner, out.shape[dim] * inner, item)
            continue
        if words is None:
            words = (call.scratch(64), call.scratch(64))
        call.native(point_at, {}, [table, words[0], k, words[1], call.out(), offset], 1, 1)
        call.pointwise(
            [(out.dtype.code, out.strides, words[1])],
            [(where.dtype.code, strides, words[0])],
            identity,
            shape,
        )


def same_order(where: Layout, shape, strides, order) -> bool:
    """Whether an input lies in memory densely, in the result's order of dimensions."""
    if not where.dense:
        return False
    wanted = strides_in_order(shape, order)
    return all(n == 1 or a == b for n, a, b in zip(shape, strides, wanted))


def copy_block(
    call: Call, table: int, k: int, offset: int, rows: int, row: int, step: int, item: int
) -> None:
    """Copy `rows` rows of `row` elements, `step` elements apart in the result."""
    if rows == 1 or row == step:
        kernel = stream_flat if worthwhile(call.outputs[0].nbytes) else copy_flat
        call.native(kernel, {}, [table, k, call.out(), offset], rows * row * item, BLOCK)
    elif row * item >= LONG_ROW:
        params = [table, k, call.out(), offset, row * item, step * item]
        call.native(copy_long_rows, {}, params, rows, max(1, BLOCK // (row * item)))
    else:
        wide = 2 if item == 16 else 1
        statics = {"T": BITS[item // wide], "ONE": row * wide == 1}
        params = [table, k, call.out(), offset, row * wide, step * wide]
        call.native(copy_short_rows, statics, params, rows, max(1, BLOCK // (row * item)))
