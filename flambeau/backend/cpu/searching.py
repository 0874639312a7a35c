"""Counting into bins, binary search, and the order of whole rows."""

from __future__ import annotations

from math import prod

from .native import bitcast, native
from .types import BY_CODE, i64, ptr, u8

WORD = ptr(i64)
CHUNK = 4096  # binary searches that one thread takes at a time


@native
def begin_equal(frame: WORD, params: WORD, begin: i64, end: i64):
    bitcast(frame[params[0]], ptr(u8))[0] = 1


@native
def compare_parts(frame: WORD, params: WORD, begin: i64, end: i64):
    """Clear the result where a part differs; a part that comes after that is not read."""
    same = bitcast(frame[params[0]], ptr(u8))
    a = bitcast(frame[params[1]], ptr(T))
    b = bitcast(frame[params[2]], ptr(T))
    if same[0] != 0:
        differing = i64(0)
        for i in range(begin, end):
            differing |= i64(1) if a[i] != b[i] else i64(0)
        if differing != 0:
            same[0] = 0


def equal_elements(call) -> None:
    """Whether two contiguous tensors of one layout are equal."""
    where = call.inputs[0]
    call.native(begin_equal, {}, [call.out(0)], 1, 1)
    params = [call.out(0), call.input(0), call.input(1)]
    call.native(compare_parts, {"T": BY_CODE[where.dtype.code]}, params, where.numel, 16384)


@native
def count_places(frame: WORD, params: WORD, begin: i64, end: i64):
    """Add 1 (or a weight) at each place of a vector of places; negative places are left out.

    One thread walks in order, so that sums of floats never vary. Parameters: words of the places, the
    weights, the result; length, bins.
    """
    places = bitcast(frame[params[0]], ptr(P))
    out = bitcast(frame[params[2]], ptr(W))
    for i in range(params[4], unroll=None):
        out[i] = W(0)
    if WEIGHTED:
        weights = bitcast(frame[params[1]], ptr(W))
        for i in range(params[3], unroll=None):
            at = i64(places[i])
            if at >= 0:
                out[at] = out[at] + weights[i]
    else:
        for i in range(params[3], unroll=None):
            at = i64(places[i])
            if at >= 0:
                out[at] = out[at] + W(1)


def count_at(call) -> None:
    """How often each place below values["size"] occurs, or the sum of its weights."""
    where, out = call.inputs[0], call.outputs[0]
    code = out.dtype.code
    weighted = call.inputs[1] is not None
    weights = call.contiguous(1, code) if weighted else 0
    statics = {"P": BY_CODE[where.dtype.code], "W": BY_CODE[code], "WEIGHTED": weighted}
    parameters = [call.contiguous(0), weights, call.out(0), where.numel, out.numel]
    call.native(count_places, statics, parameters, 1, 1)


@native
def binary_search(frame: WORD, params: WORD, begin: i64, end: i64):
    """Where each value belongs in its row of boundaries. Parameters: words of boundaries, values, sorter,
    result; length of a row of boundaries, values a row (0: one row for all).
    """
    boundaries = bitcast(frame[params[0]], ptr(T))
    values = bitcast(frame[params[1]], ptr(T))
    sorter = bitcast(frame[params[2]], WORD)
    out = bitcast(frame[params[3]], ptr(OUT))
    n, per_row = params[4], params[5]
    for i in range(begin, end, unroll=None):
        row = i64(0)
        if per_row > 0:
            row = i // per_row
        p = boundaries + row * n
        x = values[i]
        low = i64(0)
        high = n
        while low < high:
            middle = (low + high) >> 1
            at = middle
            if SORTED:
                at = sorter[row * n + middle]
            y = p[at]
            before = not (y > x) if RIGHT else not (y >= x)
            if before:
                low = middle + 1
            else:
                high = middle
        out[i] = low


def search_sorted(call) -> None:
    """Binary search of every value; boundaries have one row for all values or one for each leading place."""
    boundaries, values = call.inputs[0], call.inputs[1]
    if values.numel == 0:
        return
    code = boundaries.dtype.code
    sorter = call.inputs[2]
    statics = {
        "T": BY_CODE[code], "OUT": BY_CODE[call.outputs[0].dtype.code], "SORTED": sorter is not None,
        "RIGHT": bool(call.values["right"]),
    }  # fmt: skip
    length = boundaries.shape[-1]
    per_row = values.shape[-1] if boundaries.ndim > 1 else 0
    order = call.contiguous(2) if sorter is not None else call.contiguous(0)
    parameters = [call.contiguous(0), call.contiguous(1), order, call.out(0), length, per_row]
    call.native(binary_search, statics, parameters, values.numel, CHUNK)


@native
def compare_rows(a, b, width):
    """Whether row a comes after row b."""
    after = False
    for j in range(width, unroll=None):
        x = a[j]
        y = b[j]
        if x != y:
            after = x > y
            break
    return after


@native
def merge_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Stable merge sort of row numbers by the rows' elements, the first element first. Parameters: words of
    the rows, the result, a buffer; rows, width.
    """
    source = bitcast(frame[params[0]], ptr(T))
    a = bitcast(frame[params[1]], WORD)
    b = bitcast(frame[params[2]], WORD)
    n, width = params[3], params[4]
    for i in range(n, unroll=None):
        a[i] = i
    size = i64(1)
    while size < n:
        first = i64(0)
        while first < n:
            middle = min(first + size, n)
            last = min(first + 2 * size, n)
            i = first
            j = middle
            to = first
            while to < last:
                right = j < last
                if i < middle:
                    if j < last:
                        right = compare_rows(source + a[i] * width, source + a[j] * width, width)
                    else:
                        right = False
                if right:
                    b[to] = a[j]
                    j += 1
                else:
                    b[to] = a[i]
                    i += 1
                to += 1
            first += 2 * size
        c = a
        a = b
        b = c
        size = 2 * size
    out = bitcast(frame[params[1]], WORD)
    if bitcast(a, i64) != bitcast(out, i64):
        for i in range(n, unroll=None):
            out[i] = a[i]


def order_of_rows(call) -> None:
    """Numbers of the rows (first dimension) in lexicographic order."""
    where = call.inputs[0]
    count = where.shape[0]
    parameters = [
        call.contiguous(0),
        call.out(0),
        call.scratch(8 * max(1, count)),
        count,
        prod(where.shape[1:]),
    ]
    call.native(merge_rows, {"T": BY_CODE[where.dtype.code]}, parameters, 1, 1)
