"""The kernels that find the first k of a row in one pass: elements no better than the k-th so far are skipped by vectors."""

from __future__ import annotations

from .conv_lanes import first_lanes, load_masked
from .native import bitcast, load, local, native, splat, static, trailing_zeros
from .sorting_kernels import DIGIT, WORD, index_at, key_of, move, put, sort_pairs
from .types import i64, ptr, u32, u64, vec

FEW = 48  # up to this k the best are kept in order by insertion; beyond, a buffer of 2 k is sorted when it is full


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
def keep_one(S, keys, places, count, k, key, index):
    """Add a pair to the sorted best where it belongs there; gives how many there are."""
    new = key
    if S.packed:
        new = (key << 32) | u64(index)
    j = count
    better = True
    if count == k:
        j = k - 1
        better = new < keys[j]
    if better:
        while j > 0:
            before = keys[j - 1]
            if before <= new:
                break
            move(S, keys, places, j - 1, keys, places, j)
            j -= 1
        put(S, keys, places, j, key, index)
        count = min(count + 1, k)
    return count


@native
def shrink(S, a, a_places, b, b_places, count, k, counts):
    """Sort a buffer of pairs and keep its first k, in the first buffer."""
    kept = min(count, k)
    if sort_pairs(S, a, a_places, b, b_places, count, counts):
        for i in range(kept, unroll=None):
            move(S, b, b_places, i, a, a_places, i)
    return kept


@native
def stream_top(S, p, first, length, k, a, a_places, b, b_places, counts):
    """The best k of elements [first, first + length) of a row, sorted in the first buffer; gives how many."""
    count = i64(0)
    room = 2 * k
    bound = p[first]
    full = False
    for i in range(first, first + length, S.lanes, unroll=None):
        rest = first + length - i
        x = splat(bound, S.lanes)
        bits = i64((1 << S.lanes) - 1) if S.lanes < 64 else i64(-1)
        if rest >= S.lanes:
            x = load(p + i, vec(S.memory, S.lanes))
            if full:
                bits = promising(S, x, bound)
        else:
            x = load_masked(p + i, vec(S.memory, S.lanes), first_lanes(rest, S.lanes))
            bits = (i64(1) << rest) - 1
            if full:
                bits = bits & promising(S, x, bound)
        while bits != 0:
            at = i + trailing_zeros(bits)
            bits = bits & (bits - 1)
            key = key_of(S, p[at])
            if k <= FEW:
                count = keep_one(S, a, a_places, count, k, key, at)
                if count == k:
                    full = True
                    bound = p[index_at(S, a, a_places, k - 1)]
            else:
                put(S, a, a_places, count, key, at)
                count += 1
                if count == room:
                    count = shrink(S, a, a_places, b, b_places, count, k, counts)
                    full = True
                    bound = p[index_at(S, a, a_places, k - 1)]
    if k > FEW:
        count = shrink(S, a, a_places, b, b_places, count, k, counts)
    return count


@native
def top_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Parameters: words of input, values, indices, two key buffers, two index buffers; row length, k."""
    source = bitcast(frame[params[0]], ptr(S.memory))
    values = bitcast(frame[params[1]], ptr(S.memory))
    indices = bitcast(frame[params[2]], ptr(i64))
    n, k = params[7], params[8]
    counts = local(u32, 8 << DIGIT)
    for row in range(begin, end, unroll=None):
        p = source + row * n
        a = bitcast(frame[params[3]], ptr(u64)) + row * n
        b = bitcast(frame[params[4]], ptr(u64)) + row * n
        a_places = bitcast(frame[params[5]], ptr(u32)) + row * n
        b_places = bitcast(frame[params[6]], ptr(u32)) + row * n
        stream_top(S, p, i64(0), n, k, a, a_places, b, b_places, counts)
        for i in range(k, unroll=None):
            at = index_at(S, a, a_places, i)
            values[row * k + i] = p[at]
            indices[row * k + i] = at


@native
def top_blocks(frame: WORD, params: WORD, begin: i64, end: i64):
    """The best k of each block of a row, at the block's place in the buffers. Parameters as for `top_rows`, then blocks
    a row, block length."""
    source = bitcast(frame[params[0]], ptr(S.memory))
    n, k, blocks, size = params[7], params[8], params[9], params[10]
    counts = local(u32, 8 << DIGIT)
    for item in range(begin, end, unroll=None):
        row = item // blocks
        first = (item - row * blocks) * size
        at = row * n + first
        a = bitcast(frame[params[3]], ptr(u64)) + at
        b = bitcast(frame[params[4]], ptr(u64)) + at
        a_places = bitcast(frame[params[5]], ptr(u32)) + at
        b_places = bitcast(frame[params[6]], ptr(u32)) + at
        stream_top(S, source + row * n, first, min(size, n - first), k, a, a_places, b, b_places, counts)


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
