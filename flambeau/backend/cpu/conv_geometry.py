"""The index arithmetic of convolutions, decided once per shape, in plain Python.

Every convolution here is the same sum. Along one axis, output `i` of a *phase* reads the elements `i + q`
of a strided *image* of the operand, image r holding the elements step*i + r:

- forward: stride s needs the images r = (k*dilation - padding) mod s, and there is one output phase;
- gradient of the input (and transposed convolution): one image, one output phase for each residue modulo s.

So strides never reach an inner loop: it only adds offsets from a table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod


@dataclass(frozen=True)
class Phase:
    """Outputs start, start + out_step, ... (`count` of them) and their taps (image, q, kernel index)."""

    start: int
    count: int
    taps: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Axis:
    """One spatial axis: `size` elements are read with `step`, through `images` (residues)."""

    size: int
    step: int
    images: tuple[int, ...]
    out_size: int
    out_step: int
    phases: tuple[Phase, ...]

    @property
    def low(self) -> int:
        return min((q for p in self.phases for _, q, _ in p.taps), default=0)

    @property
    def high(self) -> int:
        return max((q for p in self.phases for _, q, _ in p.taps), default=0)

    @property
    def span(self) -> int:
        return self.high - self.low

    @property
    def count(self) -> int:
        """Outputs of the longest phase."""
        return max(p.count for p in self.phases)

    def valid(self, image: int, first: int, count: int) -> tuple[int, int, int]:
        """Of `count` elements from index `first` of an image: zeros before, number inside, coordinate."""
        r = self.images[image]
        end = (self.size - 1 - r) // self.step + 1
        begin = max(first, -(r // self.step))
        inside = max(0, min(end, first + count) - begin)
        return min(begin - first, count), inside, self.step * begin + r

    def shifted(self) -> Axis:
        """The same axis with an image for each tap, in which every row is as long as a row of outputs."""
        assert len(self.phases) == 1
        (phase,) = self.phases
        offsets = tuple(self.step * q + self.images[image] for image, q, _ in phase.taps)
        taps = tuple((number, 0, k) for number, (_, _, k) in enumerate(phase.taps))
        return replace(self, images=offsets, phases=(replace(phase, taps=taps),))

    def pitch(self) -> int:
        """Distance of rows: padding right of a row may serve as padding left of the next."""
        width = self.count + self.span
        zeros = width
        for image in range(len(self.images)):
            left, inside, _ = self.valid(image, self.low, width)
            zeros = min(zeros, left, width - left - inside)
        return width - min(zeros, self.span)


def forward_axis(
    size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int, out: int = 0
) -> Axis:
    """The axis of a forward convolution; `out` overrides the usual size of the result."""
    out = out or (size + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1
    places = [divmod(k * dilation - padding[0], stride) for k in range(kernel)]
    images = tuple(sorted({r for _, r in places}))
    taps = tuple((images.index(r), q, k) for k, (q, r) in enumerate(places))
    return Axis(size, stride, images, out, 1, (Phase(0, out, taps),))


def transposed_axis(
    size: int, out: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> Axis:
    """The axis of the gradient of the input: `size` elements of gradient give `out` elements."""
    phases = []
    for start in range(min(stride, out)):
        taps = []
        for k in range(kernel):
            q, r = divmod(start + padding[0] - k * dilation, stride)
            if r == 0:
                taps.append((0, q, k))
        phases.append(Phase(start, (out - start + stride - 1) // stride, tuple(taps)))
    return Axis(size, 1, (0,), out, stride, tuple(phases))


@dataclass(frozen=True)
class Block:
    """How outputs are cut: `images` whole samples, or some rows of one (`rows[0]` planes of `rows[1]` rows).

    `inner` is 1 where the samples of a block lie one after another, `images` where they lie side by side for
    each pixel (tiny images).
    """

    images: int
    rows: tuple[int, int]
    inner: int = 1


@dataclass(frozen=True)
class Volume:
    """Three axes (depth, height, width) of a convolution and the scratch image that one block reads."""

    axes: tuple[Axis, Axis, Axis]

    def extents(self, block: Block) -> tuple[int, int, int]:
        """Rows, columns and pitch of one scratch image: (planes, rows, distance of rows)."""
        depth, height, width = self.axes
        return block.rows[0] + depth.span, block.rows[1] + height.span, width.pitch()

    def shifted(self) -> Volume:
        """The same sums from an image for each tap of the width."""
        return replace(self, axes=(*self.axes[:2], self.axes[2].shifted()))

    def image_count(self) -> int:
        return prod(len(a.images) for a in self.axes)

    def plane(self, block: Block) -> int:
        """Elements of one channel of one sample in the scratch image, all its strided images together."""
        return self.image_count() * prod(self.extents(block))

    def channel_size(self, block: Block, lanes: int) -> int:
        """Elements of a channel in the scratch image of a block; rows are written in whole vectors."""
        pitch = self.extents(block)[2] * block.inner
        written = -(-self.width() * block.inner // lanes) * lanes
        return self.plane(block) * block.images + max(lanes, written - pitch)

    def width(self) -> int:
        """Elements that a scratch row must hold, of which the last may be the next row's first zeros."""
        return self.axes[2].count + self.axes[2].span

    def phases(self) -> list[tuple[Phase, Phase, Phase]]:
        return list(product(*(a.phases for a in self.axes)))

    def pitches(self, block: Block) -> tuple[int, int, int, int]:
        """Distances in the scratch: of strided images, planes, rows and pixels."""
        planes, rows, pitch = self.extents(block)
        inner = block.inner
        return planes * rows * pitch * inner, rows * pitch * inner, pitch * inner, inner

    def taps(self, phases: tuple[Phase, Phase, Phase], pitches: tuple[int, ...], kernel: tuple[int, ...]):
        """(offset in the scratch, index in the kernel) of each tap."""
        counts = [len(a.images) for a in self.axes]
        lows = [a.low for a in self.axes]
        found = []
        for tap in product(*(p.taps for p in phases)):
            image = (tap[0][0] * counts[1] + tap[1][0]) * counts[2] + tap[2][0]
            q = [t[1] - low for t, low in zip(tap, lows)]
            offset = image * pitches[0] + q[0] * pitches[1] + q[1] * pitches[2] + q[2] * pitches[3]
            index = (tap[0][2] * kernel[1] + tap[1][2]) * kernel[2] + tap[2][2]
            found.append((offset, index))
        return found


def cover(
    counts: tuple[int, int, int], pitches: tuple[int, int], lanes: int
) -> list[tuple[int, int, int, int]]:
    """Vectors that cover the valid positions of a padded image.

    Each is (first position, lane mask, output offset, lanes used). The position of output (d, h, w) is
    d*pitches[0] + h*pitches[1] + w. No vector reaches past the last valid position where the image has room
    for it, so that an unpadded operand can be read in place.
    """
    planes, rows, width = counts
    if rows > 1 and pitches[1] == width:  # rows that follow one another are one row
        rows, width = 1, rows * width
    starts = [d * pitches[0] + h * pitches[1] for d in range(planes) for h in range(rows)]
    if not starts or width <= 0:
        return []
    last = max(0, starts[-1] + width - lanes)
    found = []
    row = column = done = 0
    while row < len(starts):
        begin = starts[row] + column
        first = min(begin, last)
        mask = used = 0
        while row < len(starts) and starts[row] + column < first + lanes:
            take = min(width - column, first + lanes - starts[row] - column)
            mask |= ((1 << take) - 1) << (starts[row] + column - first)
            used += take
            column += take
            if column == width:
                row, column = row + 1, 0
        found.append((first, mask, done, used))
        done += used
    return found


def vector_count(counts: tuple[int, int, int], pitches: tuple[int, int], lanes: int) -> int:
    """How many vectors `cover` needs; for a large image about as many."""
    positions = counts[0] * counts[1] * pitches[1]
    if positions > 16384:
        return positions // lanes
    return len(cover(counts, pitches, lanes))
