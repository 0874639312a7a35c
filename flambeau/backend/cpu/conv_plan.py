"""Plans of the tiled convolution: blocks, tables and parameter words for the kernels in `conv_kernels`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from . import conv_forms as forms
from . import conv_kernels as kernels
from . import jit
from .builder import Module
from .conv_geometry import Axis, Block, Volume, cover, vector_count
from .conv_kernels import GRID, IMAGE, PACK, PHASE, SWEEP, WEIGHTS, Statics
from .native import Native, define
from .pieces import Cut, Cuts
from .types import Type

#: bytes of padded image that one thread keeps in its second-level cache
IMAGE_BYTES = 384 << 10
#: vectors of a block from which the edges of tiles no longer matter
TOGETHER = 12
#: LLVM effort: the kernels are written in vectors, so more only costs time to compile
LEVEL = 1
#: multiply-adds below which sharing work between threads costs more than it gives
SHARE = 200_000


@lru_cache(None)
def kernel(function: Native, statics: Statics) -> int:
    """Address of a compiled kernel."""
    name = function.__name__

    def text() -> str:
        module = Module()
        define(module, name, function, {"G": statics})
        return module.text()

    words = _words_of(function.function.__module__)
    return jit.later(f"{function.fingerprint()}|{name}|{statics.key()}|{words}", text, [name], level=LEVEL)[0]


@lru_cache(None)
def _words_of(module: str) -> str:
    """The numbering of parameter words in a kernels' module, which its machine code depends on."""
    found = vars(sys.modules[module])
    return repr([(name, words.names) for name, words in found.items() if isinstance(words, kernels.Words)])


def arithmetic_type(t: Type) -> Type:
    """The type in which elements are multiplied and added."""
    return t.register


def lanes_of(t: Type) -> int:
    return max(2, jit.vector_bytes() // arithmetic_type(t).bytes)


@lru_cache(None)
def tile_shapes() -> tuple[tuple[int, int], ...]:
    """(rows, vectors) of register tiles, best first; the wide one needs 32 registers."""
    many = jit.has_feature("avx512f") or not jit.has_feature("sse2")
    return ((8, 3), (4, 6), (2, 8), (1, 8)) if many else ((4, 3), (2, 4), (1, 6))


def choose_tile(rows: int) -> tuple[int, int]:
    """The tile that wastes least on `rows` output channels."""

    def cost(shape):
        mr, nv = shape
        padded = -(-rows // mr) * mr
        return padded * (mr * nv + mr + nv) / (mr * nv), -mr

    return min(tile_shapes(), key=cost)


def areas() -> int:
    """Scratch areas of a step: as many as threads can be at work on common machines, at least."""
    from . import runtime

    return max(runtime.get_num_threads(), os.cpu_count() or 1)


@dataclass(frozen=True)
class Operand:
    """Where an array lies: frame slot, type and element strides (sample, channel, depth, height, width)."""

    slot: int
    type: Type
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def planar(self) -> bool:
        """Whether each channel of a sample is one run of memory."""
        _, _, d, h, w = self.shape
        _, _, sd, sh, sw = self.strides
        return (w == 1 or sw == 1) and (h == 1 or sh == w) and (d == 1 or sd == h * w)


@dataclass(frozen=True)
class Weights:
    """The weight as a matrix of rows by channels with taps in each entry: strides in elements."""

    slot: int
    type: Type
    rows: int  # of one group
    channels: int  # of one group
    row_step: int
    channel_step: int
    group_step: int
    kernel: tuple[int, int, int]
    bias_slot: int = -1


@dataclass(frozen=True)
class Sweep:
    """A convolution ready to be scheduled."""

    volume: Volume
    source: Operand
    out: Operand
    weights: Weights
    groups: int
    scratch_slot: int

    @property
    def samples(self) -> int:
        return self.source.shape[0]

    def work(self) -> int:
        """Multiply-adds."""
        taps = sum(prod(len(p.taps) * p.count for p in phases) for phases in self.volume.phases())
        return self.samples * self.groups * self.weights.rows * self.weights.channels * taps


def choose_block(volume: Volume, source: Operand, channels: int, reuse: int, lanes: int, wanted: int,
                 together: int) -> Block:  # fmt: skip
    """How to cut the outputs into blocks, or to lay samples side by side where images are tiny.

    reuse: how often an element of the operand is used (output channels times taps). wanted: blocks of a
    sample, at least. together: vectors that a block should have, from several samples if need be.
    """
    depth, height, width = (axis.count for axis in volume.axes)
    whole = Block(1, (depth, height))
    image = volume.plane(whole) * channels * arithmetic_type(source.type).bytes
    vectors = vector_count((depth, height, width), volume.pitches(whole)[1:3], lanes)
    samples = source.shape[0]
    tiny = depth * height * width < 0.8 * vectors * lanes
    if tiny and samples >= 4 and reuse >= 128 and image * lanes <= 16 << 20:
        images = min(samples, lanes)
        return Block(images, whole.rows, images)
    shifted = volume.axes[2].span == 0 and len(volume.axes[2].images) > 1
    pieces = max(1 if shifted else -(-image // IMAGE_BYTES), wanted)
    if pieces <= 1:
        images = min(-(-together // vectors), samples // 8, IMAGE_BYTES // image)
        return Block(max(1, images), whole.rows)
    if depth > 1:
        planes = max(1, depth // pieces)
        pieces = -(-pieces * planes // depth)
        if pieces <= 1 or planes > 1:
            return Block(1, (planes, height))
    return Block(1, (1, _rows(volume.axes[1], pieces)))


def _rows(height: Axis, pieces: int) -> int:
    """Rows of a block: not so few that its border is read more often than its inside."""
    least = min(height.count, 2 * height.span)
    return max(least, 1, -(-height.count // pieces))


class Layout:
    """Carves one scratch buffer into regions, in elements, each at a 64-byte boundary."""

    def __init__(self, element: Type):
        self.bytes_each, self.used = element.bytes, 0

    def take(self, elements: int) -> int:
        place, line = self.used, 64 // self.bytes_each
        self.used += -(-elements // line) * line
        return place

    def flags(self) -> int:
        """The first region: a line of flags for each area."""
        assert self.used == 0
        return self.take(kernels.FLAG_WORDS * 8 // self.bytes_each * areas())

    @property
    def bytes(self) -> int:
        return self.used * self.bytes_each


class Tables:
    """Words after a parameter block; `add` gives the place of a table, counted from the block's start."""

    def __init__(self, start: int):
        self.start, self.words = start, []

    def add(self, words: list[int]) -> int:
        place = self.start + len(self.words)
        self.words += words
        return place


def grid_words(volume: Volume, block: Block, source: Operand, groups: int, channels: int) -> list[int]:
    """How the outputs are cut into blocks (`GRID`)."""
    counts = (source.shape[0], volume.axes[0].count, volume.axes[1].count)
    sizes = (block.images, *block.rows)
    blocks = [-(-count // size) for count, size in zip(counts, sizes)]
    last_axis = 0 if block.images > 1 else 1 if blocks[2] == 1 and blocks[1] > 1 else 2
    values = {
        "samples": counts[0], "depth": counts[1], "height": counts[2], "blocks_n": blocks[0],
        "blocks_d": blocks[1],
        "blocks_h": blocks[2], "block_n": sizes[0], "block_d": sizes[1], "block_h": sizes[2],
        "last_axis": last_axis,
        "groups": groups, "source_n": source.strides[0], "source_d": source.strides[2],
        "source_h": source.strides[3], "source_group": source.strides[1] * channels,
    }  # fmt: skip
    return GRID.block(values)


def block_counts(volume: Volume, block: Block, samples: int) -> list[int]:
    """Blocks along samples, planes and rows."""
    counts = (samples, volume.axes[0].count, volume.axes[1].count)
    return [-(-count // size) for count, size in zip(counts, (block.images, *block.rows))]


def channel_bounds(groups: int, rows: int, starts: list[int]) -> list[int]:
    """Where shares of output channels begin, in all groups, from where they begin in one; at last the number of all."""
    return [*(group * rows + start for group in range(groups) for start in starts), groups * rows]


def image_words(
    volume: Volume, block: Block, source: Operand, channels: int, lanes: int, tables: Tables
) -> list[int]:
    """How the padded image of a block is made (`IMAGE`)."""
    depth, height, width = volume.axes
    planes, rows, pitch = volume.extents(block)
    residues = [*depth.images, *height.images]
    flat = block.inner == 1 and copies_planes(volume, source)
    for image in range(len(width.images)):
        zeros, inside, first = width.valid(image, width.low, volume.width())
        residues += [zeros, inside, first * source.strides[4]]
    values = {
        "channels": channels, "channel_size": volume.channel_size(block, lanes), "inner": block.inner,
        "sample_size": volume.plane(block), "channel_step": source.strides[1],
        "sample_step": source.strides[0], "depth_step": source.strides[2], "height_step": source.strides[3],
        "depth_size": depth.size, "height_size": height.size, "depth_stride": depth.step,
        "height_stride": height.step, "width_stride": width.step * source.strides[4], "depth_low": depth.low,
        "height_low": height.low, "planes": planes, "rows": rows, "pitch": pitch, "width": volume.width(),
        "depth_images": len(depth.images), "height_images": len(height.images),
        "width_images": len(width.images), "residues": tables.add(residues),
        "flat": tables.add(_plane_masks(volume, block, lanes)) if flat else 0,
    }  # fmt: skip
    return IMAGE.block(values)


def copies_planes(volume: Volume, source: Operand) -> bool:
    """Whether the images of a shifted volume are the operand's planes moved sideways."""
    _, height, width = volume.axes
    same = width.span == 0 and width.step == 1 and height.step == 1 and width.count == width.size
    return same and source.planar()


def _plane_masks(volume: Volume, block: Block, lanes: int) -> list[int]:
    """For each image of the width the lanes whose column stays inside, vector by vector of a plane."""
    _, rows, pitch = volume.extents(block)
    masks = []
    width = volume.axes[2]
    for image in width.images:
        shift = width.low + image
        row = [0 <= x + shift < pitch for x in range(pitch)]
        for v in range(0, rows * pitch, lanes):
            masks.append(sum(row[(v + k) % pitch] << k for k in range(lanes)))
    return masks


def choose_volume(volume: Volume, source: Operand, channels: int, reuse: int, lanes: int) -> Volume:
    """The volume, or its shifted form where that saves vectors (small images)."""
    width = volume.axes[2]
    if width.span == 0 or width.out_step > 1 or source.shape[0] == 0:
        return volume
    whole = Block(1, (volume.axes[0].count, volume.axes[1].count))
    counts = (*whole.rows, width.count)
    other = volume.shifted()
    if not copies_planes(other, source):
        return volume
    if other.plane(whole) * channels * arithmetic_type(source.type).bytes > 2 * IMAGE_BYTES:
        return volume
    before, after = (vector_count(counts, v.pitches(whole)[1:3], lanes) for v in (volume, other))
    packing = (
        5 * other.plane(whole) / lanes
    )  # cycles for each channel, as measured; the rest is multiply-adds
    return other if reuse * after + packing < 0.98 * reuse * before else volume


def image_elements(volume: Volume, block: Block, channels: int, lanes: int) -> int:
    """Elements of scratch for a padded image, with room for vectors that reach past its end."""
    return volume.channel_size(block, lanes) * channels + 4 * lanes


def reads_in_place(volume: Volume, source: Operand, block: Block, lanes: int) -> bool:
    """Whether the operand needs neither padding, nor widening, nor strided images."""
    if (
        source.type.register is not source.type
        or not source.planar()
        or block.inner > 1
        or 0 in source.strides
    ):
        return False
    for axis in volume.axes:
        unpadded = axis.low == 0 and axis.count + axis.high <= axis.size
        if axis.step != 1 or axis.out_step != 1 or axis.images != (0,) or not unpadded:
            return False
    height, width = source.shape[3:]
    rows = min(
        block.rows[1], volume.axes[1].count - (-(-volume.axes[1].count // block.rows[1]) - 1) * block.rows[1]
    )
    planes = min(
        block.rows[0], volume.axes[0].count - (-(-volume.axes[0].count // block.rows[0]) - 1) * block.rows[0]
    )
    return ((planes - 1) * height + rows - 1) * width + volume.axes[2].count >= lanes


def repeated(vectors: list, images: int, step: int, out_step: int) -> list[tuple[int, int, int, int]]:
    """The vectors of one sample for `images` samples."""
    moved = ((i * step, i * out_step) for i in range(images))
    return [(first + a, mask, to + b, used) for a, b in moved for first, mask, to, used in vectors]


def in_place_pitches(source: Operand) -> tuple[int, int, int, int]:
    _, _, depth, height, width = source.shape
    return depth * height * width, height * width, width, 1


def swept_cycles(sweep: Sweep) -> float:
    """About what a sweep costs (`conv_forms`)."""
    lanes, weights = lanes_of(sweep.source.type), sweep.weights
    mr, _ = choose_tile(weights.rows)
    reuse = weights.rows * prod(weights.kernel)
    volume = choose_volume(sweep.volume, sweep.source, weights.channels, reuse, lanes)
    block = choose_block(volume, sweep.source, weights.channels, reuse, lanes, 1, TOGETHER)
    counts = volume.axes[0].count, volume.axes[1].count, volume.axes[2].count * block.inner
    vectors = vector_count(counts, volume.pitches(block)[1:3], lanes) * sweep.samples / block.inner
    image = 0.0
    if not reads_in_place(volume, sweep.source, block, lanes):
        planes, rows, pitch = volume.extents(block)
        planes *= volume.image_count() * sweep.samples * weights.channels
        flat = block.inner == 1 and copies_planes(volume, sweep.source)
        step = volume.axes[2].step if block.inner == 1 else 0
        image = forms.image_cycles(planes, rows, pitch, 1 if flat else 2 if step in (1, 2) else 3, lanes)
    terms = weights.channels * prod(weights.kernel)
    return forms.tiles_cycles(terms, -(-weights.rows // mr) * mr, vectors, image)


def sweep_steps(sweep: Sweep) -> tuple[list, int, Cuts | None]:
    """Steps (address, words, n, chunk) of a convolution by register tiles, their bytes of scratch, and what a task makes."""
    element = arithmetic_type(sweep.source.type)
    lanes = lanes_of(sweep.source.type)
    mr, nv = choose_tile(sweep.weights.rows)
    tasks = sweep.samples * sweep.groups
    wanted = 1 if tasks >= 8 else min(8 // tasks, sweep.work() // SHARE)
    reuse = sweep.weights.rows * prod(sweep.weights.kernel)
    sweep = replace(
        sweep, volume=choose_volume(sweep.volume, sweep.source, sweep.weights.channels, reuse, lanes)
    )
    block = choose_block(sweep.volume, sweep.source, sweep.weights.channels, reuse, lanes, wanted, TOGETHER)
    strided = any(a.out_step > 1 for a in sweep.volume.axes)
    statics = Statics(
        S=element, T=sweep.source.type, W=sweep.weights.type, R=sweep.out.type, L=lanes, MR=mr, NV=nv,
        PLANAR=not strided and block.inner == 1 and sweep.out.planar(),
    )  # fmt: skip
    direct = reads_in_place(sweep.volume, sweep.source, block, lanes) and (
        statics.PLANAR or block.images == 1
    )
    builder = SweepBuilder(sweep, statics, block, direct)
    return builder.steps(), builder.layout.bytes, builder.cuts()


class SweepBuilder:
    """Writes the parameter words of one convolution."""

    def __init__(self, sweep: Sweep, statics: Statics, block: Block, direct: bool):
        self.sweep, self.statics, self.block, self.direct = sweep, statics, block, direct
        self.volume, self.layout = sweep.volume, Layout(statics.S)  # type: ignore[arg-type]
        self.row_blocks = -(-sweep.weights.rows // statics.MR)
        self.pitches = in_place_pitches(sweep.source) if direct else self.volume.pitches(block)
        self.channel_step = sweep.source.strides[1] if direct else self.volume.channel_size(block, statics.L)
        self.units = prod(block_counts(self.volume, block, sweep.samples)) * sweep.groups
        self.splits = self._splits()
        self.mode = 0 if direct else 2 if self.splits > 1 else 1
        self.taps = [self.volume.taps(p, self.pitches, sweep.weights.kernel) for p in self.volume.phases()]

    def _splits(self) -> int:
        """Shares of the output channels, where blocks alone are too few for several threads."""
        if self.units >= 4 or self.sweep.work() < 4 * SHARE:
            return 1
        return min(self.row_blocks, -(-8 // self.units))

    def steps(self) -> list:
        """Pack the weights, pack shared images if any, sweep."""
        statics, weights = self.statics, self.sweep.weights
        self.layout.flags()
        units = self.sweep.groups * self.row_blocks
        self.packed = [self.layout.take(units * weights.channels * len(t) * statics.MR) for t in self.taps]
        self.bias_at = self.layout.take(units * statics.MR)
        image = image_elements(self.volume, self.block, weights.channels, statics.L)
        self.unit_size = -(-image // 64) * 64
        self.shared_at = self.layout.take(self.unit_size * self.units if self.mode == 2 else 0)
        per_unit = weights.channels * prod(weights.kernel) * statics.MR
        packing = Statics(S=statics.S, W=statics.W, MR=statics.MR)
        together = (
            1 if weights.row_step > weights.channel_step else 8
        )  # rows that lie close are read together
        chunk = max(together, 30_000 // per_unit)
        steps = [(kernel(kernels.pack_weights, packing), self._weight_words(), units, chunk)]
        if self.mode == 2:
            steps.append(self._pack_step())
        tasks = self.units * self.splits
        steps.append((kernel(kernels.sweep, statics), self._sweep_words(), tasks, self._chunk(tasks)))
        return steps

    def cuts(self) -> Cuts | None:
        """What a task makes of the result; None where its pixels do not follow one another."""
        block, groups, splits, weights = self.block, self.sweep.groups, self.splits, self.sweep.weights
        depth, height, width = self.sweep.out.shape[2:]
        planes, lines = (n * a.out_step for n, a in zip(block.rows, self.volume.axes))
        samples, blocks_d, blocks_h = block_counts(self.volume, block, self.sweep.samples)
        if blocks_h > 1 and planes > 1 and depth > 1:
            return None
        starts = [(n * depth + min(d * planes, depth)) * height + min(h * lines, height)
                  for n in range(0, samples * block.images, block.images) for d in range(blocks_d) for h in range(blocks_h)]  # fmt: skip
        rows = [self.row_blocks * s // splits * self.statics.MR for s in range(splits)]
        return Cuts(
            Cut(groups * splits, [n * width for n in (*starts, self.sweep.samples * depth * height)]),
            Cut(1, channel_bounds(groups, weights.rows, rows)),
        )

    def _weight_words(self) -> list[int]:
        weights, tables = self.sweep.weights, Tables(WEIGHTS.size)
        entries: list[int] = []
        for place, taps in zip(self.packed, self.taps):
            entries += [len(taps), tables.add([index for _, index in taps]), place]
        values = {
            "weight": weights.slot, "bias": weights.bias_slot, "scratch": self.sweep.scratch_slot,
            "areas": areas(),
            "bias_at": self.bias_at, "blocks": self.row_blocks, "rows": weights.rows,
            "channels": weights.channels,
            "row_step": weights.row_step, "channel_step": weights.channel_step,
            "group_step": weights.group_step,
            "phases": len(self.taps), "phase_table": tables.add(entries),
        }  # fmt: skip
        return WEIGHTS.block(values) + tables.words

    def _pack_step(self) -> tuple:
        sweep, tables = self.sweep, Tables(PACK.size)
        channels = sweep.weights.channels
        shares = min(channels, -(-8 // self.units))
        values = {
            "source": sweep.source.slot, "scratch": sweep.scratch_slot, "shared_at": self.shared_at,
            "unit_size": self.unit_size, "channels": channels, "shares": shares,
            "grid": tables.add(grid_words(self.volume, self.block, sweep.source, sweep.groups, channels)),
            "image": tables.add(
                image_words(self.volume, self.block, sweep.source, channels, self.statics.L, tables)
            ),
        }  # fmt: skip
        statics = Statics(S=self.statics.S, T=self.statics.T, L=self.statics.L, PLANAR=self.block.inner == 1)
        return kernel(kernels.pack_all, statics), PACK.block(values) + tables.words, self.units * shares, 1

    def _vectors(self, counts: tuple[int, int, int], images: int) -> list[tuple[int, int, int, int]]:
        if min(counts) <= 0:
            return []
        planes, rows, width = counts
        found = cover((planes, rows, width * self.block.inner), self.pitches[1:3], self.statics.L)
        if self.block.inner > 1:
            return found
        step = self.sweep.source.strides[0] if self.direct else self.volume.plane(self.block)
        return repeated(found, images, step, self.sweep.out.strides[0])

    def _sweep_words(self) -> list[int]:
        sweep, volume, block = self.sweep, self.volume, self.block
        channels = sweep.weights.channels
        tables = Tables(SWEEP.size)
        grid = tables.add(grid_words(volume, block, sweep.source, sweep.groups, channels))
        image = tables.add(image_words(volume, block, sweep.source, channels, self.statics.L, tables))
        entries = [self._phase_words(tables, number) for number in range(len(self.taps))]
        positions = volume.plane(block) * block.images + 4 * self.statics.L
        area = Layout(self.statics.S)  # type: ignore[arg-type]
        area.take(self.unit_size if self.mode == 1 else 0)
        rows_at = area.take(0 if self.statics.PLANAR else positions * self.statics.MR)
        out_d, out_h, out_w = (a.out_step * stride for a, stride in zip(volume.axes, sweep.out.strides[2:]))
        values = {
            "out": sweep.out.slot, "source": sweep.source.slot, "scratch": sweep.scratch_slot,
            "areas": areas(),
            "area_at": self.layout.take(area.used * areas()), "area_size": area.used, "rows_at": rows_at,
            "shared_at": self.shared_at, "unit_size": self.unit_size, "bias_at": self.bias_at,
            "splits": self.splits, "blocks": self.row_blocks, "rows": sweep.weights.rows, "grid": grid,
            "image": image, "mode": self.mode, "channels": channels, "channel_step": self.channel_step,
            "out_n": sweep.out.strides[0], "out_c": sweep.out.strides[1], "out_d": out_d, "out_h": out_h,
            "out_w": out_w, "positions": positions, "phases": len(entries),
            "phase_table": tables.add([w for e in entries for w in e]),
        }  # fmt: skip
        return SWEEP.block(values) + tables.words

    def _phase_words(self, tables: Tables, number: int) -> list[int]:
        sweep, rows, taps = self.sweep, self.block.rows, self.taps[number]
        phases = self.volume.phases()[number]
        depth, height, width = (p.count for p in phases)
        cuts = [-(-axis.count // size) - 1 for axis, size in zip(self.volume.axes, rows)]
        if cuts[1]:
            cuts[0] = 0  # the last block is then the last one of the rows, in every plane
        images = self.block.images
        full = self._vectors((min(rows[0], depth), min(rows[1], height), width), images)
        left = (min(rows[0], depth - cuts[0] * rows[0]), min(rows[1], height - cuts[1] * rows[1]), width)
        last = self._vectors(left, sweep.samples - (-(-sweep.samples // images) - 1) * images)
        full_at = tables.add([w for v in full for w in v])
        last_at = full_at if last == full else tables.add([w for v in last for w in v])
        starts = [p.start * stride for p, stride in zip(phases, sweep.out.strides[2:])]
        inner = self.block.inner
        values = {
            "taps": len(taps), "offsets": tables.add([offset for offset, _ in taps]),
            "weights": self.packed[number],
            "vectors": len(full), "table": full_at, "last_vectors": len(last), "last_table": last_at,
            "out_start": sum(starts), "depth": depth, "height": height, "width": width,
            "pitch_n": 1 if inner > 1 else self.volume.plane(self.block), "pitch_d": self.pitches[1],
            "pitch_h": self.pitches[2], "pitch_w": self.pitches[3],
        }  # fmt: skip
        return PHASE.block(values)

    def _chunk(self, tasks: int) -> int:
        work = max(1, self.sweep.work())
        if work < SHARE:
            return tasks
        return max(1, min(SHARE * tasks // work, tasks // 2))
