"""Kernels of the convolution: packing of operands, the register tile that sweeps over taps, and finishing passes.

Parameters reach a kernel as int64 words, numbered by name in `Words`; sizes and strides are run-time values, element
types and tile sizes are template arguments (capitals).
"""

from __future__ import annotations

from dataclasses import dataclass

from .conv_lanes import compress, first_lanes, lane_mask, lanes_between, load_masked, store_masked
from .native import atomic_store, atomic_swap, bitcast, fma, load, local, native, pause, shuffle, splat, store, unroll
from .types import f64, i64, ptr, vec


class Words:
    """Numbers the words of a parameter block: ``Words("a b").b == 1``."""

    def __init__(self, names: str):
        self.names = tuple(names.split())
        for number, name in enumerate(self.names):
            setattr(self, name, number)

    def block(self, values: dict, tables: list[int] = ()) -> list[int]:
        """The words in order, followed by tables."""
        assert set(values) == set(self.names), set(values) ^ set(self.names)
        return [*(values[n] for n in self.names), *tables]


@dataclass(frozen=True)
class Statics:
    """Template arguments of the kernels, called `G` in them."""

    S: object = None  # type of scratch and arithmetic
    T: object = None  # type of the operand that is read
    W: object = None  # type of the weights
    R: object = None  # type of the result
    L: int = 0  # lanes of a vector
    MR: int = 0  # rows (output channels) of a tile
    NV: int = 0  # vectors of a tile
    COMPRESS: bool = True  # store vectors straight to the output, else through scratch rows
    EPILOGUE: object = None  # ScalarFunction applied to each result
    SCALARS: tuple = ()  # kinds of the epilogue's scalars

    def key(self) -> str:
        """Text that tells kernels apart in the cache."""
        epilogue = self.EPILOGUE.fingerprint() if self.EPILOGUE else ""
        listed = [self.S, self.T, self.W, self.R, self.L, self.MR, self.NV, self.COMPRESS, self.SCALARS]
        return "|".join([*map(str, listed), epilogue])

#: stands for the template arguments in the kernels' annotations
G = Statics()

#: one 64-byte line of flags per scratch area, at the start of the scratch buffer
FLAG_WORDS = 8

# -- areas of scratch, one for each thread at work ------------------------------------------------------------


@native
def take_area(flags: ptr(i64), count: i64):
    """Number of a scratch area that no other thread uses; waits for one if need be."""
    area = i64(0)
    while atomic_swap(flags + area * FLAG_WORDS, 1) != 0:
        area += 1
        if area == count:
            area = i64(0)
            pause()
    return area


@native
def free_areas(flags: ptr(i64), count: i64):
    for k in range(count):
        flags[k * FLAG_WORDS] = 0


# -- weights ---------------------------------------------------------------------------------------------------

WEIGHTS = Words(
    "weight bias scratch areas packed bias_at groups blocks rows channels row_step channel_step group_step "
    "phases phase_table"
)
#: words of one entry of the phase table: number of taps, first word of their kernel offsets, place in the packed weights
PHASE_WEIGHTS = 3


@native
def pack_weights(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """weight[row, channel, tap] -> packed[unit][channel][tap][G.MR], a unit being G.MR rows of one group; also the bias."""
    scratch = bitcast(frame[params[WEIGHTS.scratch]], ptr(i64))
    if begin == 0:
        free_areas(scratch, params[WEIGHTS.areas])
    base = bitcast(scratch, ptr(G.S))
    packed = base + params[WEIGHTS.packed]
    bias_at = base + params[WEIGHTS.bias_at]
    weight = bitcast(frame[params[WEIGHTS.weight]], ptr(G.W))
    blocks = params[WEIGHTS.blocks]
    rows = params[WEIGHTS.rows]
    channels = params[WEIGHTS.channels]
    row_step = params[WEIGHTS.row_step]
    channel_step = params[WEIGHTS.channel_step]
    for unit in range(begin, end):
        group = unit // blocks
        row = (unit - group * blocks) * G.MR
        here = min(i64(G.MR), rows - row)
        if params[WEIGHTS.bias] >= 0:
            bias = bitcast(frame[params[WEIGHTS.bias]], ptr(G.W)) + (group * rows + row)
            for r in range(here):
                bias_at[unit * G.MR + r] = G.S(bias[r])
        else:
            for r in range(here):
                bias_at[unit * G.MR + r] = G.S(0)
        for r in range(here, G.MR):
            bias_at[unit * G.MR + r] = G.S(0)
        for phase in range(params[WEIGHTS.phases]):
            entry = params + (params[WEIGHTS.phase_table] + phase * PHASE_WEIGHTS)
            taps = entry[0]
            offsets = params + entry[1]
            to = packed + (entry[2] + unit * channels * taps * G.MR)
            source = weight + (group * params[WEIGHTS.group_step] + row * row_step)
            pack_unit(G, source, to, here, channels, taps, offsets, row_step, channel_step)


@native
def pack_unit(G, source: ptr(G.W), to: ptr(G.S), here: i64, channels: i64, taps: i64, offsets: ptr(i64), row_step: i64,
              channel_step: i64):  # fmt: skip
    for c in range(channels):
        for t in range(taps):
            place = source + (c * channel_step + offsets[t])
            if here == G.MR:
                for r in unroll(G.MR):
                    to[r] = G.S(place[r * row_step])
            else:
                for r in range(here):
                    to[r] = G.S(place[r * row_step])
                for r in range(here, G.MR):
                    to[r] = G.S(0)
            to = to + G.MR


# -- the padded image ------------------------------------------------------------------------------------------

IMAGE = Words(
    "channels samples channel_step sample_step depth_step height_step depth_size height_size depth_stride height_stride "
    "width_stride depth_low height_low planes rows pitch width depth_images height_images width_images "
    "residues width"
)
#: `residues` leads to the residues of the depth and height images, then (zeros, elements, first) of each width image


@native
def copy_row(G, source: ptr(G.T), to: ptr(G.S), zeros: i64, count: i64, width: i64, stride: i64):
    """to[0:width] = zeros, then `count` elements at distance `stride`, then zeros; may write a vector further."""
    if stride == 1:
        for v in range(0, width, G.L):
            mask = lanes_between(zeros - v, zeros + count - v, G.L)
            store(to + v, vec(G.S, G.L)(load_masked(source + (v - zeros), vec(G.T, G.L), mask)))
    elif stride == 2:
        for v in range(0, width, G.L):
            move = 2 * (v - zeros)
            low = vec(G.S, G.L)(load_masked(source + move, vec(G.T, G.L), lanes_between(-move, 2 * count - 1 - move, G.L)))
            move += G.L
            high = vec(G.S, G.L)(load_masked(source + move, vec(G.T, G.L), lanes_between(-move, 2 * count - 1 - move, G.L)))
            store(to + v, shuffle(low, high, [2 * k for k in range(G.L)]))
    else:
        for k in range(zeros):
            to[k] = G.S(0)
        for k in range(count):
            to[zeros + k] = G.S(source[k * stride])
        for k in range(zeros + count, width):
            to[k] = G.S(0)


@native
def pack_image(G, source: ptr(G.T), to: ptr(G.S), params: ptr(i64), image: ptr(i64), samples: i64, depth: i64, height: i64,
               planes: i64, rows: i64):  # fmt: skip
    """The rows that outputs from (depth, height) on read, all channels, padded, strided images one after another."""
    residues = params + image[IMAGE.residues]
    widths = residues + (image[IMAGE.depth_images] + image[IMAGE.height_images])
    pitch = image[IMAGE.pitch]
    width = image[IMAGE.width]
    stride = image[IMAGE.width_stride]
    height_step = image[IMAGE.height_step]
    skipped_rows = (image[IMAGE.rows] - rows) * pitch
    skipped_planes = (image[IMAGE.planes] - planes) * image[IMAGE.rows] * pitch
    skipped_samples = (image[IMAGE.samples] - samples) * (
        image[IMAGE.depth_images] * image[IMAGE.height_images] * image[IMAGE.width_images]
        * image[IMAGE.planes] * image[IMAGE.rows] * pitch
    )  # fmt: skip
    for channel in range(image[IMAGE.channels]):
        for sample in range(samples):
            plane = source + (channel * image[IMAGE.channel_step] + sample * image[IMAGE.sample_step])
            for rd in range(image[IMAGE.depth_images]):
                for rh in range(image[IMAGE.height_images]):
                    for rw in range(image[IMAGE.width_images]):
                        zeros = widths[3 * rw]
                        inside = widths[3 * rw + 1]
                        first = plane + widths[3 * rw + 2]
                        z = image[IMAGE.depth_stride] * (depth + image[IMAGE.depth_low]) + residues[rd]
                        for d in range(planes):
                            y = image[IMAGE.height_stride] * (height + image[IMAGE.height_low])
                            y += residues[image[IMAGE.depth_images] + rh]
                            in_depth = z >= 0 and z < image[IMAGE.depth_size]
                            for h in range(rows):
                                here = in_depth and y >= 0 and y < image[IMAGE.height_size]
                                count = inside if here else i64(0)
                                row = first + (z * image[IMAGE.depth_step] + y * height_step)
                                copy_row(G, row, to, zeros, count, width, stride)
                                to = to + pitch
                                y += image[IMAGE.height_stride]
                            to = to + skipped_rows
                            z += image[IMAGE.depth_stride]
                        to = to + skipped_planes
            # rows past the end of a short last block stay as they are: nothing valid reads them
        to = to + skipped_samples


# -- the tile ---------------------------------------------------------------------------------------------------


@native
def tile(G, weights: ptr(G.S), bias: ptr(G.S), image: ptr(G.S), vectors: ptr(i64), channels: i64, channel_step: i64, taps: i64,
         offsets: ptr(i64), result: ptr(vec(G.S, G.L)), COUNT):  # fmt: skip
    """G.MR rows x COUNT vectors: result = bias + sum over channels and taps of weight * image, kept in registers."""
    acc = local(vec(G.S, G.L), G.MR * COUNT)
    for r in unroll(G.MR):
        first = splat(bias[r], G.L)
        for j in unroll(COUNT):
            acc[r * COUNT + j] = first
    places = local(ptr(G.S), COUNT)
    for j in unroll(COUNT):
        places[j] = image + vectors[VECTOR * j]
    for c in range(channels):
        for t in range(taps):
            offset = offsets[t]
            row = [load(places[j] + offset, vec(G.S, G.L)) for j in unroll(COUNT)]
            for r in unroll(G.MR):
                w = splat(weights[r], G.L)
                for j in unroll(COUNT):
                    acc[r * COUNT + j] = fma(w, row[j], acc[r * COUNT + j])
            weights = weights + G.MR
        for j in unroll(COUNT):
            places[j] = places[j] + channel_step
    for r in unroll(G.MR):
        for j in unroll(COUNT):
            result[r * G.NV + j] = acc[r * COUNT + j]


#: words of a vector's entry: first position, lane mask, output offset, lanes used
VECTOR = 4

SWEEP = Words(
    "out source scratch areas area_at area_size rows_at bias_at groups splits blocks rows "
    "blocks_n blocks_d blocks_h block_n block_d block_h samples depth height last_axis "
    "pack channels channel_step source_n source_d source_h source_group image "
    "out_n out_c out_d out_h out_w packed_positions phases phase_table"
)
#: words of one entry of the phase table
PHASE = Words(
    "taps offsets weights vectors table last_vectors last_table out_start depth height width "
    "pitch_n pitch_d pitch_h"
)


@native
def sweep(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Convolve blocks: a task is a block of outputs of one group, or a share of its output channels."""
    scratch = bitcast(frame[params[SWEEP.scratch]], ptr(G.S))
    area = take_area(bitcast(scratch, ptr(i64)), params[SWEEP.areas])
    mine = scratch + (params[SWEEP.area_at] + area * params[SWEEP.area_size])
    splits = params[SWEEP.splits]
    groups = params[SWEEP.groups]
    done = i64(-1)
    for task in range(begin, end):
        share = task % splits
        unit = task // splits
        group = unit % groups
        block = unit // groups
        block_h = block % params[SWEEP.blocks_h]
        rest = block // params[SWEEP.blocks_h]
        block_d = rest % params[SWEEP.blocks_d]
        block_n = rest // params[SWEEP.blocks_d]
        n = block_n * params[SWEEP.block_n]
        d = block_d * params[SWEEP.block_d]
        h = block_h * params[SWEEP.block_h]
        image = params + params[SWEEP.image]
        source = bitcast(frame[params[SWEEP.source]], ptr(G.T))
        source = source + (n * params[SWEEP.source_n] + group * params[SWEEP.source_group])
        padded = mine
        if params[SWEEP.pack] != 0:
            if done != unit:
                samples = min(params[SWEEP.block_n], params[SWEEP.samples] - n)
                planes = min(image[IMAGE.planes], params[SWEEP.depth] - d + image[IMAGE.planes] - params[SWEEP.block_d])
                rows = min(image[IMAGE.rows], params[SWEEP.height] - h + image[IMAGE.rows] - params[SWEEP.block_h])
                pack_image(G, source, mine, params, image, samples, d, h, planes, rows)
                done = unit
        else:
            padded = bitcast(source + (d * params[SWEEP.source_d] + h * params[SWEEP.source_h]), ptr(G.S))
        last = block_h == params[SWEEP.blocks_h] - 1
        if params[SWEEP.last_axis] == 1:
            last = block_d == params[SWEEP.blocks_d] - 1
        if params[SWEEP.last_axis] == 0:
            last = block_n == params[SWEEP.blocks_n] - 1
        per_share = (params[SWEEP.blocks] + splits - 1) // splits
        first_block = share * per_share
        last_block = min(first_block + per_share, params[SWEEP.blocks])
        for phase in range(params[SWEEP.phases]):
            entry = params + (params[SWEEP.phase_table] + phase * PHASE_WORDS)
            out = bitcast(frame[params[SWEEP.out]], ptr(G.R)) + (
                n * params[SWEEP.out_n] + d * params[SWEEP.out_d] + h * params[SWEEP.out_h] + entry[PHASE.out_start]
            )
            for row_block in range(first_block, last_block):
                here = min(i64(G.MR), params[SWEEP.rows] - row_block * G.MR)
                packed_unit = group * params[SWEEP.blocks] + row_block
                place = out + (group * params[SWEEP.rows] + row_block * G.MR) * params[SWEEP.out_c]
                rows_of_block(G, frame, params, entry, scratch, mine, padded, packed_unit, place, here, last, n, d, h)
    atomic_store(bitcast(scratch, ptr(i64)) + area * FLAG_WORDS, 0)


PHASE_WORDS = len(PHASE.names)


@native
def rows_of_block(G, frame, params, entry, scratch, mine, padded, packed_unit, place, here, last, n, d, h):
    """All outputs of one phase of a block, for G.MR output channels."""
    taps = entry[PHASE.taps]
    channels = params[SWEEP.channels]
    channel_step = params[SWEEP.channel_step]
    offsets = params + entry[PHASE.offsets]
    weights = scratch + (entry[PHASE.weights] + packed_unit * channels * taps * G.MR)
    bias = scratch + (params[SWEEP.bias_at] + packed_unit * G.MR)
    count = entry[PHASE.last_vectors] if last else entry[PHASE.vectors]
    table = params + (entry[PHASE.last_table] if last else entry[PHASE.table])
    result = local(vec(G.S, G.L), G.MR * G.NV)
    v = i64(0)
    while v < count:
        vectors = table + VECTOR * v
        width = min(count - v, i64(G.NV))
        for COUNT in unroll(G.NV):
            if width == COUNT + 1:
                tile(G, weights, bias, padded, vectors, channels, channel_step, taps, offsets, result, COUNT + 1)
        if G.COMPRESS:
            for r in range(here):
                for j in range(width):
                    entry_j = vectors + VECTOR * j
                    to = place + (r * params[SWEEP.out_c] + entry_j[2])
                    kept = first_lanes(entry_j[3], G.L)
                    value = compress(result[r * G.NV + j], lane_mask(entry_j[1], G.L))
                    store_masked(to, finished(G, frame, params, value), kept)
        else:
            for r in range(here):
                for j in range(width):
                    to = mine + (params[SWEEP.rows_at] + r * params[SWEEP.packed_positions] + vectors[VECTOR * j + 2])
                    store(to, result[r * G.NV + j])
        v += width
    if not G.COMPRESS:
        finish(G, frame, params, entry, mine + params[SWEEP.rows_at], place, here, n, d, h)


@native
def finished(G, frame, params, value):
    """The epilogue applied to a value (scalar or vector)."""
    if G.EPILOGUE is None:
        return value
    scalars = [scalar_of(G, frame, params, k, G.SCALARS[k]) for k in range(len(G.SCALARS))]
    return G.EPILOGUE([value], scalars)[0]


@native
def scalar_of(G, frame, params, k, KIND):
    if KIND == 0:
        return bitcast(frame[params[len(SWEEP.names) + k]], f64)
    return frame[params[len(SWEEP.names) + k]]


@native
def finish(G, frame, params, entry, rows, place, here, n, d, h):
    """Move the valid positions of a block from scratch rows to the output, whatever its strides."""
    samples = min(params[SWEEP.block_n], params[SWEEP.samples] - n)
    planes = min(params[SWEEP.block_d], entry[PHASE.depth] - d)
    lines = min(params[SWEEP.block_h], entry[PHASE.height] - h)
    width = entry[PHASE.width]
    step = params[SWEEP.out_w]
    for r in range(here):
        for i in range(samples):
            for z in range(planes):
                for y in range(lines):
                    source = rows + (
                        r * params[SWEEP.packed_positions] + i * entry[PHASE.pitch_n] + z * entry[PHASE.pitch_d]
                        + y * entry[PHASE.pitch_h]
                    )  # fmt: skip
                    to = place + (
                        r * params[SWEEP.out_c] + i * params[SWEEP.out_n] + z * params[SWEEP.out_d]
                        + y * params[SWEEP.out_h]
                    )  # fmt: skip
                    if step == 1:
                        for v in range(0, width, G.L):
                            value = finished(G, frame, params, load(source + v, vec(G.S, G.L)))
                            store_masked(to + v, value, first_lanes(width - v, G.L))
                    else:
                        for x in range(width):
                            to[x * step] = finished(G, frame, params, source[x])
