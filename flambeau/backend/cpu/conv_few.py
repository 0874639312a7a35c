"""Convolutions with few output pixels, whose weights are as large as the rest or larger: one image at a time.

The pixels of all samples fill the lanes of a few vectors. What they read is laid out as a matrix of columns,
a row for each channel and tap; the product then reads every weight once, from where it lies, and multiplies
it with vectors of that row. Nothing is packed but the pixels.

    columns[k, p] = input[channel of k, pixel p moved by the tap of k]
    out[row, p] = sum over k of weight[row, k] * columns[k, p]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from math import prod

from . import conv_forms as forms
from .conv_geometry import Axis, Phase
from .conv_kernels import Words
from .conv_lanes import first_lanes, lane_mask, load_masked, store_masked
from .conv_plan import (
    SHARE,
    Layout,
    Sweep,
    Tables,
    channel_bounds,
    kernel,
    lanes_of,
    swept_cycles,
    tile_shapes,
)
from .native import bitcast, fma, load, local, native, select, splat, store, unroll
from .pieces import Cut, Cuts
from .types import Type, i64, ptr, vec

#: most (tap, pixel) pairs in the tables of a schedule
MOST_PAIRS = 1 << 16


@dataclass(frozen=True)
class Statics:
    """Template arguments of the kernels, called `G` in them."""

    S: Type  # type of everything
    L: int  # lanes of a vector
    MR: int = 0  # output channels of a tile
    NV: int = 0  # vectors of a tile
    LAST: int = 0  # vectors of the last tile
    FLAT: bool = True  # the weights of an output channel lie in the order of the columns

    def key(self) -> str:
        """Text that tells kernels apart in the cache."""
        return "|".join(map(str, (self.S, self.L, self.MR, self.NV, self.LAST, self.FLAT)))


#: stands for the template arguments in the kernels' annotations
G = Statics(None, 0)  # type: ignore[arg-type]

# -- columns ------------------------------------------------------------------------------------------------

COLUMNS = Words("source scratch to channel_step taps pieces table")
#: words of a piece: its vectors, and the elements before it for each channel and tap
PIECE = 2
#: words of a vector of a column: lane mask and offset of a run of memory, how many further runs or (where
#: negative) single elements there are, and where their masks or lanes and their offsets are listed
RUN = 4


@native
def fill_columns(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """The rows of the column matrices that belong to some channels."""
    taps, step = params[COLUMNS.taps], params[COLUMNS.channel_step]
    matrix = bitcast(frame[params[COLUMNS.scratch]], ptr(G.S)) + params[COLUMNS.to]
    piece = params + params[COLUMNS.table]
    first = piece + PIECE * params[COLUMNS.pieces]
    for _ in range(params[COLUMNS.pieces]):
        source = bitcast(frame[params[COLUMNS.source]], ptr(G.S)) + begin * step
        to = matrix + (piece[1] + begin * taps * piece[0] * G.L)
        for _ in range(begin, end):
            run = first
            for _ in range(taps * piece[0]):
                fill_vector(G, params, source, to, run)
                run = run + RUN
                to = to + G.L
            source = source + step
        first = first + RUN * taps * piece[0]
        piece = piece + PIECE


@native
def fill_vector(G, params, source, to, run):
    """The lanes of one vector of pixels, from runs of memory or one by one; padding is zero."""
    value = load_masked(source + run[1], vec(G.S, G.L), lane_mask(run[0], G.L))
    if run[2] != 0:
        place = params + run[3]
        for k in range(run[2]):
            mask = lane_mask(place[2 * k], G.L)
            value = select(mask, load_masked(source + place[2 * k + 1], vec(G.S, G.L), mask), value)
    store(to, value)
    if run[2] < 0:
        place = params + run[3]
        for k in range(-run[2]):
            to[place[2 * k]] = source[place[2 * k + 1]]


# -- the product --------------------------------------------------------------------------------------------

FEW = Words(
    "out columns columns_at weight bias blocks rows channels row_step channel_step group_step taps offsets "
    "out_c vectors splits table"
)
#: words of a vector of pixels: its place in a column, the distances of columns and of groups of columns, the
#: lanes used, whether they are one run of the output, the offset of that run or where all offsets are listed
PIXELS = 6


@native
def tile(
    G, weights, row_step, left, columns, pixels, bias, channels, channel_step, taps, offsets, acc, COUNT
):
    """acc = bias + weight * columns for MR rows and COUNT vectors; rows from `left` on repeat the last."""
    step = pixels[1]
    places = local(ptr(G.S), G.MR)
    for r in unroll(G.MR):
        row = min(i64(r), left - 1)
        places[r] = weights + row * row_step
        first = splat(bias[r], G.L)
        for j in unroll(COUNT):
            acc[r * COUNT + j] = first
    starts = local(ptr(G.S), COUNT)
    for j in unroll(COUNT):
        starts[j] = columns + pixels[PIXELS * j]
    for _ in range(channels):
        for t in range(taps):
            offset = t
            if not G.FLAT:
                offset = offsets[t]
            column = [load(starts[j], vec(G.S, G.L)) for j in unroll(COUNT)]
            for r in unroll(G.MR):
                w = splat(places[r][offset], G.L)
                for j in unroll(COUNT):
                    acc[r * COUNT + j] = fma(w, column[j], acc[r * COUNT + j])
            for j in unroll(COUNT):
                starts[j] = starts[j] + step
        for r in unroll(G.MR):
            places[r] = places[r] + channel_step


@native
def store_lanes(G, value, to, pixels, params):
    """Write a vector of results of one output channel; `to` is where the channel starts.

    pixels: where they go (`PIXELS`), `params` what its tables are counted from.
    """
    if pixels[4] != 0:
        store_masked(to + pixels[5], value, first_lanes(pixels[3], G.L))
    else:
        lanes = local(G.S, G.L)
        store(lanes, value)
        places = params + pixels[5]
        for k in range(pixels[3]):
            to[places[k]] = lanes[k]


@native
def few_pixels(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """MR output channels of a group for each task, all pixels or a share of them."""
    splits, pieces = params[FEW.splits], (params[FEW.vectors] + (G.NV - 1)) // G.NV
    rows, row_step = params[FEW.rows], params[FEW.row_step]
    blocks, vectors = params[FEW.blocks], params[FEW.vectors]
    matrix = bitcast(frame[params[FEW.columns]], ptr(G.S)) + params[FEW.columns_at]
    weight = bitcast(frame[params[FEW.weight]], ptr(G.S))
    out = bitcast(frame[params[FEW.out]], ptr(G.S))
    offsets = params + params[FEW.offsets]
    bias = local(G.S, G.MR)
    acc = local(vec(G.S, G.L), G.MR * G.NV)
    for task in range(begin, end):
        unit = task // splits
        share = task - unit * splits
        group = unit // blocks
        row = (unit - group * blocks) * G.MR
        here = min(i64(G.MR), rows - row)
        for r in unroll(G.MR):
            bias[r] = G.S(0)
        if params[FEW.bias] >= 0:
            given = bitcast(frame[params[FEW.bias]], ptr(G.S)) + (group * rows + row)
            for r in range(here):
                bias[r] = given[r]
        weights = weight + (group * params[FEW.group_step] + row * row_step)
        place = out + (group * rows + row) * params[FEW.out_c]
        first = pieces * share // splits * G.NV
        pixels = params + (params[FEW.table] + PIXELS * first)
        for v in range(first, min(vectors, pieces * (share + 1) // splits * G.NV), G.NV):
            columns = matrix + group * pixels[2]
            if v + G.NV <= vectors:
                tile(G, weights, row_step, here, columns, pixels, bias, params[FEW.channels],
                     params[FEW.channel_step], params[FEW.taps], offsets, acc, G.NV)  # fmt: skip
                store_tile(G, params, acc, place, pixels, here, G.NV)
            elif G.LAST > 0:
                tile(G, weights, row_step, here, columns, pixels, bias, params[FEW.channels],
                     params[FEW.channel_step], params[FEW.taps], offsets, acc, G.LAST)  # fmt: skip
                store_tile(G, params, acc, place, pixels, here, G.LAST)
            pixels = pixels + PIXELS * G.NV


@native
def store_tile(G, params, acc, place, pixels, here, COUNT):
    for r in unroll(G.MR):
        if r < here:
            for j in unroll(COUNT):
                to = place + r * params[FEW.out_c]
                store_lanes(G, acc[r * COUNT + j], to, pixels + PIXELS * j, params)


# -- plans --------------------------------------------------------------------------------------------------


@dataclass
class Pixels:
    """The outputs of one phase in the order of lanes, and what each of them reads."""

    outputs: list[int]  # element offset of each output, without its channel
    taps: list[int]  # index in the kernel of each tap
    reads: list[list[int | None]] = field(
        default_factory=list
    )  # for each tap the offset that each output reads


def _coordinates(axis: Axis, phase: Phase) -> list[tuple[int, list[int | None]]]:
    """(index in the kernel, coordinate that each output reads, None in the padding) of each tap."""
    found = []
    for image, q, index in phase.taps:
        places = [axis.step * (i + q) + axis.images[image] for i in range(phase.count)]
        found.append((index, [x if 0 <= x < axis.size else None for x in places]))
    return found


def pixels_of(sweep: Sweep, phases: tuple[Phase, Phase, Phase]) -> Pixels:
    axes, source, out = sweep.volume.axes, sweep.source, sweep.out
    counts = [range(p.count) for p in phases]
    starts = [
        [(p.start + i * a.out_step) * s for i in range(p.count)]
        for p, a, s in zip(phases, axes, out.strides[2:])
    ]
    outputs = [
        n * out.strides[0] + sum(d)
        for n in range(sweep.samples)
        for d in product(*starts)
    ]  # fmt: skip
    kernel = sweep.weights.kernel
    made = Pixels(outputs, [])
    for (kd, z), (kh, y), (kw, x) in product(*(_coordinates(a, p) for a, p in zip(axes, phases))):
        made.taps.append((kd * kernel[1] + kh) * kernel[2] + kw)
        places = []
        for d, h, w in product(*counts):
            at = (z[d], y[h], x[w])
            inside = [a * s for a, s in zip(at, source.strides[2:]) if a is not None]
            places.append(sum(inside) if len(inside) == 3 else None)
        made.reads.append([None if p is None else n * source.strides[0] + p
                           for n in range(sweep.samples) for p in places])  # fmt: skip
    return made


def _runs(offsets: list[int | None]) -> list[tuple[int, int]]:
    """(lane mask, offset of lane 0) of each set of lanes that read consecutive elements."""
    masks: dict[int, int] = {}
    for lane, place in enumerate(offsets):
        if place is not None:
            masks[place - lane] = masks.get(place - lane, 0) | 1 << lane
    return [(mask, start) for start, mask in masks.items()]


def count_of(sweep: Sweep) -> int:
    """Pixels of the longest phase, all samples together."""
    return sweep.samples * prod(a.count for a in sweep.volume.axes)


def tile_of(rows: int, vectors: int) -> tuple[int, int]:
    """(output channels, vectors) of a tile: evenly shared, within the registers."""
    wide = len(tile_shapes()) == 4
    passes = -(-vectors // (4 if wide else 2))
    width = -(-vectors // passes)
    most = (8, 8, 8, 6)[width - 1] if wide else (8, 6)[width - 1]
    return -(-rows // -(-rows // most)), width


def pays(sweep: Sweep) -> bool:
    """Whether the weights should be read from where they lie."""
    element, lanes = sweep.source.type, lanes_of(sweep.source.type)
    if any(t is not element for t in (element.register, sweep.weights.type, sweep.out.type)):
        return False
    pixels, weights = count_of(sweep), sweep.weights
    vectors, terms = -(-pixels // lanes), weights.channels * prod(weights.kernel)
    if pixels * terms == 0 or prod(weights.kernel) * pixels > MOST_PAIRS:
        return False
    if sweep.groups * terms * vectors * lanes * element.bytes > forms.COLUMN_BYTES:
        return False
    mr, _ = tile_of(weights.rows, vectors)
    few = forms.few_cycles(terms, -(-weights.rows // mr) * mr, vectors, fill_cycles(sweep, lanes))
    return few < swept_cycles(sweep)


def fill_cycles(sweep: Sweep, lanes: int) -> float:
    axes, width = sweep.volume.axes, sweep.volume.axes[2]
    if not (width.step == 1 and width.count == width.size and sweep.source.planar()):
        return forms.fill_cycles(width.count, width.step, lanes)
    plane = prod(a.count for a in axes)
    if sweep.weights.kernel == (1, 1, 1) and plane == prod(a.size for a in axes) and plane % lanes == 0:
        return 0.0  # read in place
    return forms.fill_cycles(0, 1, lanes)


def few_steps(sweep: Sweep) -> tuple[list, int, Cuts | None]:
    """Steps (address, words, n, chunk) of a convolution of few pixels, their bytes of scratch, and what a task makes."""
    from . import conv_dots

    layout, steps, cuts = Layout(sweep.source.type), [], None
    for phases in sweep.volume.phases():
        pixels = pixels_of(sweep, phases)
        if not pixels.outputs:
            continue
        form = conv_dots.dot_steps if conv_dots.pays(sweep, pixels) else _phase_steps
        made, cuts = form(sweep, layout, pixels)
        steps += made
    return steps, layout.bytes, cuts


def cuts_of(sweep: Sweep, rows: int, shares: list[int]) -> Cuts | None:
    """What a task makes, when the last phase is done: so many channels, of the pixels of all samples a share."""
    places = sweep.samples * prod(sweep.out.shape[2:])
    starts = list(range(0, sweep.weights.rows, rows))
    channels = Cut(len(shares) - 1, channel_bounds(sweep.groups, sweep.weights.rows, starts))
    if len(shares) > 2 and shares[-1] < places:  # shares of one phase
        return None
    return Cuts(Cut(1, shares if len(shares) > 2 else [0, places]), channels)


def _phase_steps(sweep: Sweep, layout: Layout, pixels: Pixels) -> tuple[list, Cuts | None]:
    lanes, count = lanes_of(sweep.source.type), len(pixels.outputs)
    taps, weights = len(pixels.taps), sweep.weights
    cut = [slice(v, v + lanes) for v in range(0, count, lanes)]
    mr, nv = tile_of(weights.rows, len(cut))
    runs = [[_runs(reads[lane]) for lane in cut] for reads in pixels.reads]
    full = (1 << lanes) - 1
    in_place = taps == 1 and all(len(one) == 1 and one[0][0] == full for one in runs[0])
    flat = pixels.taps == list(range(prod(weights.kernel))) and weights.channel_step == taps
    rows = sweep.groups * weights.channels * taps
    at = 0 if in_place else layout.take(rows * len(cut) * lanes)
    tables = Tables(FEW.size)
    starts = [one[0][1] for one in runs[0]] if in_place else None
    table = _pixel_words(sweep, pixels, cut, nv, starts, tables)
    blocks = -(-weights.rows // mr)
    units, work = sweep.groups * blocks, rows * weights.rows * len(cut) * lanes
    splits = min(-(-len(cut) // nv), -(-8 // units)) if work >= 4 * SHARE else 1
    words = {
        "out": sweep.out.slot, "columns": sweep.source.slot if in_place else sweep.scratch_slot,
        "columns_at": at, "weight": weights.slot, "bias": weights.bias_slot, "blocks": blocks,
        "rows": weights.rows,
        "channels": 1 if flat else weights.channels, "row_step": weights.row_step,
        "channel_step": weights.channel_step, "group_step": weights.group_step,
        "taps": taps * weights.channels if flat else taps, "offsets": tables.add(pixels.taps),
        "out_c": sweep.out.strides[1], "vectors": len(cut), "splits": splits, "table": tables.add(table),
    }  # fmt: skip
    statics = Statics(sweep.source.type, lanes, mr, nv, len(cut) % nv, flat)
    tasks = units * splits
    steps = [] if in_place or not taps else [_columns_step(sweep, at, nv, pixels, runs)]
    steps.append((kernel(few_pixels, statics), FEW.block(words) + tables.words, tasks, chunk_of(tasks, work)))
    pieces = -(-len(cut) // nv)
    shares = [min(count, pieces * share // splits * nv * lanes) for share in range(splits + 1)]
    return steps, cuts_of(sweep, mr, shares)


def _pixel_words(
    sweep: Sweep, pixels: Pixels, cut: list[slice], nv: int, starts, tables: Tables
) -> list[int]:
    """The vectors of pixels (`PIXELS`). starts: of what they read, where it is read in place."""
    lanes, channels, found = lanes_of(sweep.source.type), sweep.weights.channels, []
    terms = channels * len(pixels.taps)
    for number, lane in enumerate(cut):
        if starts is not None:
            step = sweep.source.strides[1]
            found += [starts[number], step, step * channels]
        else:
            piece = number // nv * nv
            step = min(nv, len(cut) - piece) * lanes
            found += [(sweep.groups * terms * piece + number - piece) * lanes, step, step * terms]
        outputs = pixels.outputs[lane]
        one = outputs == list(range(outputs[0], outputs[0] + len(outputs)))
        found += [len(outputs), int(one), outputs[0] if one else tables.add(outputs)]
    return found


def _columns_step(sweep: Sweep, at: int, nv: int, pixels: Pixels, runs: list) -> tuple:
    lanes, tables = lanes_of(sweep.source.type), Tables(COLUMNS.size)
    pieces: list[int] = []
    table: list[int] = []
    rows = sweep.groups * sweep.weights.channels * len(runs)
    vectors = len(runs[0])
    for piece in range(0, vectors, nv):
        each = range(piece, min(piece + nv, vectors))
        pieces += [len(each), rows * piece * lanes]
        for reads, found in zip(pixels.reads, runs):
            for v in each:
                table += _fill_words(reads[v * lanes : (v + 1) * lanes], found[v], tables)
    channels = sweep.groups * sweep.weights.channels
    words = {
        "source": sweep.source.slot, "scratch": sweep.scratch_slot, "to": at,
        "channel_step": sweep.source.strides[1], "taps": len(runs), "pieces": len(pieces) // PIECE,
        "table": tables.add(pieces + table),
    }  # fmt: skip
    statics = Statics(sweep.source.type, lanes)
    work = rows * vectors * lanes * 4
    return (
        kernel(fill_columns, statics),
        COLUMNS.block(words) + tables.words,
        channels,
        chunk_of(channels, work),
    )


def _fill_words(reads: list[int | None], runs: list[tuple[int, int]], tables: Tables) -> list[int]:
    """How a vector of a column is filled (`RUN`): by runs, unless they are hardly longer than an element."""
    if len(runs) > 6:
        listed = [(lane, place) for lane, place in enumerate(reads) if place is not None]
        return [0, 0, -len(listed), tables.add([x for pair in listed for x in pair])]
    if not runs:
        return [0, 0, 0, 0]
    return [*runs[0], len(runs) - 1, tables.add([x for run in runs[1:] for x in run]) if runs[1:] else 0]


def chunk_of(tasks: int, work: int) -> int:
    """Tasks that are taken at once: all if there is little to do, else so many that a few chunks arise."""
    return tasks if work < SHARE else max(1, min(SHARE * tasks // work, tasks // 2))
