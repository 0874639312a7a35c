"""The kernels of sorting and selection: stable radix sorts on order-preserving integer keys.

An element becomes an unsigned key that orders as the elements do (NaN last, both zeros equal); descending
order takes the complement. Keys of up to 32 bits travel packed with the element's index in one 64-bit word;
longer keys travel beside their indices. Source: Knuth, The Art of Computer Programming 3, 5.2.5 (least
significant digit first).

`S` is the template: `memory` (type of an element), `bits` (of a key), `packed`, `descending`, `lanes`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .native import bitcast, local, native, unroll
from .types import Type, f32, i64, ptr, u32, u64

WORD = ptr(i64)
DIGIT = 8  # bits a pass takes in rows that one thread sorts: the counters stay in the first-level cache
WIDE = 11  # bits a pass takes in long rows that threads share: fewer passes over memory
TINY = 40  # rows up to this length are sorted by insertion


@dataclass(frozen=True, slots=True)
class SortTemplate:
    """What is compiled into a sorting kernel."""

    memory: Type
    bits: int
    packed: bool
    descending: bool
    lanes: int  # elements that a vector register holds


@native
def key_of(S, x):
    """The key of an element, as the low bits of a 64-bit word."""
    key = u64(0)
    if S.memory.kind == "float":
        if S.bits == 64:
            word = bitcast(0.0 if x == 0.0 else x, u64)
            key = word ^ (u64((1 << 64) - 1) if (word >> 63) != 0 else u64(1 << 63))
            key = u64((1 << 64) - 1) if x != x else key
        else:
            half = bitcast(f32(0.0) if x == 0.0 else x, u32)
            half = half ^ (u32((1 << 32) - 1) if (half >> 31) != 0 else u32(1 << 31))
            key = u64(u32((1 << 32) - 1) if x != x else half)
    elif S.memory.signed:
        key = u64(i64(x)) ^ u64(1 << (S.bits - 1))
        if S.bits < 64:
            key = key & ((1 << S.bits) - 1)
    else:
        key = u64(x)
    if S.descending:
        key = key ^ u64((1 << S.bits) - 1)
    return key


@native
def put(S, keys, places, at, key, index):
    """Store a key and its index at position `at`."""
    if S.packed:
        keys[at] = (key << 32) | u64(index)
    else:
        keys[at] = key
        places[at] = u32(index)


@native
def index_at(S, keys, places, at):
    if S.packed:
        return i64(keys[at] & ((1 << 32) - 1))
    else:
        return i64(places[at])


@native
def move(S, keys, places, at, to_keys, to_places, to):
    to_keys[to] = keys[at]
    if not S.packed:
        to_places[to] = places[at]


@native
def insertion(S, keys, places, n):
    """Sort a few pairs in place."""
    for i in range(1, n, unroll=None):
        key = keys[i]
        place = u32(0)
        if not S.packed:
            place = places[i]
        j = i
        while j > 0:
            before = keys[j - 1]
            if before <= key:
                break
            keys[j] = before
            if not S.packed:
                places[j] = places[j - 1]
            j -= 1
        keys[j] = key
        if not S.packed:
            places[j] = place


@native
def sort_pairs(S, a, a_places, b, b_places, n, counts):
    """Sort n pairs between two buffers; gives whether they end in the second."""
    swapped = False
    if n <= TINY:
        insertion(S, a, a_places, n)
    else:
        LOW = 32 if S.packed else 0
        PASSES = (S.bits + DIGIT - 1) // DIGIT
        for i in range(PASSES << DIGIT, unroll=None):
            counts[i] = u32(0)
        for i in range(n, unroll=None):
            key = a[i]
            for P in unroll(PASSES):
                at = i64((key >> (LOW + DIGIT * P)) & ((1 << DIGIT) - 1)) + (P << DIGIT)
                counts[at] = counts[at] + 1
        for P in unroll(PASSES):
            starts = counts + (P << DIGIT)
            shift = u64(LOW + DIGIT * P)
            first = i64((a[0] >> shift) & ((1 << DIGIT) - 1))
            if i64(starts[first]) != n:
                total = u32(0)
                for i in range(1 << DIGIT, unroll=None):
                    here = starts[i]
                    starts[i] = total
                    total += here
                for i in range(n, unroll=None):
                    digit = i64((a[i] >> shift) & ((1 << DIGIT) - 1))
                    to = i64(starts[digit])
                    starts[digit] = u32(to + 1)
                    move(S, a, a_places, i, b, b_places, to)
                c = a
                a = b
                b = c
                c_places = a_places
                a_places = b_places
                b_places = c_places
                swapped = not swapped
    return swapped


@native
def sort_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Parameters: words of input, values, indices, two key buffers, two index buffers; row length, elements
    kept.
    """
    source = bitcast(frame[params[0]], ptr(S.memory))
    values = bitcast(frame[params[1]], ptr(S.memory))
    indices = bitcast(frame[params[2]], ptr(i64))
    n, keep = params[7], params[8]
    counts = local(u32, 8 << DIGIT)
    for row in range(begin, end, unroll=None):
        a = bitcast(frame[params[3]], ptr(u64)) + row * n
        b = bitcast(frame[params[4]], ptr(u64)) + row * n
        a_places = bitcast(frame[params[5]], ptr(u32)) + row * n
        b_places = bitcast(frame[params[6]], ptr(u32)) + row * n
        p = source + row * n
        for i in range(n, unroll=None):
            put(S, a, a_places, i, key_of(S, p[i]), i)
        if sort_pairs(S, a, a_places, b, b_places, n, counts):
            a = b
            a_places = b_places
        for i in range(keep, unroll=None):
            at = index_at(S, a, a_places, i)
            values[row * keep + i] = p[at]
            indices[row * keep + i] = at


# -- one long row, shared by the threads ---------------------------------------------------------------------


@native
def build_keys(frame: WORD, params: WORD, begin: i64, end: i64):
    """Keys of elements [begin, end) of all rows. Parameters: words of input, keys, indices; row length."""
    source = bitcast(frame[params[0]], ptr(S.memory))
    keys = bitcast(frame[params[1]], ptr(u64))
    places = bitcast(frame[params[2]], ptr(u32))
    n = params[3]
    row = begin // n
    at = begin - row * n
    for i in range(begin, end, unroll=None):
        put(S, keys, places, i, key_of(S, source[i]), at)
        at += 1
        if at == n:
            at = 0


@native
def count_digits(frame: WORD, params: WORD, begin: i64, end: i64):
    """Counters of one digit for each block. Parameters: words of keys a, keys b, indices a, indices b,
    counters, state; row length, blocks a row, block length, shift. State word of a row: 1 where its pairs are
    in buffer b.
    """
    counters = bitcast(frame[params[4]], ptr(u32))
    state = bitcast(frame[params[5]], WORD)
    n, blocks, size = params[6], params[7], params[8]
    shift = u64(params[9])
    for item in range(begin, end, unroll=None):
        row = item // blocks
        first = (item - row * blocks) * size
        keys = bitcast(frame[params[0]], ptr(u64))
        if state[2 * row] != 0:
            keys = bitcast(frame[params[1]], ptr(u64))
        keys = keys + row * n
        mine = counters + (item << WIDE)
        for d in range(1 << WIDE, unroll=None):
            mine[d] = u32(0)
        for i in range(first, min(first + size, n), unroll=None):
            digit = i64((keys[i] >> shift) & ((1 << WIDE) - 1))
            mine[digit] = mine[digit] + 1


@native
def digit_starts(frame: WORD, params: WORD, begin: i64, end: i64):
    """Turn a row's counters into the place where each block writes its first pair of each digit."""
    counters = bitcast(frame[params[4]], ptr(u32))
    state = bitcast(frame[params[5]], WORD)
    n, blocks = params[6], params[7]
    for row in range(begin, end, unroll=None):
        mine = counters + (row * blocks << WIDE)
        total = i64(0)
        single = i64(0)
        for d in range(1 << WIDE, unroll=None):
            before = total
            for k in range(blocks, unroll=None):
                at = (k << WIDE) + d
                here = mine[at]
                mine[at] = u32(total)
                total += i64(here)
            if total - before == n:
                single = i64(1)
        state[2 * row + 1] = single


@native
def scatter_digits(frame: WORD, params: WORD, begin: i64, end: i64):
    """Move each block's pairs to their places in the other buffer. Parameters as for `count_digits`."""
    counters = bitcast(frame[params[4]], ptr(u32))
    state = bitcast(frame[params[5]], WORD)
    n, blocks, size = params[6], params[7], params[8]
    shift = u64(params[9])
    for item in range(begin, end, unroll=None):
        row = item // blocks
        first = (item - row * blocks) * size
        if state[2 * row + 1] == 0:
            side = state[2 * row]
            keys = bitcast(frame[params[0 + side]], ptr(u64)) + row * n
            to_keys = bitcast(frame[params[1 - side]], ptr(u64)) + row * n
            places = bitcast(frame[params[2 + side]], ptr(u32)) + row * n
            to_places = bitcast(frame[params[3 - side]], ptr(u32)) + row * n
            starts = counters + (item << WIDE)
            for i in range(first, min(first + size, n), unroll=None):
                digit = i64((keys[i] >> shift) & ((1 << WIDE) - 1))
                to = i64(starts[digit])
                starts[digit] = u32(to + 1)
                move(S, keys, places, i, to_keys, to_places, to)


@native
def end_pass(frame: WORD, params: WORD, begin: i64, end: i64):
    """Note that a row's pairs are in the other buffer, unless the pass moved nothing."""
    state = bitcast(frame[params[5]], WORD)
    for row in range(begin, end, unroll=None):
        if state[2 * row + 1] == 0:
            state[2 * row] = 1 - state[2 * row]


@native
def clear_state(frame: WORD, params: WORD, begin: i64, end: i64):
    state = bitcast(frame[params[5]], WORD)
    for row in range(begin, end, unroll=None):
        state[2 * row] = 0


@native
def write_sorted(frame: WORD, params: WORD, begin: i64, end: i64):
    """Values and indices of sorted pairs. Parameters: words of keys a, b, indices a, b, input, state, values,
    indices; row length.
    """
    source = bitcast(frame[params[4]], ptr(S.memory))
    state = bitcast(frame[params[5]], WORD)
    values = bitcast(frame[params[6]], ptr(S.memory))
    indices = bitcast(frame[params[7]], ptr(i64))
    n = params[8]
    row = begin // n
    stop = (row + 1) * n
    for i in range(begin, end, unroll=None):
        if i == stop:
            row += 1
            stop += n
        side = state[2 * row]
        at = index_at(
            S, bitcast(frame[params[side]], ptr(u64)), bitcast(frame[params[2 + side]], ptr(u32)), i
        )
        values[i] = source[row * n + at]
        indices[i] = at
