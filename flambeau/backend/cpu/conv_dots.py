"""Convolutions with so few pixels that they cannot fill a vector: lanes run over channels and taps instead.

As in `conv_few` every weight is read once from where it lies; here it is multiplied lane by lane with the
numbers that a pixel reads, which lie in the same order, and the lanes are added up at the end.
"""

from __future__ import annotations

from math import prod

from . import conv_forms as forms
from .conv_few import PIXELS, Pixels, Statics, chunk_of, cuts_of, fill_cycles, store_lanes
from .conv_kernels import Words
from .conv_lanes import first_lanes, load_masked, sum_lanes
from .conv_plan import Layout, Sweep, Tables, kernel, lanes_of
from .native import bitcast, fma, load, local, native, splat, store, unroll
from .pieces import Cuts
from .types import i64, ptr, vec

#: stands for the template arguments in the kernels' annotations: MR output channels times NV pixels
G = Statics(None, 0)  # type: ignore[arg-type]

GATHER = Words("source scratch to channel_step channels taps pixels room table")


@native
def gather_pixels(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """What each pixel reads of some channels; the table lists offsets of its taps, -1 in the padding."""
    taps, pixels, room = params[GATHER.taps], params[GATHER.pixels], params[GATHER.room]
    matrix = bitcast(frame[params[GATHER.scratch]], ptr(G.S)) + params[GATHER.to]
    source = bitcast(frame[params[GATHER.source]], ptr(G.S))
    channels = params[GATHER.channels]
    for one in range(begin, end):
        group = one // channels
        plane = source + one * params[GATHER.channel_step]
        to = matrix + (group * pixels * room + (one - group * channels) * taps)
        offsets = params + params[GATHER.table]
        for _ in range(pixels):
            for t in range(taps):
                if offsets[t] >= 0:
                    to[t] = plane[offsets[t]]
                else:
                    to[t] = G.S(0)
            offsets = offsets + taps
            to = to + room


DOTS = Words(
    "out columns columns_at weight bias blocks rows terms row_step group_step room group_room count out_c "
    "table"
)


@native
def dots(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """MR output channels of a group for each task, all pixels."""
    rows, blocks, count = params[DOTS.rows], params[DOTS.blocks], params[DOTS.count]
    matrix = bitcast(frame[params[DOTS.columns]], ptr(G.S)) + params[DOTS.columns_at]
    weight = bitcast(frame[params[DOTS.weight]], ptr(G.S))
    out = bitcast(frame[params[DOTS.out]], ptr(G.S))
    results = local(G.S, G.MR * (G.L + G.NV))
    for task in range(begin, end):
        group = task // blocks
        row = (task - group * blocks) * G.MR
        here = min(i64(G.MR), rows - row)
        weights = weight + (group * params[DOTS.group_step] + row * params[DOTS.row_step])
        for p in range(0, count, G.NV):
            columns = matrix + (group * params[DOTS.group_room] + p * params[DOTS.room])
            dot_tile(G, params, weights, columns, here, count - p, results + p, min(G.L, G.MR * G.NV))
        for r in range(here):
            value = load(results + r * (G.L + G.NV), vec(G.S, G.L))
            if params[DOTS.bias] >= 0:
                bias = bitcast(frame[params[DOTS.bias]], ptr(G.S))
                value = value + splat(bias[group * rows + row + r], G.L)
            to = out + (group * rows + row + r) * params[DOTS.out_c]
            store_lanes(G, value, to, params + params[DOTS.table], params)


@native
def dot_tile(G, params, weights, columns, left_rows, left_pixels, results, EACH):
    """MR x NV sums; rows and pixels past the last repeat it."""
    terms = params[DOTS.terms]
    acc = local(vec(G.S, G.L), G.MR * G.NV)
    for k in unroll(G.MR * G.NV):
        acc[k] = splat(G.S(0), G.L)
    lines, places = local(ptr(G.S), G.MR), local(ptr(G.S), G.NV)
    for r in unroll(G.MR):
        lines[r] = weights + min(i64(r), left_rows - 1) * params[DOTS.row_step]
    for j in unroll(G.NV):
        places[j] = columns + min(i64(j), left_pixels - 1) * params[DOTS.room]
    k = i64(0)
    while k + G.L <= terms:
        column = [load(places[j] + k, vec(G.S, G.L)) for j in unroll(G.NV)]
        for r in unroll(G.MR):
            w = load(lines[r] + k, vec(G.S, G.L))
            for j in unroll(G.NV):
                acc[r * G.NV + j] = fma(w, column[j], acc[r * G.NV + j])
        k += G.L
    if k < terms:
        mask = first_lanes(terms - k, G.L)
        column = [load_masked(places[j] + k, vec(G.S, G.L), mask) for j in unroll(G.NV)]
        for r in unroll(G.MR):
            w = load_masked(lines[r] + k, vec(G.S, G.L), mask)
            for j in unroll(G.NV):
                acc[r * G.NV + j] = fma(w, column[j], acc[r * G.NV + j])
    sums = local(G.S, G.MR * G.NV)
    for first in unroll(G.MR * G.NV // EACH):
        store(sums + first * EACH, sum_lanes([acc[first * EACH + n] for n in unroll(EACH)]))
    for r in unroll(G.MR):
        for j in unroll(G.NV):
            results[r * (G.L + G.NV) + j] = sums[r * G.NV + j]


def pays(sweep: Sweep, pixels: Pixels) -> bool:
    """Whether the lanes run over channels and taps. The weights must lie in their order."""
    weights, taps = sweep.weights, len(pixels.taps)
    flat = taps and pixels.taps == list(range(prod(weights.kernel))) and weights.channel_step == taps
    count, lanes = len(pixels.outputs), lanes_of(sweep.source.type)
    if not flat or count > lanes // 2:
        return False
    terms = weights.channels * taps
    few = forms.few_cycles(terms, weights.rows, 1, fill_cycles(sweep, lanes))
    gather = _step_in_place(sweep, pixels) is None
    return forms.dots_cycles(terms, weights.rows, count, lanes, gather) < few


def _step_in_place(sweep: Sweep, pixels: Pixels) -> int | None:
    """The distance of pixels whose channels lie side by side, so that they need not be gathered."""
    reads = pixels.reads[0]
    if len(pixels.taps) > 1 or sweep.source.strides[1] != 1 or None in reads:
        return None
    places = [place for place in reads if place is not None]
    step = places[1] - places[0] if len(places) > 1 else 0
    return step if places == [places[0] + k * step for k in range(len(places))] else None


def dot_steps(sweep: Sweep, layout: Layout, pixels: Pixels) -> tuple[list, Cuts | None]:
    """Steps of one phase, whose weights lie in the order of channels and taps."""
    lanes, count, taps = lanes_of(sweep.source.type), len(pixels.outputs), len(pixels.taps)
    weights, groups = sweep.weights, sweep.groups
    terms = weights.channels * taps
    step = _step_in_place(sweep, pixels)
    in_place, room = step is not None, -(-terms // lanes) * lanes if step is None else step
    at = layout.take(0 if in_place else groups * count * room)
    mr, nv = tile_of(weights.rows, count)
    tables = Tables(DOTS.size)
    run = [to - pixels.outputs[0] for to in pixels.outputs] == list(range(count))
    pixel = [0, 0, 0, count, int(run), pixels.outputs[0] if run else tables.add(pixels.outputs)]
    assert len(pixel) == PIXELS
    blocks = -(-weights.rows // mr)
    words = {
        "out": sweep.out.slot, "columns": sweep.source.slot if in_place else sweep.scratch_slot,
        "columns_at": pixels.reads[0][0] if in_place else at,
        "weight": weights.slot, "bias": weights.bias_slot,
        "blocks": blocks, "rows": weights.rows, "terms": terms, "row_step": weights.row_step,
        "group_step": weights.group_step, "room": room, "group_room": terms if in_place else count * room,
        "count": count,
        "out_c": sweep.out.strides[1], "table": tables.add(pixel),
    }  # fmt: skip
    statics = Statics(sweep.source.type, lanes, mr, nv)
    tasks = groups * blocks
    work = groups * weights.rows * terms * count
    steps = [] if in_place else [_gather_step(sweep, at, room, pixels)]
    steps.append((kernel(dots, statics), DOTS.block(words) + tables.words, tasks, chunk_of(tasks, work)))
    return steps, cuts_of(sweep, mr, [0, count])


def tile_of(rows: int, count: int) -> tuple[int, int]:
    """(output channels, pixels) of a tile: powers of two, so that the lanes of all are added up together."""
    width = 1 if count == 1 else 2 if count == 2 else 4
    most = 8 if width < 4 else 4
    return min(most, 1 << max(0, rows - 1).bit_length()), width


def _gather_step(sweep: Sweep, at: int, room: int, pixels: Pixels) -> tuple:
    tables = Tables(GATHER.size)
    count, taps, channels = len(pixels.outputs), len(pixels.taps), sweep.weights.channels
    found = [reads[p] for p in range(count) for reads in pixels.reads]
    words = {
        "source": sweep.source.slot, "scratch": sweep.scratch_slot, "to": at,
        "channel_step": sweep.source.strides[1], "channels": channels, "taps": taps, "pixels": count,
        "room": room, "table": tables.add([-1 if place is None else place for place in found]),
    }  # fmt: skip
    statics = Statics(sweep.source.type, lanes_of(sweep.source.type))
    every = channels * sweep.groups
    chunk = chunk_of(every, every * taps * count * 40)
    return kernel(gather_pixels, statics), GATHER.block(words) + tables.words, every, chunk
