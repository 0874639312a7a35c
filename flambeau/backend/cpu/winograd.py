"""3x3 convolutions by Winograd's minimal filtering F(4x4, 3x3): a quarter of the multiplications.

Outputs are cut into 4x4 tiles, each of which depends on 6x6 inputs. Tiles, weights and (for the weight's gradient) output
gradients are taken to 36 numbers each; in these, a convolution is 36 matrix products.

    result   Y = A'[(G w G') * (B' d B)]A        gradient of w = G'[(A dY A') * (B' d B)]G, summed over tiles

A plane is first split into 16 phases (row and column modulo 4), so that the elements (i, j) of neighbouring tiles lie side
by side and lanes run over tiles. A row of tiles is one longer there than needed, which lets tile numbers run on through
rows; where the processor can move lanes together, the surplus tiles are left out of the products.
Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.
"""

from __future__ import annotations

from typing import NamedTuple

from . import conv_forms as forms
from . import gemm, jit
from .conv_kernels import Words
from .conv_lanes import (
    compress,
    deinterleave,
    first_lanes,
    lane_mask,
    load_expanded,
    load_masked,
    store_masked,
)
from .gemm import Operand
from .native import bitcast, fill_bytes, fma, load, local, native, prefetch, shuffle, splat, store, unroll
from .pieces import Cut, Cuts
from .types import f32, i8, i64, ptr, vec

LANES = 16
POINTS = 36
GRADIENT = 0  # template argument of `tiles_to_points`
CLOSE = False  # template argument: whether the surplus tiles of rows are left out
STRIP = 1024  # most elements of a phase that are held at once
SIZE = STRIP + 4 * LANES  # room of a phase: whole vectors are stored and read past its end
ROW = 4096  # longest row of a plane with its padding
GROUP_BYTES = (
    4 << 20
)  # transformed samples handled together: enough for both cores, little enough for their caches
AHEAD = 64  # elements of each of the 36 results that are asked for beforehand: a row of them is read through all samples
EACH = 1024  # elements of a channel that a task finishes, of several samples where they are smaller
F, I, V = ptr(f32), ptr(i64), vec(f32, LANES)


def closes_up() -> bool:
    """Whether lanes are moved together and apart by single instructions."""
    return jit.has_feature("avx512f")


class Geometry(NamedTuple):
    """A convolution of planes of height x width with a padding, giving out_height x out_width."""

    samples: int
    channels: int  # of what is read
    rows: int  # channels of what is written
    height: int
    width: int
    padding: tuple[int, int]
    out_height: int
    out_width: int

    @property
    def down(self) -> int:
        return -(-self.out_height // 4)

    @property
    def pitch(self) -> int:
        return -(-self.out_width // 4) + 1

    @property
    def tiles(self) -> int:
        """Columns of a sample in the products: its tiles, and those past a row's end where they are not left out."""
        return self.down * (self.pitch - 1 if closes_up() else self.pitch)

    def groups(self) -> list[tuple[int, int]]:
        """(first sample, samples) of what is handled together."""
        each = max(1, GROUP_BYTES // (4 * POINTS * self.tiles * max(self.channels, self.rows)))
        return [(k, min(each, self.samples - k)) for k in range(0, self.samples, each)]


def pays(g: Geometry, gradient: bool = False) -> bool:
    """Whether the transformed way is the faster one, by a count of cycles; gradient: of the weight."""
    if min(g.channels, g.rows) < 16 or g.pitch * 4 + 5 * LANES > ROW or g.pitch * 2 > STRIP:
        return False
    if 0 in (g.samples, g.out_height, g.out_width) or max(g.padding) > 2:
        return False
    pixels, vectors = g.samples * g.out_height * g.out_width, -(-g.down * g.pitch // LANES)
    columns = g.samples * g.tiles
    points = forms.points_cycles(g.channels, g.rows, vectors, g.samples, columns, LANES, gradient)
    if gradient:
        return points < forms.gradient_cycles(
            g.rows, 9 * g.channels, g.samples, g.out_height, g.out_width, LANES
        )
    return points < forms.direct_cycles(g.rows, 9 * g.channels, pixels, LANES)


# -- one-dimensional transforms ------------------------------------------------------------------------------


@native
def to_points(d: ptr(V), at: i64, step: i64):
    """B' applied to six vectors, in place."""
    d0, d1, d2 = d[at], d[at + step], d[at + 2 * step]
    d3, d4, d5 = d[at + 3 * step], d[at + 4 * step], d[at + 5 * step]
    four, minus_four, minus_five = splat(f32(4), LANES), splat(f32(-4), LANES), splat(f32(-5), LANES)
    two, minus_two = splat(f32(2), LANES), splat(f32(-2), LANES)
    even = fma(minus_four, d2, d4)
    odd = fma(minus_four, d1, d3)
    near, far = d4 - d2, d3 - d1
    d[at] = fma(four, d0, fma(minus_five, d2, d4))
    d[at + step] = even + odd
    d[at + 2 * step] = even - odd
    d[at + 3 * step] = fma(two, far, near)
    d[at + 4 * step] = fma(minus_two, far, near)
    d[at + 5 * step] = fma(four, d1, fma(minus_five, d3, d5))


@native
def from_points(m: ptr(V), at: i64, step: i64):
    """A' applied to six vectors: the first four places get the result."""
    m0, m5 = m[at], m[at + 5 * step]
    near, apart = m[at + step] + m[at + 2 * step], m[at + step] - m[at + 2 * step]
    wide, across = m[at + 3 * step] + m[at + 4 * step], m[at + 3 * step] - m[at + 4 * step]
    two, four, eight = splat(f32(2), LANES), splat(f32(4), LANES), splat(f32(8), LANES)
    m[at] = m0 + near + wide
    m[at + step] = fma(two, across, apart)
    m[at + 2 * step] = fma(four, wide, near)
    m[at + 3 * step] = fma(eight, across, apart + m5)


@native
def spread_points(y: ptr(V), at: i64, step: i64):
    """A applied to four vectors: six places get the result."""
    y0, y1, y2, y3 = y[at], y[at + step], y[at + 2 * step], y[at + 3 * step]
    two, four = splat(f32(2), LANES), splat(f32(4), LANES)
    even, odd = y0 + y2, y1 + y3
    wide, across = fma(four, y2, y0), two * fma(four, y3, y1)
    y[at + step] = even + odd
    y[at + 2 * step] = even - odd
    y[at + 3 * step] = wide + across
    y[at + 4 * step] = wide - across
    y[at + 5 * step] = y3


@native
def weight_points(w: ptr(V), at: i64, step: i64):
    """G applied to three vectors: six places get the result."""
    w0, w1, w2 = w[at], w[at + step], w[at + 2 * step]
    sixth, twelfth = splat(f32(1 / 6), LANES), splat(f32(1 / 12), LANES)
    ends = w0 + w2
    far = w0 * splat(f32(1 / 24), LANES) + w2 * sixth
    w[at] = w0 * splat(f32(0.25), LANES)
    w[at + step] = (ends + w1) * (splat(f32(0), LANES) - sixth)
    w[at + 2 * step] = (ends - w1) * (splat(f32(0), LANES) - sixth)
    w[at + 3 * step] = far + w1 * twelfth
    w[at + 4 * step] = far - w1 * twelfth
    w[at + 5 * step] = w2


@native
def weight_gather(u: ptr(V), at: i64, step: i64):
    """G' applied to six vectors: the first three places get the result."""
    u0, u5 = u[at], u[at + 5 * step]
    near, apart = u[at + step] + u[at + 2 * step], u[at + 2 * step] - u[at + step]
    wide, across = u[at + 3 * step] + u[at + 4 * step], u[at + 3 * step] - u[at + 4 * step]
    sixth, twelfth = splat(f32(1 / 6), LANES), splat(f32(1 / 12), LANES)
    u[at] = u0 * splat(f32(0.25), LANES) - near * sixth + wide * splat(f32(1 / 24), LANES)
    u[at + step] = apart * sixth + across * twelfth
    u[at + 2 * step] = (wide - near) * sixth + u5


# -- planes and phases ---------------------------------------------------------------------------------------


@native
def split_plane(source: F, phases: F, size: i64, pitch: i64, first: i64, lines: i64, height: i64, width: i64,
                top: i64, left: i64, row_step: i64):  # fmt: skip
    """Phases (row, column modulo 4) of `lines` * 4 rows of a plane from row 4 * first - top on, zeros outside."""
    row = local(f32, ROW)
    fill_bytes(bitcast(row, ptr(i8)), 0, 4 * (4 * pitch + 5 * LANES))
    for y in range(4 * lines):
        at = 4 * first + y - top
        phase = phases + ((y % 4) * 4 * size + y // 4 * pitch)
        if at < 0 or at >= height:
            for t in range(0, pitch, LANES):
                for j in unroll(4):
                    store(phase + (j * size + t), splat(f32(0), LANES), 4)
        else:
            line = source + at * row_step
            x = i64(0)
            while x + LANES <= width:
                store(row + (left + x), load(line + x, V, 4), 4)
                x += LANES
            if x < width:
                store(row + (left + x), load_masked(line + x, V, first_lanes(width - x, LANES)), 4)
            for t in range(0, pitch, LANES):
                a, b = load(row + 4 * t, V, 4), load(row + (4 * t + LANES), V, 4)
                c, d = load(row + (4 * t + 2 * LANES), V, 4), load(row + (4 * t + 3 * LANES), V, 4)
                for j in unroll(4):
                    low, high = (
                        shuffle(a, b, [j + 4 * k for k in range(8)]),
                        shuffle(c, d, [j + 4 * k for k in range(8)]),
                    )
                    store(phase + (j * size + t), shuffle(low, high, [k for k in range(16)]), 4)


@native
def join_line(phase: F, line: F, size: i64, pitch: i64):
    """A row of a plane from its four phases."""
    for t in range(0, pitch, LANES):
        p0, p1 = load(phase + t, V, 4), load(phase + (size + t), V, 4)
        p2, p3 = load(phase + (2 * size + t), V, 4), load(phase + (3 * size + t), V, 4)
        for half in unroll(2):
            ab = shuffle(p0, p1, [8 * half + k // 2 + 16 * (k % 2) for k in range(16)])
            cd = shuffle(p2, p3, [8 * half + k // 2 + 16 * (k % 2) for k in range(16)])
            for part in unroll(2):
                joined = shuffle(
                    ab, cd, [8 * part + k // 4 * 2 + k % 2 + 16 * (k % 4 // 2) for k in range(16)]
                )
                store(line + (4 * t + (2 * half + part) * LANES), joined, 4)


#: source: frame word; first: number of its first element; then its strides, sizes, and where the 36 matrices go
PLANES = Words(
    "source first sample row channels samples height width top left pitch down tiles columns to place apart"
)
#: after the words of `PLANES` and of `RESULT`, for each vector of tiles of a strip: mask of the lanes that are no
#: surplus, and their number in the vectors before
LANES_USED = 2


@native
def tiles_to_points(frame: I, p: I, begin: i64, end: i64):
    """B' d B of every tile of an input or, where GRADIENT, A dY A' of a gradient; a unit is a channel, for all samples."""
    phases = local(f32, 16 * SIZE)
    size = i64(SIZE)
    if not CLOSE:
        fill_bytes(bitcast(phases, ptr(i8)), 0, 64 * SIZE)
    pitch, apart = p[PLANES.pitch], p[PLANES.apart]
    strip = min(p[PLANES.down], STRIP // pitch - 1)
    across = p[PLANES.tiles] // p[PLANES.down]
    for c in range(begin, end):
        for n in range(p[PLANES.samples]):
            source = bitcast(frame[p[PLANES.source]], F) + (
                p[PLANES.first] + n * p[PLANES.sample] + c * p[PLANES.place]
            )
            first = i64(0)
            while first < p[PLANES.down]:
                rows = min(strip, p[PLANES.down] - first)
                split_plane(source, phases, size, pitch, first, rows + 1 - GRADIENT, p[PLANES.height], p[PLANES.width],
                            p[PLANES.top], p[PLANES.left], p[PLANES.row])  # fmt: skip
                to = bitcast(frame[p[PLANES.to]], F) + (
                    c * p[PLANES.columns] + (n * p[PLANES.tiles] + first * across)
                )
                used = p + PLANES_WORDS
                for q in range(0, rows * pitch, LANES):
                    place = to + q
                    if CLOSE:
                        place = to + used[1]
                    for k in unroll(36):
                        prefetch(place + (k * apart + 2 * LANES), 1)
                    d = local(V, 36)
                    for i in unroll(6 - 2 * GRADIENT):
                        for j in unroll(6 - 2 * GRADIENT):
                            d[6 * i + j] = load(
                                phases + ((i % 4 * 4 + j % 4) * size + (q + i // 4 * pitch + j // 4)), V, 4
                            )
                    if GRADIENT:
                        for j in unroll(4):
                            spread_points(d, j, 6)
                        for i in unroll(6):
                            spread_points(d, 6 * i, 1)
                    else:
                        for j in unroll(6):
                            to_points(d, j, 6)
                        for i in unroll(6):
                            to_points(d, 6 * i, 1)
                    for k in unroll(36):
                        if CLOSE:
                            d[k] = compress(d[k], lane_mask(used[0], LANES))
                        store(place + k * apart, d[k], 4)
                    used = used + LANES_USED
                first += rows


#: bias: frame word, or -1; each: samples of a unit
RESULT = Words(
    "source rows columns samples each pitch down tiles to first sample place row out_height out_width bias apart"
)
PLANES_WORDS, RESULT_WORDS = PLANES.size, RESULT.size


@native
def results_from_points(frame: I, p: I, begin: i64, end: i64):
    """A' m A of every tile, plus bias; a unit is a channel of the result, for some samples."""
    phases = local(f32, 16 * SIZE)
    size = i64(SIZE)
    line = local(f32, ROW)
    pitch = p[RESULT.pitch]
    strip = min(p[RESULT.down], STRIP // pitch)
    across = p[RESULT.tiles] // p[RESULT.down]
    apart = p[RESULT.apart]
    samples, each = p[RESULT.samples], p[RESULT.each]
    shares = (samples + (each - 1)) // each
    for unit in range(begin, end):
        o, start = unit // shares, unit % shares * each
        shift = f32(0)
        if p[RESULT.bias] >= 0:
            shift = bitcast(frame[p[RESULT.bias]], F)[o]
        for n in range(start, min(start + each, samples)):
            to = bitcast(frame[p[RESULT.to]], F) + (
                p[RESULT.first] + n * p[RESULT.sample] + o * p[RESULT.place]
            )
            first = i64(0)
            while first < p[RESULT.down]:
                rows = min(strip, p[RESULT.down] - first)
                source = bitcast(frame[p[RESULT.source]], F) + (
                    o * p[RESULT.columns] + (n * p[RESULT.tiles] + first * across)
                )
                used = p + RESULT_WORDS
                for q in range(0, rows * pitch, LANES):
                    m = local(V, 36)
                    for k in unroll(36):
                        prefetch(source + (k * apart + (q + AHEAD)))
                    for k in unroll(36):
                        if CLOSE:
                            m[k] = load_expanded(source + (k * apart + used[1]), V, lane_mask(used[0], LANES))
                        else:
                            m[k] = load(source + (k * apart + q), V, 4)
                    used = used + LANES_USED
                    for j in unroll(6):
                        from_points(m, j, 6)
                    for i in unroll(4):
                        from_points(m, 6 * i, 1)
                    for i in unroll(4):
                        for j in unroll(4):
                            store(phases + ((i * 4 + j) * size + q), m[6 * i + j] + splat(shift, LANES), 4)
                lines = min(4 * rows, p[RESULT.out_height] - 4 * first)
                for y in range(lines):
                    phase = phases + (y % 4 * 4 * size + y // 4 * pitch)
                    join_line(phase, line, size, pitch)
                    target = to + (4 * first + y) * p[RESULT.row]
                    width = p[RESULT.out_width]
                    x = i64(0)
                    while x + LANES <= width:
                        store(target + x, load(line + x, V, 4), 4)
                        x += LANES
                    if x < width:
                        store_masked(target + x, load(line + x, V, 4), first_lanes(width - x, LANES))
                first += rows


#: weight: frame word of the dense (rows, channels, 3, 3) weight; turned: whether taps are taken from the last to the first
WEIGHT = Words("weight rows channels to turned apart")


@native
def weights_to_points(frame: I, p: I, begin: i64, end: i64):
    """G w G'; a unit is one of the weight's rows."""
    channels, apart = p[WEIGHT.channels], p[WEIGHT.apart]
    for o in range(begin, end):
        row = bitcast(frame[p[WEIGHT.weight]], F) + o * channels * 9
        to = bitcast(frame[p[WEIGHT.to]], F) + o * channels
        for c in range(0, channels, LANES):
            u = local(V, 36)
            w = local(V, 9)
            left = 9 * (channels - c)
            if left >= 9 * LANES:
                for k in unroll(9):
                    w[k] = load(row + (9 * c + LANES * k), V, 4)
            else:
                for k in unroll(9):
                    w[k] = load_masked(row + (9 * c + LANES * k), V, first_lanes(left - LANES * k, LANES))
            taps = deinterleave([w[k] for k in unroll(9)])
            for i in unroll(3):
                for j in unroll(3):
                    if p[WEIGHT.turned] != 0:
                        u[6 * i + j] = taps[8 - 3 * i - j]
                    else:
                        u[6 * i + j] = taps[3 * i + j]
            for j in unroll(3):
                weight_points(u, j, 6)
            for i in unroll(6):
                weight_points(u, 6 * i, 1)
            if c + LANES <= channels:
                for k in unroll(36):
                    store(to + (k * apart + c), u[k], 4)
            else:
                buffer = local(f32, LANES)
                for k in unroll(36):
                    store(buffer, u[k], 4)
                    for x in range(channels - c):
                        to[k * apart + c + x] = buffer[x]


@native
def weights_from_points(frame: I, p: I, begin: i64, end: i64):
    """G' u G, the gradient of the weight; a unit is one of the weight's rows. `to` is read, `weight` written."""
    channels, apart = p[WEIGHT.channels], p[WEIGHT.apart]
    buffer = local(f32, 9 * LANES)
    for o in range(begin, end):
        row = bitcast(frame[p[WEIGHT.weight]], F) + o * channels * 9
        source = bitcast(frame[p[WEIGHT.to]], F) + o * channels
        for c in range(0, channels, LANES):
            u = local(V, 36)
            for k in unroll(36):
                u[k] = load(source + (k * apart + c), V, 4)  # past the end lies the next row, or slack
            for j in unroll(6):
                weight_gather(u, j, 6)
            for i in unroll(3):
                weight_gather(u, 6 * i, 1)
            for i in unroll(3):
                for j in unroll(3):
                    store(buffer + (3 * i + j) * LANES, u[6 * i + j], 4)
            for x in range(min(channels - c, i64(LANES))):
                for tap in unroll(9):
                    row[(c + x) * 9 + tap] = buffer[tap * LANES + x]


# -- schedules -----------------------------------------------------------------------------------------------


class Planes(NamedTuple):
    """Samples of planes in memory: frame word, element strides of sample, channel, row (columns lie side by side)."""

    word: int
    sample: int
    channel: int
    row: int


def columns_of(g: Geometry) -> int:
    """Columns of the 36 matrices: the tiles of a group, and room for whole vectors past the last."""
    return -(-(g.groups()[0][1] * g.tiles + LANES) // LANES) * LANES


def apart(channels: int, columns: int) -> int:
    """Elements between two of the 36 matrices: an odd number of cache lines, so that no two share a set of the cache."""
    lines = -(-channels * columns // LANES)
    return (lines | 1) * LANES


def convolve(
    call, g: Geometry, source: Planes, weight: int, out: Planes, bias: int | None, turned: bool
) -> list[tuple[int, Cuts]]:
    """Steps of a convolution of g.channels to g.rows planes. Gives those that finish it, and how their tasks share it.

    weight: word of the dense (rows, channels, 3, 3) weight; turned: a (channels, rows, 3, 3) one, as its transpose uses it.
    """
    rows, channels = (g.channels, g.rows) if turned else (g.rows, g.channels)
    matrix = apart(channels, rows)
    u = call.scratch(4 * (POINTS * matrix + LANES))
    call.native(weights_to_points, {}, WEIGHT.block(
        {"weight": weight, "rows": rows, "channels": channels, "to": u, "turned": int(turned), "apart": matrix}),
        rows, 4, level=1)  # fmt: skip
    groups, shared = g.groups(), Scratch(call)
    columns = columns_of(g)
    v, m = (call.scratch(4 * POINTS * apart(c, columns)) for c in (g.channels, g.rows))
    place, finished = g.out_height * g.out_width, []
    each = max(1, EACH // place)
    for first, samples in groups:
        to_points_step(call, g, source, v, first, samples)
        a = Operand(u, 0, (matrix,), channels, 1)
        products(call, shared, g.rows, samples * g.tiles, g.channels, a.turned() if turned else a,
                 Operand(v, 0, (apart(g.channels, columns),), columns, 1),
                 Operand(m, 0, (apart(g.rows, columns),), columns, 1))  # fmt: skip
        words = {
            "source": m, "rows": g.rows, "columns": columns, "samples": samples, "each": each, "pitch": g.pitch, "down": g.down,
            "tiles": g.tiles, "to": out.word, "first": first * out.sample, "sample": out.sample, "place": out.channel, "row": out.row,
            "out_height": g.out_height, "out_width": g.out_width, "bias": -1 if bias is None else bias,
            "apart": apart(g.rows, columns),
        }  # fmt: skip
        shares = [n * place for n in (*range(first, first + samples, each), first + samples)]
        cuts = Cuts(Cut(1, shares), Cut(len(shares) - 1, range(g.rows + 1)))
        call.native(
            results_from_points,
            {"CLOSE": closes_up()},
            RESULT.block(words) + lanes_used(g),
            cuts.tasks,
            max(1, cuts.tasks // 32),
        )
        finished.append((len(call.steps) - 1, cuts))
    return finished


def weight_gradient(call, g: Geometry, source: Planes, grad: Planes, out: int) -> None:
    """Steps of the gradient of the dense (g.rows, g.channels, 3, 3) weight."""
    groups, shared = g.groups(), Scratch(call)
    columns = columns_of(g)
    v, z = (call.scratch(4 * POINTS * apart(c, columns)) for c in (g.channels, g.rows))
    matrix = apart(g.channels, g.rows)
    u = call.scratch(4 * (POINTS * matrix + LANES))
    for first, samples in groups:
        to_points_step(call, g, source, v, first, samples)
        to_points_step(call, g, grad, z, first, samples, gradient=True)
        products(call, shared, g.rows, g.channels, samples * g.tiles, Operand(z, 0, (apart(g.rows, columns),), columns, 1),
                 Operand(v, 0, (apart(g.channels, columns),), 1, columns), Operand(u, 0, (matrix,), g.channels, 1),
                 accumulate=first > 0)  # fmt: skip
    call.native(weights_from_points, {}, WEIGHT.block(
        {"weight": out, "rows": g.rows, "channels": g.channels, "to": u, "turned": 0, "apart": matrix}), g.rows, 4)  # fmt: skip


def to_points_step(
    call, g: Geometry, planes: Planes, to: int, first: int, samples: int, gradient: bool = False
) -> None:
    """Transform some samples, of the image or of the result's gradient, into the columns of 36 matrices."""
    columns, channels, height, width, padding = columns_of(g), g.channels, g.height, g.width, g.padding
    if gradient:
        channels, height, width, padding = g.rows, g.out_height, g.out_width, (0, 0)
    words = {
        "source": planes.word, "first": first * planes.sample, "sample": planes.sample, "row": planes.row,
        "channels": channels, "samples": samples, "height": height, "width": width, "top": padding[0], "left": padding[1],
        "pitch": g.pitch, "down": g.down, "tiles": g.tiles, "columns": columns,
        "to": to, "place": planes.channel, "apart": apart(channels, columns),
    }  # fmt: skip
    statics = {"GRADIENT": int(gradient), "CLOSE": closes_up()}
    call.native(tiles_to_points, statics, PLANES.block(words) + lanes_used(g), channels, 1)


def lanes_used(g: Geometry) -> list[int]:
    """Table of the vectors of tiles of a strip (`LANES_USED`)."""
    if not closes_up():
        return []
    words, before = [], 0
    for q in range(0, min(g.down, STRIP // g.pitch) * g.pitch, LANES):
        lanes = [k for k in range(LANES) if (q + k) % g.pitch < g.pitch - 1]
        words += [sum(1 << k for k in lanes), before]
        before += len(lanes)
    return words


class Scratch:
    """Buffers that several products use one after another."""

    def __init__(self, call):
        self.call, self.have, self.next = call, [], 0

    def __call__(self, nbytes: int) -> int:
        if self.next == len(self.have):
            self.have.append((self.call.scratch(nbytes), len(self.call.scratches) - 1))
        word, place = self.have[self.next]
        self.call.scratches[place] = max(self.call.scratches[place], nbytes)
        self.next += 1
        return word


def products(
    call, shared: Scratch, m: int, n: int, k: int, a: Operand, b: Operand, out: Operand, **more
) -> None:
    """The 36 matrix products."""
    shared.next = 0
    for step in gemm.product("f32", m, n, k, a=a, b=b, out=out, scratch=shared, batch=(POINTS,), **more):
        call.step(*step)
