"""The product inside a recurrent network: a few rows of a state times a packed matrix, again and again.

One thread takes up to `ROWS` rows of the batch through the whole sequence. Their state lies transposed, as
``[k][ROWS]``, so that the broadcasts of one k come from one cache line; the matrix lies in panels of one
vector, ``[panel][k][lane]``, packed once a sequence. Every sum runs over k in order, whatever the tile, so
neither threads nor the cut of the batch change a bit of a result.
"""

from __future__ import annotations

import platform

from .conv_lanes import first_lanes, load_masked, store_masked
from .gemm_pack import transpose_block
from .gemm_tiles import multiply_add
from .native import (
    bitcast,
    call_pointer,
    load,
    local,
    native,
    prefetch,
    select,
    splat,
    store,
    unroll,
)
from .types import i8, i64, ptr, vec, void

#: rows of the batch that one piece of work takes through the sequence
ROWS = 16


def tile_shapes(vector_bytes: int, gates: int) -> tuple[int, int, int]:
    """(panels of a wide tile, its rows at most, rows of a tile of one panel at most): what registers hold.

    The last is 0 where rows are cut so that wide tiles serve them all.
    """
    if vector_bytes == 64:
        wide = 3 if gates == 3 else 4
        return wide, (32 - wide - 1) // wide, ROWS
    many = platform.machine().lower() in ("aarch64", "arm64")
    return 2, (14 if many else 6), 0


#: entry of the table of tiles where the wide ones begin; entry ``r`` and ``WIDE + r`` serve r rows
WIDE_TILES = 32


@native
def tile(a: ptr(T), b: ptr(T), panel: i64, c: ptr(T), c_row: i64, k: i64):
    """c[COUNT, V * L] = a @ b for COUNT rows and V panels."""
    W = vec(T, L)
    acc = local(W, COUNT * V)
    for i in unroll(COUNT * V):
        acc[i] = splat(T(0), L)
    for _ in range(k, unroll=None):
        row = [load(b + v * panel, W) for v in unroll(V)]
        for i in unroll(COUNT):
            w = splat(a[i], L)
            for v in unroll(V):
                acc[i * V + v] = multiply_add(w, row[v], acc[i * V + v])
        a = a + ROWS
        b = b + L
    for i in unroll(COUNT):
        for v in unroll(V):
            store(c + (i * c_row + v * L), acc[i * V + v])


@native
def fetch(AHEAD, p, rows):
    """Ask for data early: of (pointer, row stride, panel stride) the line of panel p in every row."""
    for stream in AHEAD:
        here = stream[0] + p * stream[2]
        for _ in range(rows, unroll=None):
            prefetch(here)
            here = here + stream[1]


@native
def sums(S, tiles, a, b, panel, k, panels, c, c_row, rows, AHEAD=()):
    """c[rows, panels * L] = a @ b, with the widest tiles that the rows allow; `tiles` holds their addresses.

    panel: elements from one panel of b to the next.
    """
    WIDE, WIDE_ROWS, NARROW_ROWS = S.SHAPES
    first = i64(0)
    while first < rows:
        left = rows - first
        wide = left <= WIDE_ROWS if NARROW_ROWS > 0 else left > 0
        count = min(left, select(wide, i64(WIDE_ROWS), i64(max(NARROW_ROWS, WIDE_ROWS))))
        one, many = tiles[count], tiles[WIDE_TILES + count]
        p = i64(0)
        while p < panels:
            whole = select(wide, panels - p, i64(0)) >= WIDE
            step = select(whole, i64(WIDE), i64(1))
            if first == 0:
                for q in range(step, unroll=None):
                    fetch(AHEAD, p + q, rows)
            fn = bitcast(select(whole, many, one), ptr(i8))
            call_pointer(fn, void, a + first, b + p * panel, panel, c + (first * c_row + p * S.L), c_row, k)
            p += step
        first += count


# -- packing -------------------------------------------------------------------------------------------------


@native
def pack_turned(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Panels of the transpose of rows (gate, unit): item ``block * gates + gate`` is a block of units."""
    source = bitcast(frame[params[0]], ptr(T))
    goal = bitcast(frame[params[1]], ptr(T)) + params[2]
    gates, units, k = params[3], params[4], params[5]
    for item in range(begin, end, unroll=None):
        block = item // gates
        gate = item - block * gates
        here = source + (gate * units + block * L) * k
        to = goal + item * k * L
        for p in range(0, k, L, unroll=None):
            transpose_block(T, L, L, here + p, k, to + p * L, units - block * L, k - p)


@native
def pack_plain(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Panels of a matrix of k rows, of which the row `rotated` comes first; an item is one row."""
    source = bitcast(frame[params[0]], ptr(T))
    goal = bitcast(frame[params[1]], ptr(T)) + params[2]
    columns, k, rotated = params[3], params[4], params[5]
    for p in range(begin, end, unroll=None):
        here, to = source + (p + rotated) % k * columns, goal + p * L
        for c in range(0, columns, L, unroll=None):
            store(to, load_masked(here + c, vec(T, L), first_lanes(columns - c, L)))
            to = to + k * L


# -- gradients of weights ------------------------------------------------------------------------------------

#: steps that are summed at a time: what both operands need of them stays in the caches
SLICE = 256


@native
def weight_gradient(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Rows of a weight's gradient, `ROWS` an item: the gates' gradients times what they were multiplied with.

    Both operands lie in panels, of the gates' units and of columns, as ``[panel][step and sequence][lane]``.
    Parameters: words and offsets of both, word of the result, rows summed over, columns, units of a gate, the
    same with padding, the gate that stands in for the last, and the address of the tiles.
    """
    T, L = S.T, S.L
    GROUP = S.SHAPES[0]
    part = local(T, ROWS * GROUP * L)
    deltas = bitcast(frame[params[0]], ptr(T)) + params[1]
    factors = bitcast(frame[params[2]], ptr(T)) + params[3]
    out = bitcast(frame[params[4]], ptr(T))
    k, columns, hidden, padded, last = params[5], params[6], params[7], params[8], params[9]
    tiles = bitcast(params[10], ptr(i64))
    panels = (columns + (L - 1)) // L
    for start in range(0, k, SLICE, unroll=None):
        count = min(k - start, i64(SLICE))
        for item in range(begin, end, unroll=None):
            gate = item * ROWS // padded
            unit = item * ROWS - gate * padded
            slot = select(gate == S.GATES - 1, last, gate)
            a = deltas + ((slot * padded + unit) * k + start * ROWS)
            rows = min(hidden - unit, i64(ROWS))
            to = out + (gate * hidden + unit) * columns
            for p in range(0, panels, GROUP, unroll=None):
                b = factors + (p * k + start) * L
                these = min(panels - p, i64(GROUP))
                sums(S, tiles, a, b, k * L, count, these, part, i64(GROUP * L), rows)
                for r in range(rows, unroll=None):
                    for v in range(these, unroll=None):
                        place = to + (r * columns + (p + v) * L)
                        mask = first_lanes(columns - (p + v) * L, L)
                        value = load(part + (r * GROUP + v) * L, vec(T, L))
                        if start > 0:
                            value = value + load_masked(place, vec(T, L), mask)
                        store_masked(place, value, mask)
