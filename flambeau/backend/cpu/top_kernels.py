"""The kernels that find the first k of a row: whole vectors no better than the k-th so far are skipped."""

from __future__ import annotations

from .classic_kernels import introsort, make_heap, nth_element, rank_key, sift, sort_heap
from .conv_lanes import first_lanes, load_masked
from .native import bitcast, load, local, native, splat, static, trailing_zeros
from .sorting_kernels import DIGIT, WORD, index_at, key_of, move, put, sort_pairs
from .types import i64, ptr, u32, u64, vec


@static
def bits_of(b, mask):
    """The lanes of a vector of bools as the low bits of an integer."""
    mask = b.value(mask)
    lanes = mask.type.lanes
    narrow = b.fresh()
    b.lines.append(f"  {narrow} = bitcast {mask} to i{lanes}")
    return b.emit(i64, f"zext i{lanes} {narrow} to i64") if lanes < 64 else b.emit(i64, f"or i64 {narrow}, 0")


@native
def promising(S, x, bound):
    """Lanes that come before the element `bound` in the order wanted, as bits."""
    B = splat(bound, S.lanes)
    if S.descending:
        return bits_of(not (x <= B))
    else:
        if S.memory.kind == "float":
            return bits_of((not (x >= B)) & (x == x))
        else:
            return bits_of(x < B)


@native
def word_of(S, key, index):
    """A pair's key word: the index in its low bits where the two travel together."""
    if S.packed:
        return (key << 32) | u64(index)
    else:
        return key


@native
def stream_top(S, p, first, length, k, keys, places):
    """The best k of elements [first, first + length) of a row, in order, by a heap of the best so far."""
    for i in range(k, unroll=None):
        put(S, keys, places, i, key_of(S, p[first + i]), first + i)
    make_heap(S, keys, places, k)
    bound = p[index_at(S, keys, places, i64(0))]
    stop = first + length
    for i in range(first + k, stop, S.lanes, unroll=None):
        bits = i64(0)
        rest = stop - i
        if rest >= S.lanes:
            bits = promising(S, load(p + i, vec(S.memory, S.lanes)), bound)
        else:
            x = load_masked(p + i, vec(S.memory, S.lanes), first_lanes(rest, S.lanes))
            bits = promising(S, x, bound) & ((i64(1) << rest) - 1)
        while bits != 0:
            at = i + trailing_zeros(bits)
            bits = bits & (bits - 1)
            new = word_of(S, key_of(S, p[at]), at)
            if rank_key(S, new) < rank_key(S, keys[0]):
                sift(S, keys, places, i64(0), k, new, u32(at))
                bound = p[index_at(S, keys, places, i64(0))]
    sort_heap(S, keys, places, k)


@native
def top_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Parameters: words of input, values, indices, two key buffers, two index buffers; row length, k."""
    source = bitcast(frame[params[0]], ptr(S.memory))
    values = bitcast(frame[params[1]], ptr(S.memory))
    indices = bitcast(frame[params[2]], ptr(i64))
    n, k = params[7], params[8]
    for row in range(begin, end, unroll=None):
        p = source + row * n
        a = bitcast(frame[params[3]], ptr(u64)) + row * n
        a_places = bitcast(frame[params[5]], ptr(u32)) + row * n
        if k * 64 <= n:
            stream_top(S, p, i64(0), n, k, a, a_places)
        else:
            for i in range(n, unroll=None):
                put(S, a, a_places, i, key_of(S, p[i]), i)
            nth_element(S, a, a_places, k - 1, n)
            introsort(S, a, a_places, k - 1)
        for i in range(k, unroll=None):
            at = index_at(S, a, a_places, i)
            values[row * k + i] = p[at]
            indices[row * k + i] = at


@native
def top_blocks(frame: WORD, params: WORD, begin: i64, end: i64):
    """The best k of each block of a row, at the block's place in the buffers. Parameters as for `top_rows`,
    then blocks a row, block length.
    """
    source = bitcast(frame[params[0]], ptr(S.memory))
    n, k, blocks, size = params[7], params[8], params[9], params[10]
    for item in range(begin, end, unroll=None):
        row = item // blocks
        first = (item - row * blocks) * size
        at = row * n + first
        a = bitcast(frame[params[3]], ptr(u64)) + at
        a_places = bitcast(frame[params[5]], ptr(u32)) + at
        stream_top(S, source + row * n, first, min(size, n - first), k, a, a_places)


@native
def top_merge(frame: WORD, params: WORD, begin: i64, end: i64):
    """The best k of a row from the best of its blocks. Parameters as for `top_blocks`."""
    source = bitcast(frame[params[0]], ptr(S.memory))
    values = bitcast(frame[params[1]], ptr(S.memory))
    indices = bitcast(frame[params[2]], ptr(i64))
    n, k, blocks, size = params[7], params[8], params[9], params[10]
    counts = local(u32, 8 << DIGIT)
    for row in range(begin, end, unroll=None):
        a = bitcast(frame[params[3]], ptr(u64)) + row * n
        b = bitcast(frame[params[4]], ptr(u64)) + row * n
        a_places = bitcast(frame[params[5]], ptr(u32)) + row * n
        b_places = bitcast(frame[params[6]], ptr(u32)) + row * n
        for j in range(1, blocks, unroll=None):
            for i in range(k, unroll=None):
                move(S, a, a_places, j * size + i, a, a_places, j * k + i)
        if sort_pairs(S, a, a_places, b, b_places, blocks * k, counts):
            a = b
            a_places = b_places
        for i in range(k, unroll=None):
            at = index_at(S, a, a_places, i)
            values[row * k + i] = source[row * n + at]
            indices[row * k + i] = at
