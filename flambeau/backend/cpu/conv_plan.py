"""Plans of the tiled convolution: block sizes, tables and parameter words for the kernels in `conv_kernels`."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from . import conv_kernels as kernels
from . import jit
from .builder import Module
from .conv_geometry import Axis, Block, Volume, cover, dense
from .conv_kernels import IMAGE, PHASE, SWEEP, WEIGHTS, Statics
from .native import Native, define
from .types import BY_CODE, Type, f32

#: bytes of padded image that one thread keeps in its second-level cache
IMAGE_BYTES = 384 << 10
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

    return jit.build(f"{function.fingerprint()}|{name}|{statics.key()}|{_words_key()}", text, [name], level=LEVEL)[0]


@lru_cache(None)
def _words_key() -> str:
    found = [(n, w.names) for n, w in vars(kernels).items() if isinstance(w, kernels.Words)]
    return repr(found)


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
    epilogue: object = None
    scalars: tuple[tuple[int, int], ...] = ()  # (frame slot, kind) of the epilogue's scalars

    @property
    def samples(self) -> int:
        return self.source.shape[0]

    def channel_bytes(self, block: Block) -> int:
        return self.volume.plane(block) * block.images * arithmetic_type(self.source.type).bytes


def choose_block(sweep: Sweep, lanes: int) -> tuple[Block, bool]:
    """How to cut the outputs, and whether vectors run across samples (for tiny images)."""
    depth, height, width = sweep.volume.axes
    whole = Block(1, (depth.count, height.count))
    channels = sweep.weights.channels
    image = sweep.channel_bytes(whole) * channels
    outputs = depth.count * height.count * width.count
    vectors = len(cover((depth.count, height.count, width.count), _pitches(sweep.volume, whole), lanes))
    if sweep.samples > 1 and vectors * lanes > 1.4 * sweep.volume.plane(whole) and image < IMAGE_BYTES // 2:
        images = max(1, min(sweep.samples, IMAGE_BYTES // max(1, image), -(-12 * lanes // outputs)))
        return Block(images, whole.rows), images > 1
    tasks = sweep.samples * sweep.groups
    work = outputs * channels * sweep.weights.rows * prod(sweep.weights.kernel)
    pieces = max(-(-image // IMAGE_BYTES), 1 if tasks >= 8 else min(8 // tasks, work // SHARE))
    if pieces <= 1:
        return whole, False
    if depth.count > 1:
        planes = max(1, depth.count // pieces)
        pieces = -(-pieces * planes // depth.count)
        if pieces <= 1 or planes > 1:
            return Block(1, (planes, height.count)), False
        return Block(1, (1, _rows(height, pieces))), False
    return Block(1, (1, _rows(height, pieces))), False


def _rows(height: Axis, pieces: int) -> int:
    """Rows of a block: not so few that its border is read more often than its inside."""
    least = min(height.count, 2 * height.span)
    return max(least, 1, -(-height.count // pieces))


def _pitches(volume: Volume, block: Block) -> tuple[int, int]:
    _, rows, pitch = volume.extents(block)
    return rows * pitch, pitch


class Layout:
    """Carves one scratch buffer into areas, in elements of the arithmetic type, each at a 64-byte boundary."""

    def __init__(self, element: Type):
        self.bytes_each, self.used = element.bytes, 0

    def take(self, elements: int) -> int:
        place, line = self.used, 64 // self.bytes_each
        self.used += -(-elements // line) * line
        return place

    @property
    def bytes(self) -> int:
        return self.used * self.bytes_each


def sweep_steps(sweep: Sweep) -> tuple[list, int]:
    """Steps (address, words, n, chunk) of a convolution by register tiles, and the bytes of scratch they use."""
    element = arithmetic_type(sweep.source.type)
    lanes = lanes_of(sweep.source.type)
    mr, nv = choose_tile(sweep.weights.rows)
    block, across = choose_block(sweep, lanes)
    strided = any(a.out_step > 1 for a in sweep.volume.axes)
    direct = _reads_in_place(sweep, lanes) and not across
    compress = not strided and not across and sweep.out.planar()
    statics = Statics(
        S=element, T=sweep.source.type, W=sweep.weights.type, R=sweep.out.type, L=lanes, MR=mr, NV=nv,
        COMPRESS=compress, EPILOGUE=sweep.epilogue, SCALARS=tuple(kind for _, kind in sweep.scalars),
    )  # fmt: skip
    builder = _SweepBuilder(sweep, statics, block, across, direct)
    return builder.steps(), builder.layout.bytes


def _reads_in_place(sweep: Sweep, lanes: int) -> bool:
    """Whether the operand needs neither padding, nor widening, nor strided images."""
    source = sweep.source
    if source.type.register is not source.type or not source.planar():
        return False
    for axis in sweep.volume.axes:
        unpadded = axis.low == 0 and axis.count + axis.high <= axis.size
        if axis.step != 1 or axis.out_step != 1 or not unpadded:
            return False
    return True


class _SweepBuilder:
    """Writes the parameter words of one convolution."""

    def __init__(self, sweep: Sweep, statics: Statics, block: Block, across: bool, direct: bool):
        self.sweep, self.statics, self.block, self.across, self.direct = sweep, statics, block, across, direct
        self.volume = sweep.volume
        self.layout = Layout(statics.S)
        self.mr = statics.MR
        self.row_blocks = -(-sweep.weights.rows // self.mr)
        if direct:
            _, _, _, height, width = sweep.source.shape
            self.row_pitches = (height * width, width)
            self.channel_step = sweep.source.strides[1]
        else:
            self.row_pitches = _pitches(self.volume, block)
            self.channel_step = self.volume.plane(block) * block.images

    def steps(self) -> list:
        sweep, volume = self.sweep, self.volume
        units = sweep.groups * self.row_blocks
        taps = self._taps()
        self.layout.take(kernels.FLAG_WORDS * 8 // self.statics.S.bytes * areas())
        self.packed = [self.layout.take(units * sweep.weights.channels * len(t) * self.mr) for t in taps]
        self.bias_at = self.layout.take(units * self.mr)
        weights = self._weight_words(taps)
        main, tasks, chunk = self._sweep_words(taps)
        per_unit = sweep.weights.channels * prod(sweep.weights.kernel) * self.mr
        first = (kernel(kernels.pack_weights, self._weight_statics()), weights, units, max(1, 30_000 // per_unit))
        return [first, (kernel(kernels.sweep, self.statics), main, tasks, chunk)]

    def _weight_statics(self) -> Statics:
        return Statics(S=self.statics.S, W=self.statics.W, MR=self.mr)

    def _taps(self):
        strided_image = prod(self.volume.extents(self.block))
        pitches = (strided_image, *self.row_pitches)
        return [self.volume.taps(p, pitches, self.sweep.weights.kernel) for p in self.volume.phases()]

    def _weight_words(self, taps) -> list[int]:
        weights = self.sweep.weights
        table: list[int] = []
        entries: list[int] = []
        start = len(WEIGHTS.names) + kernels.PHASE_WEIGHTS * len(taps)
        for place, phase in zip(self.packed, taps):
            entries += [len(phase), start + len(table), place]
            table += [index for _, index in phase]
        values = {
            "weight": weights.slot, "bias": weights.bias_slot, "scratch": self.sweep.scratch_slot, "areas": areas(),
            "packed": 0, "bias_at": self.bias_at, "groups": self.sweep.groups, "blocks": self.row_blocks,
            "rows": weights.rows, "channels": weights.channels, "row_step": weights.row_step,
            "channel_step": weights.channel_step, "group_step": weights.group_step, "phases": len(taps),
            "phase_table": len(WEIGHTS.names),
        }  # fmt: skip
        return WEIGHTS.block(values, entries + table)

    def _vectors(self, counts: tuple[int, int, int], images: int) -> list[tuple[int, int, int, int]]:
        lanes = self.statics.L
        if min(counts) <= 0:
            return []
        if self.across:
            return dense(images * self.volume.plane(self.block), lanes)
        found = cover(counts, self.row_pitches, lanes)
        if not self.statics.COMPRESS:
            found = [(first, mask, first, used) for first, mask, _, used in found]
        return found

    def _sweep_words(self, taps) -> tuple[list[int], int, int]:
        sweep, volume, block = self.sweep, self.volume, self.block
        depth, height, _ = volume.axes
        blocks = (
            -(-sweep.samples // block.images), -(-depth.count // block.rows[0]), -(-height.count // block.rows[1])
        )  # fmt: skip
        splits = self._splits(prod(blocks) * sweep.groups)
        tables = _Tables(len(SWEEP.names) + len(sweep.scalars))
        tables.add([slot for slot, _ in sweep.scalars], at_front=True)
        last_axis = 0 if block.images > 1 else 1 if blocks[2] == 1 and blocks[1] > 1 else 2
        image_at = tables.add(self._image_words(tables))
        entries = [self._phase_words(tables, p, t, k, blocks) for k, (p, t) in enumerate(zip(volume.phases(), taps))]
        phase_at = tables.add([w for e in entries for w in e])
        positions = volume.plane(block) * block.images + 2 * self.statics.L
        area = Layout(self.statics.S)
        if not self.direct:
            area.take(self.channel_step * sweep.weights.channels + volume.width() + 4 * self.statics.L)
        rows_at = area.take(0 if self.statics.COMPRESS else positions * self.mr)
        size = area.used
        area_at = self.layout.take(size * areas())
        source, out = sweep.source, sweep.out
        steps = [axis.out_step * stride for axis, stride in zip(volume.axes, out.strides[2:])]
        values = {
            "out": out.slot, "source": source.slot, "scratch": sweep.scratch_slot, "areas": areas(),
            "area_at": area_at, "area_size": size, "rows_at": rows_at, "bias_at": self.bias_at,
            "groups": sweep.groups, "splits": splits, "blocks": self.row_blocks, "rows": sweep.weights.rows,
            "blocks_n": blocks[0], "blocks_d": blocks[1], "blocks_h": blocks[2], "block_n": block.images,
            "block_d": block.rows[0], "block_h": block.rows[1], "samples": sweep.samples, "depth": depth.count,
            "height": height.count, "last_axis": last_axis, "pack": int(not self.direct),
            "channels": sweep.weights.channels, "channel_step": self.channel_step, "source_n": source.strides[0],
            "source_d": source.strides[2], "source_h": source.strides[3],
            "source_group": source.strides[1] * sweep.weights.channels, "image": image_at, "out_n": out.strides[0],
            "out_c": out.strides[1], "out_d": steps[0], "out_h": steps[1], "out_w": steps[2],
            "packed_positions": positions, "phases": len(entries), "phase_table": phase_at,
        }  # fmt: skip
        tasks = prod(blocks) * sweep.groups * splits
        return SWEEP.block(values, tables.words), tasks, self._chunk(tasks)

    def _work(self) -> int:
        outputs = prod(a.count for a in self.volume.axes) * self.sweep.samples * len(self.volume.phases())
        taps = prod(self.sweep.weights.kernel) / max(1, len(self.volume.phases()))
        return int(outputs * self.sweep.groups * self.sweep.weights.rows * self.sweep.weights.channels * taps)

    def _splits(self, tasks: int) -> int:
        """Shares of the output channels, where blocks alone are too few for several threads."""
        if tasks >= 4 or self._work() < 4 * SHARE:
            return 1
        return min(self.row_blocks, -(-8 // tasks))

    def _chunk(self, tasks: int) -> int:
        work = self._work()
        if work < SHARE:
            return tasks
        return max(1, min(SHARE * tasks // work, tasks // 2))

    def _image_words(self, tables) -> list[int]:
        volume, block, source = self.volume, self.block, self.sweep.source
        depth, height, width = volume.axes
        extents = volume.extents(block)
        residues = [*depth.images, *height.images]
        for image in range(len(width.images)):
            zeros, inside, first = width.valid(image, width.low, volume.width())
            residues += [zeros, inside, first * source.strides[4]]
        values = {
            "channels": self.sweep.weights.channels, "samples": block.images, "channel_step": source.strides[1],
            "sample_step": source.strides[0], "depth_step": source.strides[2], "height_step": source.strides[3],
            "depth_size": depth.size, "height_size": height.size, "depth_stride": depth.step,
            "height_stride": height.step, "width_stride": width.step * source.strides[4], "depth_low": depth.low,
            "height_low": height.low, "planes": extents[0], "rows": extents[1], "pitch": extents[2],
            "depth_images": len(depth.images), "height_images": len(height.images),
            "width_images": len(width.images), "residues": tables.add(residues), "width": volume.width(),
        }  # fmt: skip
        return IMAGE.block(values)

    def _phase_words(self, tables, phases, taps, number: int, blocks) -> list[int]:
        block, sweep = self.block, self.sweep
        counts = [p.count for p in phases]
        rows = block.rows
        full = self._vectors((min(rows[0], counts[0]), min(rows[1], counts[1]), counts[2]), block.images)
        left = [counts[0] - (blocks[1] - 1) * rows[0], counts[1] - (blocks[2] - 1) * rows[1]]
        rest = sweep.samples - (blocks[0] - 1) * block.images
        last = self._vectors((left[0], left[1], counts[2]), rest)
        full_at = tables.add([w for v in full for w in v])
        last_at = full_at if last == full else tables.add([w for v in last for w in v])
        starts = [p.start * stride for p, stride in zip(phases, sweep.out.strides[2:])]
        values = {
            "taps": len(taps), "offsets": tables.add([offset for offset, _ in taps]), "weights": self.packed[number],
            "vectors": len(full), "table": full_at, "last_vectors": len(last), "last_table": last_at,
            "out_start": sum(starts), "depth": counts[0], "height": counts[1], "width": counts[2],
            "pitch_n": self.volume.plane(block), "pitch_d": self.row_pitches[0], "pitch_h": self.row_pitches[1],
        }  # fmt: skip
        return PHASE.block(values)


class _Tables:
    """Words after a parameter block; `add` gives the place of a table, counted from the start of the block."""

    def __init__(self, start: int):
        self.start, self.words = start, []

    def add(self, words: list[int], at_front: bool = False) -> int:
        if at_front:
            self.start -= len(words)
        place = self.start + len(self.words)
        self.words += words
        return place


