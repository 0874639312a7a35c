"""Copies of the operands of a matrix product, in the order in which the tiles read them and in their type.

`copy_*` bring one row tile of a into a small buffer; they are called by address from `multiply`. `pack_*` are
program steps that write all of b as panels ``[panel][k][2 vectors]``, zero beyond the last column.
"""

from __future__ import annotations

from types import SimpleNamespace

from .conv_lanes import first_lanes, load_masked
from .native import bitcast, load, local, native, shuffle, static, store, unroll
from .types import i64, ptr, vec

#: words of the parameters of a pack step; strides count elements, offsets bytes
WORDS = (
    "address", "offset", "k_stride", "column_stride", "k", "n", "to_address", "to_offset", "panels", "group",
    "groups", "chunks", "chunk", "dims",
)  # fmt: skip
at = SimpleNamespace(**{name: position for position, name in enumerate(WORDS)})
BATCH = len(WORDS)


# -- row tiles of a ------------------------------------------------------------------------------------------


@native
def copy_rows(a: ptr(M), a_row: i64, a_k: i64, rows: i64, k: i64, to: ptr(T), to_row: i64):
    """Rows whose elements are consecutive."""
    W = vec(M, L)
    whole = k - k % L
    mask = first_lanes(k - whole, L)
    for i in range(rows, unroll=None):
        source, goal = a + i * a_row, to + i * to_row
        for p in range(0, whole, L, unroll=None):
            store(goal + p, load(source + p, W))
        if whole < k:
            store(goal + whole, load_masked(source + whole, W, mask))


@native
def copy_columns(a: ptr(M), a_row: i64, a_k: i64, rows: i64, k: i64, to: ptr(T), to_row: i64):
    """Columns whose elements are consecutive: 16 places for each k."""
    W = vec(M, L)
    mask = [first_lanes(rows - v * L, L) for v in unroll(16 // L)]
    for p in range(k, unroll=None):
        for v in unroll(16 // L):
            store(to + (p * 16 + v * L), load_masked(a + (p * a_k + v * L), W, mask[v]))


@native
def copy_any(a: ptr(M), a_row: i64, a_k: i64, rows: i64, k: i64, to: ptr(T), to_row: i64):
    """Any strides."""
    for i in range(rows, unroll=None):
        for p in range(k, unroll=None):
            to[i * to_row + p] = a[i * a_row + p * a_k]


@native
def copy_pairs(a: ptr(M), a_row: i64, a_k: i64, rows: i64, k: i64, to: ptr(T), to_row: i64):
    """Complex elements with any strides, as pairs of reals; strides and k count reals, a_k half a step."""
    for i in range(rows, unroll=None):
        for p in range(0, k, 2, unroll=None):
            to[i * to_row + p] = a[i * a_row + p * a_k]
            to[i * to_row + p + 1] = a[i * a_row + p * a_k + 1]


# -- panels of b ---------------------------------------------------------------------------------------------


@static
def transposed(b, rows):
    """The transpose of L vectors of L lanes, by swapping blocks of half the size down to single lanes."""
    lanes = len(rows)
    half = lanes // 2
    while half:
        for i in range(lanes):
            if not i & half:
                x, y = rows[i], rows[i + half]
                low = [k if not k & half else lanes + k - half for k in range(lanes)]
                high = [k + half if not k & half else lanes + k for k in range(lanes)]
                rows[i], rows[i + half] = shuffle.run(b, x, y, low), shuffle.run(b, x, y, high)
        half //= 2
    return rows


@native
def pack_place(params: ptr(i64), item: i64):
    """Of one item: where its batch entry begins, the entry's first panel, its panels and its slice of k."""
    chunks, groups = params[at.chunks], params[at.groups]
    rest = item // chunks
    p0 = (item - rest * chunks) * params[at.chunk]
    batch = rest // groups
    first = (rest - batch * groups) * params[at.group]
    move, left = i64(0), batch
    row = params + BATCH
    for _ in range(params[at.dims], unroll=None):
        size = row[0]
        move += (left % size) * row[1]
        left = left // size
        row = row + 2
    last = min(first + params[at.group], params[at.panels])
    return move, batch * params[at.panels], first, last, p0, min(p0 + params[at.chunk], params[at.k])


@native
def pack_rows(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """b with consecutive columns."""
    WIDTH = 2 * L
    source = bitcast(frame[params[at.address]] + params[at.offset], ptr(M))
    goal = bitcast(frame[params[at.to_address]] + params[at.to_offset], ptr(T))
    stride, k, n = params[at.k_stride], params[at.k], params[at.n]
    for item in range(begin, end, unroll=None):
        move, place, first, last, p0, p1 = pack_place(params, item)
        whole = min(last, n // WIDTH)
        for p in range(p0, p1, unroll=None):
            here, to = source + (move + p * stride), goal + (place * k + p) * WIDTH
            for panel in range(first, whole, unroll=None):
                for v in unroll(2):
                    store(to + (panel * k * WIDTH + v * L), load(here + (panel * WIDTH + v * L), vec(M, L)))
            if whole < last:
                for v in unroll(2):
                    mask = first_lanes(n - whole * WIDTH - v * L, L)
                    got = load_masked(here + (whole * WIDTH + v * L), vec(M, L), mask)
                    store(to + (whole * k * WIDTH + v * L), got)


@native
def pack_columns(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """b with consecutive k: blocks of L by L elements are transposed in registers."""
    WIDTH = 2 * L
    source = bitcast(frame[params[at.address]] + params[at.offset], ptr(M))
    goal = bitcast(frame[params[at.to_address]] + params[at.to_offset], ptr(T))
    stride, k = params[at.column_stride], params[at.k]
    for item in range(begin, end, unroll=None):
        move, place, first, last, p0, p1 = pack_place(params, item)
        for half in range(2 * first, 2 * last, unroll=None):
            here = source + (move + half * L * stride)
            to = goal + ((place + half // 2) * k * WIDTH + half % 2 * L)
            for p in range(p0, p1, L, unroll=None):
                transpose_block(
                    M, L, WIDTH, here + p, stride, to + p * WIDTH, params[at.n] - half * L, p1 - p
                )


@native
def transpose_block(M, L, WIDTH, source, stride, to, columns, count):
    """Write up to L rows of one vector from up to L rows of b's transpose; missing columns give zero."""
    W = vec(M, L)
    room = local(M, L * L)
    here, step = source, stride
    if columns < L or count < L:
        for c in range(L, unroll=None):
            mask = first_lanes(count if c < columns else i64(0), L)
            line = max(
                min(c, columns - 1), i64(0)
            )  # even with an empty mask, a missing page is slow to touch
            store(room + c * L, load_masked(source + line * stride, W, mask))
        here, step = room, i64(L)
    flipped = transposed([load(here + c * step, W) for c in unroll(L)])
    for p in unroll(L):
        if p < count:
            store(to + p * WIDTH, flipped[p])


@native
def pack_any(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Any strides."""
    WIDTH = 2 * L
    source = bitcast(frame[params[at.address]] + params[at.offset], ptr(M))
    goal = bitcast(frame[params[at.to_address]] + params[at.to_offset], ptr(T))
    k_stride, stride, k = params[at.k_stride], params[at.column_stride], params[at.k]
    for item in range(begin, end, unroll=None):
        move, place, first, last, p0, p1 = pack_place(params, item)
        for panel in range(first, last, unroll=None):
            columns = min(params[at.n] - panel * WIDTH, i64(WIDTH))
            for p in range(p0, p1, unroll=None):
                here = source + (move + p * k_stride + panel * WIDTH * stride)
                to = goal + ((place + panel) * k + p) * WIDTH
                for c in range(columns, unroll=None):
                    to[c] = here[c * stride]
                for c in range(columns, WIDTH, unroll=None):
                    to[c] = 0


@static
def times_i(b, x):
    """Pairs (re, im) as (-im, re)."""
    x = b.value(x)
    swapped = shuffle.run(b, x, x, [k ^ 1 for k in range(x.type.lanes)])
    return shuffle.run(
        b, b.negate(swapped), swapped, [k if k % 2 == 0 else x.type.lanes + k for k in range(x.type.lanes)]
    )


@native
def pack_pairs(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Complex b as the real matrix [[re, im], [-im, re]] of twice the rows and columns.

    Sizes and batch strides count reals, the strides of k and of columns half a step.
    """
    WIDTH = 2 * L
    source = bitcast(frame[params[at.address]] + params[at.offset], ptr(M))
    goal = bitcast(frame[params[at.to_address]] + params[at.to_offset], ptr(T))
    k_stride, stride, k = params[at.k_stride], params[at.column_stride], params[at.k]
    for item in range(begin, end, unroll=None):
        move, place, first, last, p0, p1 = pack_place(params, item)
        for panel in range(first, last, unroll=None):
            columns = min(params[at.n] - panel * WIDTH, i64(WIDTH))
            for p in range(p0, p1, 2, unroll=None):
                here = source + (move + p * k_stride + panel * WIDTH * stride)
                to = goal + ((place + panel) * k + p) * WIDTH
                if stride == 1:
                    for v in unroll(2):
                        x = load_masked(here + v * L, vec(M, L), first_lanes(columns - v * L, L))
                        store(to + v * L, x)
                        store(to + (WIDTH + v * L), times_i(x))
                else:
                    for c in range(0, columns, 2, unroll=None):
                        re, im = here[c * stride], here[c * stride + 1]
                        to[c], to[c + 1] = re, im
                        to[WIDTH + c], to[WIDTH + c + 1] = -im, re
                    for c in range(columns, WIDTH, unroll=None):
                        to[c] = 0
                        to[WIDTH + c] = 0
