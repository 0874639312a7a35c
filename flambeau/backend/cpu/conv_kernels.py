"""Kernels of the convolution: packing of operands, the register tile that sweeps over taps, finishing passes.

Parameters reach a kernel as int64 words, numbered by name in `Words`; sizes and strides are run-time values,
element types and tile sizes are template arguments (fields of `G`).
"""

from __future__ import annotations

from dataclasses import dataclass

from .conv_lanes import both, compress, first_lanes, lane_mask, lanes_between, load_masked, store_masked
from .native import (
    atomic_store,
    atomic_swap,
    bitcast,
    fma,
    load,
    local,
    native,
    pause,
    shuffle,
    splat,
    store,
    unroll,
)  # fmt: skip
from .types import i64, ptr, vec


class Words:
    """Numbers the words of a parameter block: ``Words("a b").b == 1``."""

    def __init__(self, names: str):
        self.names = tuple(names.split())
        self.size = len(self.names)
        for number, name in enumerate(self.names):
            setattr(self, name, number)

    def __getattr__(self, name: str) -> int:  # for type checkers: the numbers are set above
        raise AttributeError(name)

    def block(self, values: dict[str, int]) -> list[int]:
        """The words in order."""
        assert set(values) == set(self.names), set(values) ^ set(self.names)
        return [values[n] for n in self.names]


@dataclass(frozen=True)
class Statics:
    """Template arguments of the kernels, called `G` in them."""

    S: object = None  # type of scratch and arithmetic
    T: object = None  # type of the operand that is read
    W: object = None  # type of the weights
    R: object = None  # type of the result
    L: int = 0  # lanes of a vector
    MR: int = 0  # rows (output channels) of a tile
    NV: int = 0  # vectors of a tile; in the weight's gradient: columns
    PLANAR: bool = True  # results of a channel lie in one run; else they pass through scratch rows

    def key(self) -> str:
        """Text that tells kernels apart in the cache."""
        return "|".join(map(str, (self.S, self.T, self.W, self.R, self.L, self.MR, self.NV, self.PLANAR)))


#: stands for the template arguments in the kernels' annotations
G = Statics()

#: one 64-byte line of flags per scratch area, at the start of the scratch buffer
FLAG_WORDS = 8


# -- areas of scratch, one for each thread at work ----------------------------------------------------------


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
def leave_area(flags: ptr(i64), area: i64):
    atomic_store(flags + area * FLAG_WORDS, 0)


@native
def free_areas(flags: ptr(i64), count: i64):
    for k in range(count):
        flags[k * FLAG_WORDS] = 0


# -- weights ------------------------------------------------------------------------------------------------

WEIGHTS = Words(
    "weight bias scratch areas bias_at blocks rows channels row_step channel_step group_step phases "
    "phase_table"
)
#: words of a phase: number of taps, first word of their kernel offsets, place in the packed weights
PHASE_WEIGHTS = 3


@native
def pack_weights(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """weight[row, channel, tap] -> packed[unit][channel][tap][MR], a unit being MR rows; and the bias."""
    scratch = bitcast(frame[params[WEIGHTS.scratch]], ptr(i64))
    if begin == 0:
        free_areas(scratch, params[WEIGHTS.areas])
    base = bitcast(scratch, ptr(G.S))
    bias_at = base + params[WEIGHTS.bias_at]
    weight = bitcast(frame[params[WEIGHTS.weight]], ptr(G.W))
    blocks = params[WEIGHTS.blocks]
    rows = params[WEIGHTS.rows]
    channels = params[WEIGHTS.channels]
    row_step = params[WEIGHTS.row_step]
    channel_step = params[WEIGHTS.channel_step]
    for unit in range(begin, end):
        row = unit % blocks * G.MR
        here = min(i64(G.MR), rows - row)
        for r in range(G.MR):
            bias_at[unit * G.MR + r] = G.S(0)
        if params[WEIGHTS.bias] >= 0:
            bias = bitcast(frame[params[WEIGHTS.bias]], ptr(G.W)) + (unit // blocks * rows + row)
            for r in range(here):
                bias_at[unit * G.MR + r] = G.S(bias[r])
    for phase in range(params[WEIGHTS.phases]):
        entry = params + (params[WEIGHTS.phase_table] + phase * PHASE_WEIGHTS)
        taps = entry[0]
        offsets = params + entry[1]
        # Channels outside, so that a weight whose rows lie close together is read in runs.
        for channel in range(channels):
            for unit in range(begin, end):
                row = unit % blocks * G.MR
                to = base + (entry[2] + (unit * channels + channel) * taps * G.MR)
                source = weight + (unit // blocks * params[WEIGHTS.group_step] + row * row_step
                                   + channel * channel_step)  # fmt: skip
                pack_taps(G, source, to, min(i64(G.MR), rows - row), taps, offsets, row_step)


@native
def pack_taps(G, source: ptr(G.W), to: ptr(G.S), here, taps, offsets, row_step):
    for t in range(taps):
        place = source + offsets[t]
        if here == G.MR:
            for r in unroll(G.MR):
                to[r] = G.S(place[r * row_step])
        else:
            for r in range(G.MR):
                to[r] = G.S(0)
            for r in range(here):
                to[r] = G.S(place[r * row_step])
        to = to + G.MR


# -- the padded image ---------------------------------------------------------------------------------------

#: how outputs are cut into blocks, and how the operand moves with them
GRID = Words(
    "samples depth height blocks_n blocks_d blocks_h block_n block_d block_h last_axis groups source_n "
    "source_d source_h source_group"
)
#: `residues` leads to those of the depth and height images, then (zeros, elements, first) of each width
#: image;
#: `flat` to lane masks for copying whole planes, if it is not 0
IMAGE = Words(
    "channels inner channel_size sample_size channel_step sample_step depth_step height_step depth_size "
    "height_size depth_stride height_stride width_stride depth_low height_low planes rows pitch width "
    "depth_images height_images width_images residues flat"
)


@native
def locate(grid: ptr(i64), block: i64):
    """First sample, plane and row of a block, and whether it is the last of the axis that is cut."""
    block_h = block % grid[GRID.blocks_h]
    rest = block // grid[GRID.blocks_h]
    block_d = rest % grid[GRID.blocks_d]
    block_n = rest // grid[GRID.blocks_d]
    last = block_h == grid[GRID.blocks_h] - 1
    if grid[GRID.last_axis] == 1:
        last = block_d == grid[GRID.blocks_d] - 1
    if grid[GRID.last_axis] == 0:
        last = block_n == grid[GRID.blocks_n] - 1
    return block_n * grid[GRID.block_n], block_d * grid[GRID.block_d], block_h * grid[GRID.block_h], last


@native
def copy_row(G, source: ptr(G.T), to: ptr(G.S), zeros: i64, count: i64, width: i64, stride: i64):
    """to[0:width] = zeros, `count` elements at distance `stride`, zeros; may write up to a vector further."""
    if stride == 1:
        for v in range(0, width, G.L):
            mask = lanes_between(zeros - v, zeros + count - v, G.L)
            store(to + v, vec(G.S, G.L)(load_masked(source + (v - zeros), vec(G.T, G.L), mask)))
    elif stride == 2:
        for v in range(0, width, G.L):
            move = 2 * (v - zeros)
            last = 2 * count - 1
            mask = lanes_between(-move, last - move, G.L)
            low = vec(G.S, G.L)(load_masked(source + move, vec(G.T, G.L), mask))
            move += G.L
            mask = lanes_between(-move, last - move, G.L)
            high = vec(G.S, G.L)(load_masked(source + move, vec(G.T, G.L), mask))
            store(to + v, shuffle(low, high, [2 * k for k in range(G.L)]))
    else:
        for k in range(width):
            to[k] = G.S(0)
        for k in range(count):
            to[zeros + k] = G.S(source[k * stride])


@native
def copy_rows(G, source: ptr(G.T), to: ptr(G.S), zeros, count, width, stride, samples, sample_step, inner):
    """One row of several samples whose pixels lie side by side."""
    for k in range(0, width * inner, G.L):
        store(to + k, splat(G.S(0), G.L))
    for n in range(samples):
        place = to + (zeros * inner + n)
        for k in range(count):
            place[k * inner] = G.S(source[n * sample_step + k * stride])


@native
def pack_image(
    G, params, image, source: ptr(G.T), to: ptr(G.S), samples, depth, height, planes, rows, first, last
):
    """Channels [first, last) of the rows that outputs from (depth, height) on read, and zeros around them."""
    plane_block = image[IMAGE.planes] * image[IMAGE.rows] * image[IMAGE.pitch] * image[IMAGE.inner]
    apart = samples if image[IMAGE.inner] == 1 else i64(1)
    for channel in range(first, last):
        for sample in range(apart):
            plane = source + (channel * image[IMAGE.channel_step] + sample * image[IMAGE.sample_step])
            place = to + (channel * image[IMAGE.channel_size] + sample * image[IMAGE.sample_size])
            for rd in range(image[IMAGE.depth_images]):
                for rh in range(image[IMAGE.height_images]):
                    for rw in range(image[IMAGE.width_images]):
                        pack_plane(
                            G, params, image, plane, place, samples, depth, height, planes, rows, rd, rh, rw
                        )
                        place = place + plane_block


@native
def copy_plane(G, params, image, source: ptr(G.T), to: ptr(G.S), z, y, rows, rw, shift):
    """Rows from `y` on, moved sideways by `shift`, where rows of the image are as long as the operand's."""
    pitch = image[IMAGE.pitch]
    masks = params + image[IMAGE.flat] + rw * ((image[IMAGE.rows] * pitch + (G.L - 1)) // G.L)
    first = -y * pitch
    last = (image[IMAGE.height_size] - y) * pitch
    if z < 0 or z >= image[IMAGE.depth_size]:
        last = first
    place = source + (y * pitch + shift)
    for v in range(0, rows * pitch, G.L):
        mask = both(lanes_between(first - v, last - v, G.L), lane_mask(masks[v // G.L], G.L))
        store(to + v, vec(G.S, G.L)(load_masked(place + v, vec(G.T, G.L), mask)))


@native
def pack_plane(G, params, image, plane, place, samples, depth, height, planes, rows, rd, rh, rw):
    """One strided image of one channel; rows past the end of a short last block stay as they are."""
    pitch = image[IMAGE.pitch] * image[IMAGE.inner]
    residues = params + image[IMAGE.residues]
    widths = residues + (image[IMAGE.depth_images] + image[IMAGE.height_images] + 3 * rw)
    zeros = widths[0]
    inside = widths[1]
    source = plane + widths[2]
    stride = image[IMAGE.width_stride]
    width = image[IMAGE.width]
    z = image[IMAGE.depth_stride] * (depth + image[IMAGE.depth_low]) + residues[rd]
    for d in range(planes):
        y = image[IMAGE.height_stride] * (height + image[IMAGE.height_low])
        y += residues[image[IMAGE.depth_images] + rh]
        if image[IMAGE.flat] != 0:
            whole = plane + z * image[IMAGE.depth_step]
            copy_plane(G, params, image, whole, place, z, y, rows, rw, widths[2] - zeros)
            place = place + image[IMAGE.rows] * pitch
            z += image[IMAGE.depth_stride]
            continue
        to = place + d * image[IMAGE.rows] * pitch
        for _ in range(rows):
            count = i64(0)
            if z >= 0 and z < image[IMAGE.depth_size] and y >= 0 and y < image[IMAGE.height_size]:
                count = inside
            row = source + (z * image[IMAGE.depth_step] + y * image[IMAGE.height_step])
            if G.PLANAR or image[IMAGE.inner] == 1:
                copy_row(G, row, to, zeros, count, width, stride)
            else:
                step = image[IMAGE.sample_step]
                copy_rows(G, row, to, zeros, count, width, stride, samples, step, image[IMAGE.inner])
            to = to + pitch
            y += image[IMAGE.height_stride]
        z += image[IMAGE.depth_stride]


@native
def pack_block(G, params, grid, image, source: ptr(G.T), to: ptr(G.S), n, d, h, first, last):
    """The padded image of the block at (n, d, h); `source` points at sample n of the group."""
    samples = min(grid[GRID.block_n], grid[GRID.samples] - n)
    planes = image[IMAGE.planes] + min(i64(0), grid[GRID.depth] - d - grid[GRID.block_d])
    rows = image[IMAGE.rows] + min(i64(0), grid[GRID.height] - h - grid[GRID.block_h])
    pack_image(G, params, image, source, to, samples, d, h, planes, rows, first, last)


PACK = Words("source scratch shared_at unit_size grid image channels shares")


@native
def pack_all(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Padded images of all blocks, for tasks that share them; a task is a share of a block's channels."""
    grid = params + params[PACK.grid]
    image = params + params[PACK.image]
    shares = params[PACK.shares]
    channels = params[PACK.channels]
    for task in range(begin, end):
        unit = task // shares
        share = task - unit * shares
        block = unit // grid[GRID.groups]
        group = unit - block * grid[GRID.groups]
        n, d, h, _ = locate(grid, block)
        source = bitcast(frame[params[PACK.source]], ptr(G.T))
        source = source + (n * grid[GRID.source_n] + group * grid[GRID.source_group])
        to = bitcast(frame[params[PACK.scratch]], ptr(G.S)) + (
            params[PACK.shared_at] + unit * params[PACK.unit_size]
        )
        pack_block(G, params, grid, image, source, to, n, d, h, channels * share // shares,
                   channels * (share + 1) // shares)  # fmt: skip


# -- the tile -----------------------------------------------------------------------------------------------

#: words of a vector: first position, lane mask, output offset, lanes used
VECTOR = 4


@native
def tile(G, weights: ptr(G.S), bias: ptr(G.S), image: ptr(G.S), vectors, channels, channel_step, taps,
         offsets, result, COUNT):  # fmt: skip
    """MR rows x COUNT vectors in registers: bias + sum over channels and taps of weight * image."""
    acc = local(vec(G.S, G.L), G.MR * COUNT)
    for r in unroll(G.MR):
        first = splat(bias[r], G.L)
        for j in unroll(COUNT):
            acc[r * COUNT + j] = first
    places = local(ptr(G.S), COUNT)
    for j in unroll(COUNT):
        places[j] = image + vectors[VECTOR * j]
    for _ in range(channels):
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


#: mode: 0 reads the operand in place, 1 packs each block into the thread's area, 2 finds blocks packed by
#: `pack_all`
SWEEP = Words(
    "out source scratch areas area_at area_size rows_at shared_at unit_size bias_at splits blocks rows grid "
    "image mode channels channel_step out_n out_c out_d out_h out_w positions phases phase_table"
)
#: words of a phase; pitches are distances in the scratch rows
PHASE = Words(
    "taps offsets weights vectors table last_vectors last_table out_start depth height width pitch_n pitch_d "
    "pitch_h pitch_w"
)
PHASE_WORDS = PHASE.size


@native
def sweep(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Convolve: a task is a block of outputs of one group, or a share of its output channels."""
    scratch = bitcast(frame[params[SWEEP.scratch]], ptr(G.S))
    flags = bitcast(scratch, ptr(i64))
    area = take_area(flags, params[SWEEP.areas])
    mine = scratch + (params[SWEEP.area_at] + area * params[SWEEP.area_size])
    splits = params[SWEEP.splits]
    grid = params + params[SWEEP.grid]
    blocks = params[SWEEP.blocks]
    rows = params[SWEEP.rows]
    for task in range(begin, end):
        share = task % splits
        unit = task // splits
        group = unit % grid[GRID.groups]
        n, d, h, last = locate(grid, unit // grid[GRID.groups])
        image = image_of(G, frame, params, grid, scratch, mine, unit, group, n, d, h)
        for phase in range(params[SWEEP.phases]):
            entry = params + (params[SWEEP.phase_table] + phase * PHASE_WORDS)
            out = bitcast(frame[params[SWEEP.out]], ptr(G.R)) + (
                n * params[SWEEP.out_n]
                + d * params[SWEEP.out_d]
                + h * params[SWEEP.out_h]
                + entry[PHASE.out_start]
            )
            for row_block in range(blocks * share // splits, blocks * (share + 1) // splits):
                here = min(i64(G.MR), rows - row_block * G.MR)
                place = out + (group * rows + row_block * G.MR) * params[SWEEP.out_c]
                packed_unit = group * blocks + row_block
                sweep_rows(
                    G, params, grid, entry, scratch, mine, image, packed_unit, place, here, last, n, d, h
                )
    leave_area(flags, area)


@native
def image_of(G, frame, params, grid, scratch, mine, unit, group, n, d, h):
    """Where the operand of a block lies: in place, in the thread's area (packed now), or shared."""
    source = bitcast(frame[params[SWEEP.source]], ptr(G.T))
    source = source + (n * grid[GRID.source_n] + group * grid[GRID.source_group])
    image = mine
    if params[SWEEP.mode] == 0:
        image = bitcast(source + (d * grid[GRID.source_d] + h * grid[GRID.source_h]), ptr(G.S))
    elif params[SWEEP.mode] == 1:
        words = params + params[SWEEP.image]
        pack_block(G, params, grid, words, source, mine, n, d, h, i64(0), params[SWEEP.channels])
    else:
        image = scratch + (params[SWEEP.shared_at] + unit * params[SWEEP.unit_size])
    return image


@native
def sweep_rows(G, params, grid, entry, scratch, mine, image, packed_unit, place, here, last, n, d, h):
    """All outputs of one phase of a block, for MR output channels."""
    taps = entry[PHASE.taps]
    channels = params[SWEEP.channels]
    channel_step = params[SWEEP.channel_step]
    offsets = params + entry[PHASE.offsets]
    weights = scratch + (entry[PHASE.weights] + packed_unit * channels * taps * G.MR)
    bias = scratch + (params[SWEEP.bias_at] + packed_unit * G.MR)
    count = entry[PHASE.last_vectors] if last else entry[PHASE.vectors]
    table = params + (entry[PHASE.last_table] if last else entry[PHASE.table])
    rows = mine + params[SWEEP.rows_at]
    result = local(vec(G.S, G.L), G.MR * G.NV)
    v = i64(0)
    while v < count:
        vectors = table + VECTOR * v
        width = min(count - v, i64(G.NV))
        for less in unroll(G.NV):
            if width == G.NV - less:
                tile(
                    G,
                    weights,
                    bias,
                    image,
                    vectors,
                    channels,
                    channel_step,
                    taps,
                    offsets,
                    result,
                    G.NV - less,
                )
        for r in range(here):
            for j in range(width):
                entry_j = vectors + VECTOR * j
                value = result[r * G.NV + j]
                if G.PLANAR:
                    to = place + (r * params[SWEEP.out_c] + entry_j[2])
                    value = compress(value, lane_mask(entry_j[1], G.L))
                    store_masked(to, value, first_lanes(entry_j[3], G.L))
                else:
                    store(rows + (r * params[SWEEP.positions] + entry_j[0]), value)
        v += width
    if not G.PLANAR:
        finish(G, params, grid, entry, rows, place, here, n, d, h)


@native
def finish(G, params, grid, entry, rows, place, here, n, d, h):
    """Move the valid positions of a block from scratch rows to the output, whatever its strides."""
    samples = min(grid[GRID.block_n], grid[GRID.samples] - n)
    planes = min(grid[GRID.block_d], entry[PHASE.depth] - d)
    lines = min(grid[GRID.block_h], entry[PHASE.height] - h)
    for r in range(here):
        for i in range(samples):
            for z in range(planes):
                source = rows + (
                    r * params[SWEEP.positions] + i * entry[PHASE.pitch_n] + z * entry[PHASE.pitch_d]
                )
                to = place + (r * params[SWEEP.out_c] + i * params[SWEEP.out_n] + z * params[SWEEP.out_d])
                for _ in range(lines):
                    finish_row(G, params, source, to, entry[PHASE.width], entry[PHASE.pitch_w])
                    source = source + entry[PHASE.pitch_h]
                    to = to + params[SWEEP.out_h]


@native
def finish_row(G, params, source, to, width, pitch):
    step = params[SWEEP.out_w]
    if step == 1 and pitch == 1:
        for v in range(0, width, G.L):
            store_masked(to + v, load(source + v, vec(G.S, G.L)), first_lanes(width - v, G.L))
    else:
        for x in range(width):
            to[x * step] = source[x * pitch]
