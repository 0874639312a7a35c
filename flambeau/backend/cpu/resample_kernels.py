"""Resizing along one dimension: each element of the result is a weighted sum of a few elements of the input.

Which ones, and with what weights, stands in tables (`resample.py`). `mix` serves a dimension with others
inside it, where whole rows are added; `slide` serves the innermost dimension, where lanes gather their own
elements.
"""

from __future__ import annotations

from .conv_lanes import first_lanes, gather_lanes, load_masked, store_masked
from .gemm_tiles import multiply_add
from .native import bitcast, load, local, native, splat, store, unroll
from .types import f64, i32, i64, ptr, vec

#: words of a pass: 0 slide or 1 mix, what lies outside, lengths before and after, what lies inside, and where
#: its table begins among the parameters
PASS = 6
#: words of the parameters of `planes` before its passes
HEAD = 8
#: vectors of a row that `mix` sums at a time, rows for which `slide` reads its table once
VECTORS, ROWS = 4, 4


@native
def mix_vectors(T, L, COUNT, WHOLE, source, inner, table, to, left):
    """COUNT vectors of one row of the result: the sum over its taps (place, weight)."""
    W = vec(T, L)
    total = local(W, COUNT)
    mask = first_lanes(left, L)
    for v in unroll(COUNT):
        total[v] = splat(T(0), L)
    for tap in range(table[0], unroll=None):
        here = source + table[1 + 2 * tap] * inner
        weight = splat(T(bitcast(table[2 + 2 * tap], f64)), L)
        for v in unroll(COUNT):
            x = load(here + v * L, W) if WHOLE else load_masked(here, W, mask)
            total[v] = multiply_add(weight, x, total[v])
    for v in unroll(COUNT):
        if WHOLE:
            store(to + v * L, total[v])
        else:
            store_masked(to, total[v], mask)


@native
def mix_row(T, L, source, inner, table, to):
    """One row of the result of `mix`."""
    whole = inner - inner % (VECTORS * L)
    for c in range(0, whole, VECTORS * L, unroll=None):
        mix_vectors(T, L, VECTORS, True, source + c, inner, table, to + c, inner - c)
    for c in range(whole, inner, L, unroll=None):
        mix_vectors(T, L, 1, False, source + c, inner, table, to + c, inner - c)


@native
def mix(T, L, source, outer, old, new, inner, table, to, first, last):
    """Rows [first, last) of ``outer x new`` rows of `inner` elements.

    The table has the number of taps at most, then for each row of the result a record: taps, then place and
    weight of each.
    """
    record = 1 + 2 * table[0]
    for row in range(first, last, unroll=None):
        before = row // new
        here = table + (1 + (row - before * new) * record)
        mix_row(T, L, source + before * old * inner, inner, here, to + row * inner)


@native
def slide_vector(T, L, COUNT, source, old, to, new, places, weights, start, stop, left):
    """One vector of COUNT neighbouring rows."""
    W = vec(T, L)
    total = local(W, COUNT)
    for r in unroll(COUNT):
        total[r] = splat(T(0), L)
    for step in range(start, stop, unroll=None):
        place = load(places + step * L, vec(i32, L))
        weight = load(weights + step * L, W)
        for r in unroll(COUNT):
            x = gather_lanes(source + r * old, place, place >= 0)
            total[r] = multiply_add(weight, x, total[r])
    mask = first_lanes(left, L)
    for r in unroll(COUNT):
        store_masked(to + r * new, total[r], mask)


@native
def slide(T, L, source, old, new, table, to, first, last):
    """Rows [first, last) along the innermost dimension.

    The table has, after the number of its steps, where the steps of each vector of the result end; then for
    every step L places (-1: none) as int32, then L weights.
    """
    vectors = (new + (L - 1)) // L
    ends = table + 1
    places = bitcast(table + (1 + vectors), ptr(i32))
    weights = bitcast(places + table[0] * L, ptr(T))
    for row in range(first, last, ROWS, unroll=None):
        here, goal = source + row * old, to + row * new
        start = i64(0)
        for v in range(vectors, unroll=None):
            stop, left = ends[v], new - v * L
            if row + ROWS <= last:
                slide_vector(T, L, ROWS, here, old, goal + v * L, new, places, weights, start, stop, left)
            else:
                for r in range(last - row, unroll=None):
                    slide_vector(
                        T, L, 1, here + r * old, old, goal + (r * new + v * L), new, places, weights, start,
                        stop, left,
                    )  # fmt: skip
            start = stop


@native
def planes(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Program step: all passes over each of the planes [begin, end), through buffers that stay in the caches.

    Parameters: frame words of source and target, elements of a plane of each, frame word and elements of a
    buffer (each chunk has two), planes of a chunk, number of passes; then the passes.
    """
    source = bitcast(frame[params[0]], ptr(T))
    target = bitcast(frame[params[1]], ptr(T))
    room = bitcast(frame[params[4]], ptr(T)) + begin // params[6] * 2 * params[5]
    count = params[7]
    for plane in range(begin, end, unroll=None):
        here = source + plane * params[2]
        for p in range(count, unroll=None):
            words = params + (HEAD + p * PASS)
            table = params + words[5]
            to = room + (p % 2) * params[5]
            if p + 1 == count:
                to = target + plane * params[3]
            rows = words[1]
            if words[0] == 0:
                slide(T, L, here, words[2], words[3], table, to, i64(0), rows)
            else:
                rows = rows * words[3]
                mix(T, L, here, words[1], words[2], words[3], words[4], table, to, i64(0), rows)
            here = to


@native
def rows_of_pass(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Program step: rows [begin, end) of one pass; frame words of source and target, then the pass."""
    source = bitcast(frame[params[0]], ptr(T))
    target = bitcast(frame[params[1]], ptr(T))
    words = params + 2
    table = params + words[5]
    if words[0] == 0:
        slide(T, L, source, words[2], words[3], table, target, begin, end)
    else:
        mix(T, L, source, words[1], words[2], words[3], words[4], table, target, begin, end)
