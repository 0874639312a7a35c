"""Plans of the gradients of a convolution's weight and bias."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from . import conv_weight_kernels as kernels
from . import jit
from .conv_geometry import Block, Volume, cover
from .conv_kernels import IMAGE, Statics
from .conv_plan import (
    SHARE,
    Layout,
    Operand,
    Tables,
    areas,
    arithmetic_type,
    block_counts,
    choose_block,
    choose_volume,
    grid_words,
    image_elements,
    image_words,
    in_place_pitches,
    kernel,
    lanes_of,
    reads_in_place,
    repeated,
)  # fmt: skip
from .conv_weight_kernels import CHANNELS, GRADIENT, OPERAND, SUM
from .types import Type

#: partial results of a weight's gradient: enough for many threads, few enough to add up quickly
PARTS = 16
#: bytes of all partial results together
PART_BYTES = 8 << 20
#: bytes of gradient that a tile goes through at a time: most of a first-level cache
TILE_BYTES = 24 << 10


@dataclass(frozen=True)
class WeightGradient:
    """A gradient of the weight, ready to be scheduled: `source` is the convolution's input."""

    volume: Volume
    source: Operand
    grad: Operand
    out_slot: int
    out_type: Type
    rows: int  # output channels of one group
    channels: int  # input channels of one group
    groups: int
    kernel: tuple[int, int, int]
    scratch_slot: int

    @property
    def samples(self) -> int:
        return self.source.shape[0]

    def work(self) -> int:
        """Multiply-adds."""
        outputs = prod(a.count for a in self.volume.axes)
        return self.samples * self.groups * self.rows * self.channels * prod(self.kernel) * outputs


@lru_cache(None)
def gradient_tiles() -> tuple[tuple[int, int], ...]:
    """(rows, columns) of register tiles; the wide ones need 32 registers."""
    many = jit.has_feature("avx512f") or not jit.has_feature("sse2")
    return ((8, 3), (4, 6), (2, 9), (1, 9)) if many else ((4, 3), (2, 4), (1, 9))


def choose_gradient_tile(rows: int, columns: int) -> tuple[int, int]:
    """The tile that wastes least on `rows` output channels and `columns` weights of each."""

    def cost(shape):
        mr, nc = shape
        padded = (-(-rows // mr) * mr) * (-(-columns // nc) * nc)
        return padded * (mr * nc + mr + 2 * nc) / (mr * nc), -mr

    return min(gradient_tiles(), key=cost)


def gradient_steps(task: WeightGradient) -> tuple[list, int]:
    """Steps of a weight's gradient and the bytes of scratch they use."""
    lanes = lanes_of(task.source.type)
    mr, nc = choose_gradient_tile(task.rows, task.channels * prod(task.kernel))
    reuse = task.rows * prod(task.kernel)
    task = replace(task, volume=choose_volume(task.volume, task.source, task.channels, reuse, lanes))
    block = choose_block(
        task.volume, task.source, task.channels, reuse, lanes, 1, chunk_vectors(mr, lanes, task.source.type)
    )
    planar = block.inner == 1 and task.grad.planar()
    direct = reads_in_place(task.volume, task.source, block, lanes) and (planar or block.images == 1)
    statics = Statics(
        S=arithmetic_type(task.source.type), T=task.source.type, R=task.grad.type, W=task.out_type, L=lanes,
        MR=mr,
        NV=nc, PLANAR=planar,
    )  # fmt: skip
    builder = GradientBuilder(task, statics, block, direct)
    return builder.steps(), builder.layout.bytes


def chunk_vectors(rows: int, lanes: int, element: Type) -> int:
    """Vectors of gradient that a tile goes through at a time."""
    return max(8, TILE_BYTES // (rows * lanes * arithmetic_type(element).bytes))


class GradientBuilder:
    """Writes the parameter words of one weight's gradient."""

    def __init__(self, task: WeightGradient, statics: Statics, block: Block, direct: bool):
        self.task, self.statics, self.block, self.direct = task, statics, block, direct
        self.volume, self.layout = task.volume, Layout(statics.S)  # type: ignore[arg-type]
        self.row_blocks = -(-task.rows // statics.MR)
        self.columns = task.channels * prod(task.kernel)
        self.padded = -(-self.columns // statics.NV) * statics.NV
        self.pitches = in_place_pitches(task.source) if direct else self.volume.pitches(block)
        self.channel_step = task.source.strides[1] if direct else self.volume.channel_size(block, statics.L)
        self.count = prod(block_counts(self.volume, block, task.samples))
        self.split_size = task.groups * self.row_blocks * self.padded * statics.MR
        bytes_each = self.split_size * statics.S.bytes  # type: ignore[attr-defined]
        self.splits = max(1, min(self.count, PARTS, PART_BYTES // bytes_each, task.work() // SHARE))
        self.shares = 1
        if self.splits * task.groups < 8 and task.work() > 4 * SHARE:
            self.shares = min(self.row_blocks, -(-8 // (self.splits * task.groups)))
        self.mode = 0 if direct else 2 if self.shares > 1 else 1

    def steps(self) -> list:
        task, statics = self.task, self.statics
        flags = self.layout.flags()
        assert flags == 0
        element = Statics(S=statics.S)
        steps: list = [(kernel(kernels.clear_areas, element), [task.scratch_slot, areas()], 1, 1)]
        image = image_elements(self.volume, self.block, task.channels, statics.L)
        self.unit_size = -(-image // 64) * 64
        self.shared_at = 0
        if self.mode == 2:
            self.shared_at = self.layout.take(self.unit_size * self.count * task.groups)
            steps.append(self._pack_step())
        self.partial_at = self.layout.take(self.split_size * self.splits)
        tasks = self.splits * task.groups * self.shares
        chunk = tasks if task.work() < SHARE else max(1, min(SHARE * tasks // task.work(), tasks // 2))
        steps.append((kernel(kernels.weight_gradient, statics), self._words(), tasks, chunk))
        values = {
            "out": task.out_slot, "scratch": task.scratch_slot, "partial_at": self.partial_at,
            "splits": self.splits, "split_size": self.split_size, "blocks": self.row_blocks,
            "rows": task.rows,
            "columns": self.columns, "padded": self.padded,
        }  # fmt: skip
        units = task.groups * self.row_blocks
        each = self.padded * statics.MR * (self.splits + 2)
        summing = Statics(S=statics.S, W=statics.W, MR=statics.MR)
        steps.append(
            (kernel(kernels.sum_partials, summing), SUM.block(values), units, max(1, 60_000 // each))
        )
        return steps

    def _pack_step(self) -> tuple:
        task, tables = self.task, Tables(OPERAND.size)
        units = self.count * task.groups
        shares = min(task.channels, -(-8 // units))
        values = {
            "source": task.source.slot, "scratch": task.scratch_slot, "areas": areas(),
            "shared_at": self.shared_at, "unit_size": self.unit_size, "channels": task.channels,
            "shares": shares,
            "grid": tables.add(grid_words(self.volume, self.block, task.source, task.groups, task.channels)),
            "image": tables.add(
                image_words(self.volume, self.block, task.source, task.channels, self.statics.L, tables)
            ),
        }  # fmt: skip
        statics = Statics(S=self.statics.S, T=self.statics.T, L=self.statics.L, PLANAR=self.block.inner == 1)
        return kernel(kernels.pack_operands, statics), OPERAND.block(values) + tables.words, units * shares, 1

    def _vectors(self, last: bool) -> list[tuple[int, int, int, int]]:
        sizes = list(self.block.rows)
        if last:
            for k, axis in enumerate(self.volume.axes[:2]):
                sizes[k] = axis.count - (-(-axis.count // sizes[k]) - 1) * sizes[k]
        width = self.volume.axes[2].count * self.block.inner
        found = cover((sizes[0], sizes[1], width), self.pitches[1:3], self.statics.L)
        if self.block.inner > 1:
            return found
        images, samples = self.block.images, self.task.samples
        if last:
            images = samples - (-(-samples // images) - 1) * images
        step = self.task.source.strides[0] if self.direct else self.volume.plane(self.block)
        return repeated(found, images, step, self.task.grad.strides[0])

    def _words(self) -> list[int]:
        task, statics, tables = self.task, self.statics, Tables(GRADIENT.size)
        (taps,) = [self.volume.taps(p, self.pitches, task.kernel) for p in self.volume.phases()]
        assert [index for _, index in taps] == list(range(len(taps)))
        offsets = [c * self.channel_step + offset for c in range(task.channels) for offset, _ in taps]
        offsets += [0] * (self.padded - self.columns)
        full, last = self._vectors(False), self._vectors(True)
        full_at = tables.add([w for v in full for w in v])
        last_at = full_at if last == full else tables.add([w for v in last for w in v])
        chunk = chunk_vectors(statics.MR, statics.L, task.source.type)
        chunk = -(-len(full) // -(-len(full) // chunk))
        positions = self.volume.plane(self.block) * self.block.images
        area = Layout(statics.S)  # type: ignore[arg-type]
        area.take(self.unit_size if self.mode == 1 else 0)
        tile_at = area.take(chunk * statics.MR * statics.L)
        rows_at = area.take(0 if statics.PLANAR else positions * statics.MR + 4 * statics.L)
        grad = task.grad
        values = {
            "grad": grad.slot, "source": task.source.slot, "scratch": task.scratch_slot, "areas": areas(),
            "area_at": self.layout.take(area.used * areas()), "area_size": area.used, "rows_at": rows_at,
            "tile_at": tile_at, "shared_at": self.shared_at, "unit_size": self.unit_size,
            "partial_at": self.partial_at, "splits": self.splits, "shares": self.shares,
            "blocks": self.row_blocks,
            "rows": task.rows, "mode": self.mode, "channels": task.channels,
            "channel_step": self.channel_step,
            "columns": self.padded, "column_table": tables.add(offsets), "grad_n": grad.strides[0],
            "grad_c": grad.strides[1], "grad_d": grad.strides[2], "grad_h": grad.strides[3],
            "count": self.count,
            "vectors": len(full), "table": full_at, "last_vectors": len(last), "last_table": last_at,
            "chunk": chunk, "positions": positions,
            "grid": tables.add(grid_words(self.volume, self.block, task.source, task.groups, task.channels)),
            "image": tables.add(
                image_words(self.volume, self.block, task.source, task.channels, self.statics.L, tables)
            ),
            "grad_image": tables.add(self._grad_image(tables)),
        }  # fmt: skip
        return GRADIENT.block(values) + tables.words

    def _grad_image(self, tables: Tables) -> list[int]:
        """How rows of the gradient are laid out at the pitch of the operand's image."""
        strides, block = self.task.grad.strides, self.block
        depth, height, width = self.volume.axes
        rows, pitch, inner = self.pitches[1] // self.pitches[2], self.pitches[2] // block.inner, block.inner
        values = {
            "channels": self.task.rows, "channel_size": self.volume.plane(block) * block.images,
            "sample_size": self.volume.plane(block), "inner": inner, "channel_step": strides[1],
            "sample_step": strides[0], "depth_step": strides[2], "height_step": strides[3],
            "depth_size": depth.count,
            "height_size": height.count, "depth_stride": 1, "height_stride": 1, "width_stride": strides[4],
            "depth_low": 0, "height_low": 0, "planes": block.rows[0], "rows": rows, "pitch": pitch,
            "width": width.count, "depth_images": 1, "height_images": 1, "width_images": 1,
            "residues": tables.add([0, 0, 0, width.count, 0]), "flat": 0,
        }  # fmt: skip
        return IMAGE.block(values)


def bias_gradient_step(grad: Operand, out_slot: int, out_type: Type) -> tuple:
    """The step that sums a gradient over samples and positions for each channel."""
    samples, channels, depth, height, width = grad.shape
    steps = dict(zip(("step_n", "step_c", "step_d", "step_h", "step_w"), grad.strides))
    if grad.planar():
        depth, height, width = 1, 1, depth * height * width
        steps["step_w"] = 1
    values = {
        "grad": grad.slot,
        "out": out_slot,
        "samples": samples,
        "depth": depth,
        "height": height,
        "width": width,
    }
    statics = Statics(S=arithmetic_type(grad.type), R=grad.type, W=out_type, L=lanes_of(grad.type))
    each = max(1, samples * depth * height * width)
    return (
        kernel(kernels.channel_sums, statics),
        CHANNELS.block(values | steps),
        channels,
        max(1, 200_000 // each),
    )
