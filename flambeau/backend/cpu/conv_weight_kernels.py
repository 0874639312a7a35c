"""Kernels of the gradient of a convolution's weight and bias.

The weight's gradient is a matrix product whose long axis is the positions of all outputs: lanes run along
positions, a tile keeps MR output channels x NV (channel, tap) columns in registers, and the lanes are added
at its end. Blocks of positions go to a fixed number of partial results, which are added in a fixed order:
the result does not depend on the number of threads.
"""

from __future__ import annotations

from .conv_kernels import (
    GRID,
    IMAGE,
    VECTOR,
    G,
    Words,
    free_areas,
    leave_area,
    locate,
    pack_image,
    take_area,
)  # fmt: skip
from .conv_lanes import lane_mask, load_expanded, sum_lanes
from .native import bitcast, fma, load, local, native, select, splat, store, unroll
from .types import i64, ptr, vec

#: mode: as for a sweep. chunk: vectors that a tile goes through at a time.
GRADIENT = Words(
    "grad source scratch areas area_at area_size rows_at tile_at shared_at unit_size partial_at splits "
    "shares blocks "
    "rows grid image grad_image mode channels channel_step columns column_table grad_n grad_c grad_d "
    "grad_h count "
    "vectors table last_vectors last_table chunk positions"
)


@native
def clear_areas(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """The first step: no area is taken."""
    free_areas(bitcast(frame[params[0]], ptr(i64)), params[1])


@native
def weight_gradient(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Partial results: a task is a range of blocks, one group, a share of its output channels."""
    scratch = bitcast(frame[params[GRADIENT.scratch]], ptr(G.S))
    flags = bitcast(scratch, ptr(i64))
    area = take_area(flags, params[GRADIENT.areas])
    mine = scratch + (params[GRADIENT.area_at] + area * params[GRADIENT.area_size])
    grid = params + params[GRADIENT.grid]
    groups = grid[GRID.groups]
    shares = params[GRADIENT.shares]
    splits = params[GRADIENT.splits]
    count = params[GRADIENT.count]
    rows = params[GRADIENT.blocks]
    row_size = params[GRADIENT.columns] * G.MR
    for task in range(begin, end):
        share = task % shares
        unit = task // shares
        group = unit % groups
        split = unit // groups
        first = rows * share // shares
        last = rows * (share + 1) // shares
        partial = scratch + (params[GRADIENT.partial_at] + (split * groups + group) * rows * row_size)
        for k in range(first * row_size, last * row_size, G.MR):
            store(partial + k, splat(G.S(0), G.MR))
        for block in range(count * split // splits, count * (split + 1) // splits):
            add_block(G, frame, params, grid, mine, scratch, partial, group, block, first, last)
    leave_area(flags, area)


@native
def add_block(G, frame, params, grid, mine, scratch, partial, group, block, first, last):
    """Add the products of one block's positions to the rows [first, last) of a partial result."""
    n, d, h, end = locate(grid, block)
    source = bitcast(frame[params[GRADIENT.source]], ptr(G.T))
    source = source + (n * grid[GRID.source_n] + group * grid[GRID.source_group])
    image = mine
    if params[GRADIENT.mode] == 0:
        image = bitcast(source + (d * grid[GRID.source_d] + h * grid[GRID.source_h]), ptr(G.S))
    elif params[GRADIENT.mode] == 1:
        pack_operand(G, params, grid, params + params[GRADIENT.image], source, mine, n, d, h, i64(0),
                     params[GRADIENT.channels])  # fmt: skip
    else:
        unit = block * grid[GRID.groups] + group
        image = scratch + (params[GRADIENT.shared_at] + unit * params[GRADIENT.unit_size])
    count = params[GRADIENT.last_vectors] if end else params[GRADIENT.vectors]
    table = params + (params[GRADIENT.last_table] if end else params[GRADIENT.table])
    columns = params[GRADIENT.columns]
    offsets = params + params[GRADIENT.column_table]
    products = mine + params[GRADIENT.tile_at]
    chunk = params[GRADIENT.chunk]
    for row_block in range(first, last):
        here = min(i64(G.MR), params[GRADIENT.rows] - row_block * G.MR)
        channel = group * params[GRADIENT.rows] + row_block * G.MR
        grad = bitcast(frame[params[GRADIENT.grad]], ptr(G.R)) + (n * params[GRADIENT.grad_n])
        rows = mine + params[GRADIENT.rows_at]
        if not G.PLANAR:
            spread_gradient(G, params, grid, grad, rows, channel, here, n, d, h)
        for begin in range(0, count, chunk):
            size = min(chunk, count - begin)
            vectors = table + VECTOR * begin
            if G.PLANAR:
                place = grad + (channel * params[GRADIENT.grad_c] + d * params[GRADIENT.grad_d]
                                + h * params[GRADIENT.grad_h])  # fmt: skip
                pack_gradient(G, place, products, vectors, size, here, params[GRADIENT.grad_c])
            else:
                pack_rows(G, rows, products, vectors, size, here, params[GRADIENT.positions])
            for column in range(0, columns, G.NV):
                to = partial + (row_block * columns + column) * G.MR
                gradient_tile(G, products, image, vectors, size, offsets + column, to)


@native
def pack_operand(G, params, grid, image, source: ptr(G.T), to: ptr(G.S), n, d, h, first, last):
    """The padded image of a block, with every element defined: lanes of no output are multiplied by zero."""
    samples = min(grid[GRID.block_n], grid[GRID.samples] - n)
    pack_image(
        G, params, image, source, to, samples, d, h, image[IMAGE.planes], image[IMAGE.rows], first, last
    )
    if last == image[IMAGE.channels]:
        for k in unroll(3):
            store(to + (image[IMAGE.channel_size] * last + k * G.L), splat(G.S(0), G.L))


OPERAND = Words("source scratch areas shared_at unit_size grid image channels shares")


@native
def pack_operands(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Padded images of all blocks, for tasks that share them; a task is a share of a block's channels."""
    grid = params + params[OPERAND.grid]
    image = params + params[OPERAND.image]
    shares = params[OPERAND.shares]
    channels = params[OPERAND.channels]
    for task in range(begin, end):
        unit = task // shares
        share = task - unit * shares
        block = unit // grid[GRID.groups]
        group = unit - block * grid[GRID.groups]
        n, d, h, _ = locate(grid, block)
        source = bitcast(frame[params[OPERAND.source]], ptr(G.T))
        source = source + (n * grid[GRID.source_n] + group * grid[GRID.source_group])
        to = bitcast(frame[params[OPERAND.scratch]], ptr(G.S))
        to = to + (params[OPERAND.shared_at] + unit * params[OPERAND.unit_size])
        pack_operand(G, params, grid, image, source, to, n, d, h, channels * share // shares,
                     channels * (share + 1) // shares)  # fmt: skip


@native
def pack_gradient(G, grad: ptr(G.R), to: ptr(G.S), vectors, count, here, step):
    """to[vector][row] = the vector's outputs at their lanes, zero elsewhere."""
    for r in range(G.MR):
        if r < here:
            source = grad + r * step
            for v in range(count):
                mask = lane_mask(vectors[VECTOR * v + 1], G.L)
                value = load_expanded(source + vectors[VECTOR * v + 2], vec(G.R, G.L), mask)
                store(to + (v * G.MR + r) * G.L, vec(G.S, G.L)(value))
        else:
            for v in range(count):
                store(to + (v * G.MR + r) * G.L, splat(G.S(0), G.L))


@native
def spread_gradient(G, params, grid, grad: ptr(G.R), rows: ptr(G.S), channel, here, n, d, h):
    """Rows of the gradient at the pitch of the padded image."""
    image = params + params[GRADIENT.grad_image]
    samples = min(grid[GRID.block_n], grid[GRID.samples] - n)
    planes = min(grid[GRID.block_d], grid[GRID.depth] - d)
    lines = min(grid[GRID.block_h], grid[GRID.height] - h)
    place = grad + channel * params[GRADIENT.grad_c]
    pack_image(G, params, image, place, rows, samples, d, h, planes, lines, i64(0), here)


@native
def pack_rows(G, rows: ptr(G.S), to: ptr(G.S), vectors, count, here, step):
    for r in range(G.MR):
        for v in range(count):
            value = splat(G.S(0), G.L)
            if r < here:
                mask = lane_mask(vectors[VECTOR * v + 1], G.L)
                value = select(mask, load(rows + (r * step + vectors[VECTOR * v]), vec(G.S, G.L)), value)
            store(to + (v * G.MR + r) * G.L, value)


@native
def gradient_tile(G, products: ptr(G.S), image: ptr(G.S), vectors, count, offsets, to: ptr(G.S)):
    """to[column][row] += sum over positions of gradient[row] * image[position + offset of the column]."""
    acc = local(vec(G.S, G.L), G.MR * G.NV)
    for k in unroll(G.MR * G.NV):
        acc[k] = splat(G.S(0), G.L)
    places = local(ptr(G.S), G.NV)
    for j in unroll(G.NV):
        places[j] = image + offsets[j]
    for v in range(count):
        position = vectors[VECTOR * v]
        # Lanes of no output read what nobody wrote (or another row's infinity), so they are cleared, not just times zero.
        mask = lane_mask(vectors[VECTOR * v + 1], G.L)
        none = splat(G.S(0), G.L)
        row = [select(mask, load(places[j] + position, vec(G.S, G.L)), none) for j in unroll(G.NV)]
        for r in unroll(G.MR):
            value = load(products + r * G.L, vec(G.S, G.L))
            for j in unroll(G.NV):
                acc[r * G.NV + j] = fma(value, row[j], acc[r * G.NV + j])
        products = products + G.MR * G.L
    for j in unroll(G.NV):
        total = sum_lanes([acc[r * G.NV + j] for r in unroll(G.MR)])
        if G.MR == 1:
            to[j] = to[j] + total
        else:
            store(to + j * G.MR, load(to + j * G.MR, vec(G.S, G.MR)) + total)


SUM = Words("out scratch partial_at splits split_size blocks rows columns padded")


@native
def sum_partials(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """out[row][column] = sum of the partial results; a task is MR rows of a group."""
    scratch = bitcast(frame[params[SUM.scratch]], ptr(G.S))
    out = bitcast(frame[params[SUM.out]], ptr(G.W))
    columns = params[SUM.columns]
    rows = params[SUM.rows]
    blocks = params[SUM.blocks]
    size = params[SUM.split_size]
    total = local(G.S, G.MR)
    for unit in range(begin, end):
        group = unit // blocks
        row = (unit - group * blocks) * G.MR
        here = min(i64(G.MR), rows - row)
        partial = scratch + (params[SUM.partial_at] + unit * params[SUM.padded] * G.MR)
        to = out + (group * rows + row) * columns
        for column in range(columns):
            value = load(partial + column * G.MR, vec(G.S, G.MR))
            for split in range(1, params[SUM.splits]):
                value = value + load(partial + (split * size + column * G.MR), vec(G.S, G.MR))
            store(total, value)
            for r in range(here):
                to[r * columns + column] = total[r]


CHANNELS = Words("grad out samples depth height width step_n step_c step_d step_h step_w")


@native
def channel_sums(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """out[channel] = sum of the gradient over samples and positions: the bias's gradient."""
    out = bitcast(frame[params[CHANNELS.out]], ptr(G.W))
    width = params[CHANNELS.width]
    for channel in range(begin, end):
        plane = bitcast(frame[params[CHANNELS.grad]], ptr(G.R)) + channel * params[CHANNELS.step_c]
        total = G.S(0)
        for n in range(params[CHANNELS.samples]):
            inside = splat(G.S(0), G.L)
            rest = G.S(0)
            for d in range(params[CHANNELS.depth]):
                for h in range(params[CHANNELS.height]):
                    row = plane + (n * params[CHANNELS.step_n] + d * params[CHANNELS.step_d]
                                   + h * params[CHANNELS.step_h])  # fmt: skip
                    if params[CHANNELS.step_w] == 1:
                        end_of_vectors = width // G.L * G.L
                        for k in range(0, end_of_vectors, G.L):
                            inside = inside + vec(G.S, G.L)(load(row + k, vec(G.R, G.L)))
                        for k in range(end_of_vectors, width):
                            rest = rest + G.S(row[k])
                    else:
                        for k in range(width):
                            rest = rest + G.S(row[k * params[CHANNELS.step_w]])
            total = total + (sum_lanes([inside]) + rest)
        out[channel] = total
