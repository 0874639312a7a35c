"""Pooling kernels: lanes run over neighbouring outputs of a row, or (averages) over a large window.

All take three spatial axes. Windows come from tables: plain, ceil-mode and adaptive pooling are one kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from .conv_kernels import FLAG_WORDS, Words, leave_area, take_area
from .conv_lanes import (
    both,
    either,
    first_lanes,
    gather_lanes,
    lane_numbers,
    lanes_between,
    load_masked,
    no_lanes,
    store_masked,
    sum_lanes,
)  # fmt: skip
from .native import bitcast, horizontal, load, local, native, select, shuffle, splat, store
from .types import Type, f32, i32, i64, ptr, vec


@dataclass(frozen=True)
class PoolStatics:
    """Template arguments of the pooling kernels."""

    T: Type = f32  # type in memory
    S: Type = f32  # type of arithmetic
    L: int = 16  # lanes
    MAX: bool = True  # maximum, else average
    INDEX: bool = False  # also write where the maximum was
    LOWEST: float = 0  # where a maximum starts

    def key(self) -> str:
        return repr(self)


G = PoolStatics()

#: sizes of the operand and of the result, and where things lie; tables are places of words
POOL = Words(
    "out index source channels in_d in_h in_w out_d out_h out_w source_n source_c source_d source_h source_w "
    "to_n to_c to_d to_h to_w taps_d taps_h taps_w stride_d stride_h stride_w padding_d padding_h padding_w "
    "dilation_d dilation_h dilation_w lanes divisor_d divisor_h divisor_w windows_d windows_h windows_w"
)


@native
def row_of(p, unit: i64):
    """Sample, channel, plane and line of a row of outputs."""
    h = unit % p[POOL.out_h]
    rest = unit // p[POOL.out_h]
    d = rest % p[POOL.out_d]
    plane = rest // p[POOL.out_d]
    return plane // p[POOL.channels], plane % p[POOL.channels], d, h


@native
def load_lanes(G, place: ptr(G.T), step: i64, first: i64, last: i64):
    """Lane k reads place[k * step] for first <= k < last; other lanes are zero."""
    result = splat(G.S(0), G.L)
    if step == 1:
        result = vec(G.S, G.L)(load_masked(place, vec(G.T, G.L), lanes_between(first, last, G.L)))
    elif step == 2:
        begin = 2 * first
        end = 2 * last - 1
        low = vec(G.S, G.L)(load_masked(place, vec(G.T, G.L), lanes_between(begin, end, G.L)))
        mask = lanes_between(begin - G.L, end - G.L, G.L)
        high = vec(G.S, G.L)(load_masked(place + G.L, vec(G.T, G.L), mask))
        result = shuffle(low, high, [2 * k for k in range(G.L)])
    else:
        buffer = local(G.S, G.L)
        store(buffer, result)
        for k in range(first, last):
            buffer[k] = G.S(place[k * step])
        result = load(buffer, vec(G.S, G.L))
    return result


@native
def store_lanes(G, to, value, count: i64, step: i64):
    """to[k * step] = lane k for k < count."""
    if step == 1:
        store_masked(to, value, first_lanes(count, G.L))
    else:
        buffer = local(value.type.element, G.L)
        store(buffer, value)
        for k in range(min(count, i64(G.L))):
            to[k * step] = buffer[k]


@native
def quotient(G, x, y):
    if G.S.kind == "float":
        return x / y
    return x // y


@native
def pool_rows(frame: ptr(i64), p: ptr(i64), begin: i64, end: i64):
    """Rows of outputs, lanes along the row; a unit is a row."""
    for unit in range(begin, end):
        n, c, d, h = row_of(p, unit)
        source = bitcast(frame[p[POOL.source]], ptr(G.T)) + (n * p[POOL.source_n] + c * p[POOL.source_c])
        move = n * p[POOL.to_n] + c * p[POOL.to_c] + d * p[POOL.to_d] + h * p[POOL.to_h]
        to = bitcast(frame[p[POOL.out]], ptr(G.T)) + move
        z = d * p[POOL.stride_d] - p[POOL.padding_d]
        y = h * p[POOL.stride_h] - p[POOL.padding_h]
        for w in range(0, p[POOL.out_w], G.L):
            table = p + (p[POOL.lanes] + w // G.L * p[POOL.taps_w] * 2)
            left = p[POOL.out_w] - w
            if G.MAX:
                best, where = row_maximum(G, p, source, table, z, y, w)
                store_lanes(G, to + w * p[POOL.to_w], best, left, p[POOL.to_w])
                if G.INDEX:
                    place = bitcast(frame[p[POOL.index]], ptr(i64)) + (move + w * p[POOL.to_w])
                    store_lanes(G, place, vec(i64, G.L)(where), left, p[POOL.to_w])
            else:
                total = row_sum(G, p, source, table, z, y, w)
                each = p[p[POOL.divisor_d] + d] * p[p[POOL.divisor_h] + h]
                counts = load(p + (p[POOL.divisor_w] + w), vec(i64, G.L)) * each
                mean = quotient(G, total, vec(G.S, G.L)(counts))
                store_lanes(G, to + w * p[POOL.to_w], mean, left, p[POOL.to_w])


@native
def row_maximum(G, p, source: ptr(G.T), table, z0, y0, w):
    """The largest of the windows from output `w` on, and their positions in the plane.

    As in PyTorch, a later value replaces an earlier one where it is larger or NaN.
    """
    best = splat(G.S(G.LOWEST), G.L)
    where = splat(i32(0), G.L)
    seen = no_lanes(G.L)
    step = p[POOL.stride_w] * p[POOL.source_w]
    lanes = lane_numbers(i32, G.L) * i32(p[POOL.stride_w])
    for kd in range(p[POOL.taps_d]):
        z = z0 + kd * p[POOL.dilation_d]
        if z >= 0 and z < p[POOL.in_d]:
            for kh in range(p[POOL.taps_h]):
                y = y0 + kh * p[POOL.dilation_h]
                if y >= 0 and y < p[POOL.in_h]:
                    for kw in range(p[POOL.taps_w]):
                        x = w * p[POOL.stride_w] - p[POOL.padding_w] + kw * p[POOL.dilation_w]
                        place = source + (z * p[POOL.source_d] + y * p[POOL.source_h] + x * p[POOL.source_w])
                        value = load_lanes(G, place, step, table[2 * kw], table[2 * kw + 1])
                        mask = lanes_between(table[2 * kw], table[2 * kw + 1], G.L)
                        better = value > best
                        if G.S.kind == "float":
                            better = either(better, value != value)
                        if G.INDEX:
                            better = both(mask, either(better, seen ^ mask))
                            seen = either(seen, mask)
                            at = i32((z * p[POOL.in_h] + y) * p[POOL.in_w] + x)
                            where = select(better, lanes + at, where)
                        else:
                            better = both(mask, better)
                        best = select(better, value, best)
    return best, where


@native
def row_sum(G, p, source: ptr(G.T), table, z0, y0, w):
    """The sums of the windows from output `w` on."""
    total = splat(G.S(0), G.L)
    step = p[POOL.stride_w] * p[POOL.source_w]
    for kd in range(p[POOL.taps_d]):
        z = z0 + kd
        if z >= 0 and z < p[POOL.in_d]:
            for kh in range(p[POOL.taps_h]):
                y = y0 + kh
                if y >= 0 and y < p[POOL.in_h]:
                    for kw in range(p[POOL.taps_w]):
                        x = w * p[POOL.stride_w] - p[POOL.padding_w] + kw
                        place = source + (z * p[POOL.source_d] + y * p[POOL.source_h] + x * p[POOL.source_w])
                        total = total + load_lanes(G, place, step, table[2 * kw], table[2 * kw + 1])
    return total


@native
def pool_windows(frame: ptr(i64), p: ptr(i64), begin: i64, end: i64):
    """Rows of outputs whose windows come from tables of (first, last); averages run lanes over the window."""
    for unit in range(begin, end):
        n, c, d, h = row_of(p, unit)
        source = bitcast(frame[p[POOL.source]], ptr(G.T)) + (n * p[POOL.source_n] + c * p[POOL.source_c])
        move = n * p[POOL.to_n] + c * p[POOL.to_c] + d * p[POOL.to_d] + h * p[POOL.to_h]
        to = bitcast(frame[p[POOL.out]], ptr(G.T)) + move
        windows = p + p[POOL.windows_w]
        for w in range(p[POOL.out_w]):
            first = windows[2 * w]
            last = windows[2 * w + 1]
            if G.MAX:
                best, where = window_maximum(G, p, source, d, h, first, last)
                to[w * p[POOL.to_w]] = best
                if G.INDEX:
                    place = bitcast(frame[p[POOL.index]], ptr(i64)) + move
                    place[w * p[POOL.to_w]] = where
            else:
                each = p[p[POOL.divisor_d] + d] * p[p[POOL.divisor_h] + h] * p[p[POOL.divisor_w] + w]
                total = window_sum(G, p, source, d, h, first, last)
                to[w * p[POOL.to_w]] = quotient(G, total, G.S(each))


@native
def window_maximum(G, p, source: ptr(G.T), d, h, first, last):
    """The largest of a window and its position in the plane: lanes along the runs that lie side by side."""
    z0, z1 = p[p[POOL.windows_d] + 2 * d], p[p[POOL.windows_d] + 2 * d + 1]
    y0, y1 = p[p[POOL.windows_h] + 2 * h], p[p[POOL.windows_h] + 2 * h + 1]
    begin = (z0 * p[POOL.in_h] + y0) * p[POOL.in_w] + first
    where, best = begin, G.S(0)
    if p[POOL.source_w] == 1:
        lanes = lane_numbers(i32, G.L)
        tops, places = splat(G.S(G.LOWEST), G.L), splat(i32(begin), G.L)
        runs, length = y1 - y0, last - first
        if length == p[POOL.in_w] and p[POOL.source_h] == length:  # whole rows make one run
            runs, length = i64(1), (y1 - y0) * length
        for z in range(z0, z1, unroll=None):
            for y in range(y0, y0 + runs, unroll=None):
                row = source + (z * p[POOL.source_d] + y * p[POOL.source_h] + first)
                at = (z * p[POOL.in_h] + y) * p[POOL.in_w] + first
                for x in range(0, length, G.L, unroll=None):
                    mask = first_lanes(length - x, G.L)
                    value = vec(G.S, G.L)(load_masked(row + x, vec(G.T, G.L), mask))
                    better = value > tops
                    if G.S.kind == "float":
                        better = either(better, value != value)
                    better = both(mask, better)
                    tops = select(better, value, tops)
                    places = select(better, lanes + i32(at + x), places)
        best = horizontal("max", tops)
        if best != best:  # as in PyTorch the last NaN counts, and of equals the first
            where = i64(horizontal("max", select(tops != tops, places, splat(i32(-1), G.L))))
        else:
            where = i64(horizontal("min", select(tops == best, places, splat(i32(0x7FFFFFFF), G.L))))
    else:
        best = G.S(source[z0 * p[POOL.source_d] + y0 * p[POOL.source_h] + first * p[POOL.source_w]])
        for z in range(z0, z1):
            for y in range(y0, y1):
                line = source + (z * p[POOL.source_d] + y * p[POOL.source_h])
                for x in range(first, last):
                    one = G.S(line[x * p[POOL.source_w]])
                    if one > best or one != one:
                        best = one
                        where = (z * p[POOL.in_h] + y) * p[POOL.in_w] + x
    return best, where


@native
def window_sum(G, p, source: ptr(G.T), d, h, first, last):
    inside = splat(G.S(0), G.L)
    total = G.S(0)
    for z in range(p[p[POOL.windows_d] + 2 * d], p[p[POOL.windows_d] + 2 * d + 1]):
        for y in range(p[p[POOL.windows_h] + 2 * h], p[p[POOL.windows_h] + 2 * h + 1]):
            row = source + (z * p[POOL.source_d] + y * p[POOL.source_h])
            if p[POOL.source_w] == 1:
                for x in range(first, last, G.L):
                    inside = inside + vec(G.S, G.L)(
                        load_masked(row + x, vec(G.T, G.L), first_lanes(last - x, G.L))
                    )
            else:
                for x in range(first, last):
                    total = total + G.S(row[x * p[POOL.source_w]])
    return total + sum_lanes([inside])


# -- gradients ----------------------------------------------------------------------------------------------

SCATTER = Words("out grad index channels outputs inputs out_h out_w grad_n grad_c grad_d grad_h grad_w")


@native
def fill_plane(G, to: ptr(G.T), value, count: i64):
    for k in range(0, count, G.L):
        store_masked(to + k, value, first_lanes(count - k, G.L))


@native
def max_gradient(frame: ptr(i64), p: ptr(i64), begin: i64, end: i64):
    """Add each gradient at its index; a unit is a plane, so no two threads meet. A bad index is refused."""
    inputs = p[SCATTER.inputs]
    outputs = p[SCATTER.outputs]
    for unit in range(begin, end):
        n = unit // p[SCATTER.channels]
        c = unit % p[SCATTER.channels]
        to = bitcast(frame[p[SCATTER.out]], ptr(G.T)) + unit * inputs
        index = bitcast(frame[p[SCATTER.index]], ptr(i64)) + unit * outputs
        grad = bitcast(frame[p[SCATTER.grad]], ptr(G.T)) + (n * p[SCATTER.grad_n] + c * p[SCATTER.grad_c])
        fill_plane(G, to, splat(G.S(0), G.L), inputs)
        h = i64(0)
        d = i64(0)
        for row in range(0, outputs, p[SCATTER.out_w]):
            place = grad + (d * p[SCATTER.grad_d] + h * p[SCATTER.grad_h])
            for w in range(p[SCATTER.out_w]):
                at = index[row + w]
                if at >= 0 and at < inputs:
                    to[at] = G.S(to[at]) + G.S(place[w * p[SCATTER.grad_w]])
                else:
                    frame[1] = at
                    frame[2] = unit * outputs + row + w
                    frame[0] = 1
            h += 1
            if h == p[SCATTER.out_h]:
                h = i64(0)
                d += 1


#: cover_d, cover_h: for each input coordinate the first output whose window holds it, and their number;
#: cover_w: all
#: the first ones, then (`cover_length` words on) all the numbers, of which the largest is `cover_most`.
#: whole: one output, whose window is the plane
SPREAD = Words(
    "out grad scratch areas area_size channels in_d in_h in_w out_d out_h out_w grad_n grad_c grad_d "
    "grad_h grad_w "
    "divisor_d divisor_h divisor_w cover_d cover_h cover_w "
    "cover_length cover_most whole"
)


@native
def scaled_plane(G, p, grad: ptr(G.T), to: ptr(G.S)):
    """to = the gradient of each output divided by the size of its window."""
    for d in range(p[SPREAD.out_d]):
        for h in range(p[SPREAD.out_h]):
            each = p[p[SPREAD.divisor_d] + d] * p[p[SPREAD.divisor_h] + h]
            row = grad + (d * p[SPREAD.grad_d] + h * p[SPREAD.grad_h])
            for w in range(0, p[SPREAD.out_w], G.L):
                left = min(p[SPREAD.out_w] - w, i64(G.L))
                value = load_lanes(G, row + w * p[SPREAD.grad_w], p[SPREAD.grad_w], i64(0), left)
                counts = vec(G.S, G.L)(load(p + (p[SPREAD.divisor_w] + w), vec(i64, G.L)) * each)
                store(to + w, value / counts)
            to = to + p[SPREAD.out_w]


@native
def average_gradient(frame: ptr(i64), p: ptr(i64), begin: i64, end: i64):
    """Each input takes the gradients of the windows that hold it; a unit is a plane."""
    flags = bitcast(frame[p[SPREAD.scratch]], ptr(i64))
    area = take_area(flags, p[SPREAD.areas])
    scaled = bitcast(flags + p[SPREAD.areas] * FLAG_WORDS, ptr(G.S)) + area * p[SPREAD.area_size]
    for unit in range(begin, end):
        n = unit // p[SPREAD.channels]
        c = unit % p[SPREAD.channels]
        grad = bitcast(frame[p[SPREAD.grad]], ptr(G.T)) + (n * p[SPREAD.grad_n] + c * p[SPREAD.grad_c])
        scaled_plane(G, p, grad, scaled)
        to = bitcast(frame[p[SPREAD.out]], ptr(G.T)) + unit * (
            p[SPREAD.in_d] * p[SPREAD.in_h] * p[SPREAD.in_w]
        )
        if p[SPREAD.whole] != 0:
            fill_plane(G, to, splat(scaled[0], G.L), p[SPREAD.in_d] * p[SPREAD.in_h] * p[SPREAD.in_w])
        else:
            for d in range(p[SPREAD.in_d]):
                for h in range(p[SPREAD.in_h]):
                    spread_row(G, p, scaled, to, d, h)
                    to = to + p[SPREAD.in_w]
    leave_area(flags, area)


@native
def spread_row(G, p, scaled: ptr(G.S), to: ptr(G.T), d, h):
    cover_d = p + (p[SPREAD.cover_d] + 2 * d)
    cover_h = p + (p[SPREAD.cover_h] + 2 * h)
    for x in range(0, p[SPREAD.in_w], G.L):
        total = splat(G.S(0), G.L)
        covers = p + (p[SPREAD.cover_w] + x)
        first = vec(i32, G.L)(load(covers, vec(i64, G.L)))
        counts = vec(i32, G.L)(load(covers + p[SPREAD.cover_length], vec(i64, G.L)))
        for z in range(cover_d[0], cover_d[0] + cover_d[1]):
            for y in range(cover_h[0], cover_h[0] + cover_h[1]):
                row = scaled + (z * p[SPREAD.out_h] + y) * p[SPREAD.out_w]
                for k in range(p[SPREAD.cover_most]):
                    total = total + gather_lanes(row + k, first, counts > i32(k))
        store_masked(to + x, total, first_lanes(p[SPREAD.in_w] - x, G.L))
