"""The kernels of selection: the first k of a row in order, or the element of one rank (median, kthvalue).

A histogram of the keys' leading bits tells which elements can matter; only those are sorted.
"""

from __future__ import annotations

from .classic_kernels import introsort, quickselect, rank_key
from .native import bitcast, local, native
from .sorting_kernels import DIGIT, WIDE, WORD, index_at, key_of, put, sort_pairs
from .types import i64, ptr, u32, u64

FIRST_K, RANK, MEDIAN, NANMEDIAN = range(4)
SHORT = 512  # rows up to this length are sorted whole


@native
def leading(S, key):
    """The leading digit of a key."""
    return i64(key >> max(0, S.bits - WIDE))


@native
def bin_of_rank(counts, rank):
    """The digit of the element of a rank, and how many elements have a smaller digit."""
    before = i64(0)
    digit = i64(0)
    while before + i64(counts[digit]) <= rank:
        before += i64(counts[digit])
        digit += 1
    return digit, before


@native
def rank_of(S, p, n, k, mode):
    """The rank (from 0) that a mode asks for; -1 where the answer is the first NaN."""
    rank = k - 1
    if mode >= MEDIAN:
        missing = i64(0)
        if S.memory.kind == "float":
            for i in range(n, unroll=None):
                x = p[i]
                missing += i64(x != x)
        there = n - missing
        rank = (there - 1) // 2
        if mode == MEDIAN:
            if missing > 0:
                rank = i64(-1)
        if there == 0:
            rank = i64(-1)
    return rank


@native
def first_nan(S, p, n):
    at = i64(0)
    if S.memory.kind == "float":
        for i in range(n, unroll=None):
            x = p[i]
            if x != x:
                at = i
                break
    return at


@native
def digits_wanted(S, p, n, rank, mode, counts):
    """The leading digits of the elements that can matter, and how many elements have smaller ones."""
    low = i64(0)
    high = i64(1) << WIDE
    before = i64(0)
    if n > SHORT:
        for d in range(1 << WIDE, unroll=None):
            counts[d] = u32(0)
        for i in range(n, unroll=None):
            digit = leading(S, key_of(S, p[i]))
            counts[digit] = counts[digit] + 1
        high, before = bin_of_rank(counts, rank)
        low = high
        if mode == FIRST_K:
            low = i64(0)
            before = i64(0)
    return low, high, before


@native
def collect(S, p, n, low, high, keys, places):
    """Pairs of the elements whose leading digit lies in [low, high], in order; gives how many."""
    found = i64(0)
    for i in range(n, unroll=None):
        key = key_of(S, p[i])
        digit = leading(S, key)
        if digit >= low:
            if digit <= high:
                put(S, keys, places, found, key, i)
                found += 1
    return found


@native
def select_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Parameters: words of input, values, indices, two buffers of keys, two of indices; length, k, mode."""
    source = bitcast(frame[params[0]], ptr(S.memory))
    values = bitcast(frame[params[1]], ptr(S.memory))
    indices = bitcast(frame[params[2]], ptr(i64))
    n, k, mode = params[7], params[8], params[9]
    counts = local(u32, 8 << DIGIT)
    for row in range(begin, end, unroll=None):
        p = source + row * n
        a = bitcast(frame[params[3]], ptr(u64)) + row * n
        b = bitcast(frame[params[4]], ptr(u64)) + row * n
        a_places = bitcast(frame[params[5]], ptr(u32)) + row * n
        b_places = bitcast(frame[params[6]], ptr(u32)) + row * n
        rank = rank_of(S, p, n, k, mode)
        if rank < 0:
            at = first_nan(S, p, n)
            values[row] = p[at]
            indices[row] = at
        else:
            low, high, before = digits_wanted(S, p, n, rank, mode, counts)
            found = collect(S, p, n, low, high, a, a_places)
            if sort_pairs(S, a, a_places, b, b_places, found, counts):
                a = b
                a_places = b_places
            if mode == FIRST_K:
                for i in range(k, unroll=None):
                    at = index_at(S, a, a_places, i)
                    values[row * k + i] = p[at]
                    indices[row * k + i] = at
            else:
                at = index_at(S, a, a_places, rank - before)
                values[row] = p[at]
                indices[row] = at


@native
def quick_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """The pair of one rank of short rows. Parameters: words of input, values, indices, keys, index buffer;
    row length, rank.
    """
    source = bitcast(frame[params[0]], ptr(S.memory))
    values = bitcast(frame[params[1]], ptr(S.memory))
    indices = bitcast(frame[params[2]], ptr(i64))
    n, rank = params[5], params[6]
    for row in range(begin, end, unroll=None):
        p = source + row * n
        keys = bitcast(frame[params[3]], ptr(u64)) + row * n
        places = bitcast(frame[params[4]], ptr(u32)) + row * n
        for i in range(n, unroll=None):
            put(S, keys, places, i, key_of(S, p[i]), i)
        quickselect(S, keys, places, rank, n)
        at = index_at(S, keys, places, rank)
        values[row] = p[at]
        indices[row] = at


@native
def mode_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """The most frequent element of each row. Parameters as for `select_rows`; rows up to params[8] are sorted
    by comparisons.
    """
    source = bitcast(frame[params[0]], ptr(S.memory))
    values = bitcast(frame[params[1]], ptr(S.memory))
    indices = bitcast(frame[params[2]], ptr(i64))
    n = params[7]
    counts = local(u32, 8 << DIGIT)
    for row in range(begin, end, unroll=None):
        p = source + row * n
        a = bitcast(frame[params[3]], ptr(u64)) + row * n
        b = bitcast(frame[params[4]], ptr(u64)) + row * n
        a_places = bitcast(frame[params[5]], ptr(u32)) + row * n
        b_places = bitcast(frame[params[6]], ptr(u32)) + row * n
        for i in range(n, unroll=None):
            put(S, a, a_places, i, key_of(S, p[i]), i)
        if n <= params[8]:
            introsort(S, a, a_places, n)
        elif sort_pairs(S, a, a_places, b, b_places, n, counts):
            a = b
            a_places = b_places
        best = i64(0)
        length = i64(0)
        longest = i64(0)
        for i in range(n, unroll=None):
            length += 1
            if i > 0:
                if rank_key(S, a[i]) != rank_key(S, a[i - 1]):
                    length = i64(1)
            if length > longest:
                longest = length
                best = i
        at = index_at(S, a, a_places, best)
        values[row] = p[at]
        indices[row] = at


@native
def classic_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Rows sorted by comparisons, ties in no particular order. Parameters as for `quick_rows`, without the
    rank.
    """
    source = bitcast(frame[params[0]], ptr(S.memory))
    values = bitcast(frame[params[1]], ptr(S.memory))
    indices = bitcast(frame[params[2]], ptr(i64))
    n = params[5]
    for row in range(begin, end, unroll=None):
        p = source + row * n
        keys = bitcast(frame[params[3]], ptr(u64)) + row * n
        places = bitcast(frame[params[4]], ptr(u32)) + row * n
        for i in range(n, unroll=None):
            put(S, keys, places, i, key_of(S, p[i]), i)
        introsort(S, keys, places, n)
        for i in range(n, unroll=None):
            at = index_at(S, keys, places, i)
            values[row * n + i] = p[at]
            indices[row * n + i] = at
