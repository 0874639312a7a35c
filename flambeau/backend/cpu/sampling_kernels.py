"""Reading images and volumes at any positions: L points of the grid at a time.

For each vector of points `find_taps` writes down which elements of a plane they read (-1: none) and with what
weights; all channels then share this list.
"""

from __future__ import annotations

from .conv_lanes import first_lanes, gather_lanes, lane_numbers, load_masked, store_masked
from .gemm_tiles import multiply_add
from .native import (
    bitcast,
    fabs,
    fill_bytes,
    floor,
    load,
    local,
    native,
    rint,
    select,
    splat,
    static,
    store,
    trunc,
    unroll,
)
from .types import i32, i64, ptr, vec

#: words of the parameters; the sizes of the image come last
INPUT, GRID, GRADIENT, OUT, CHANNELS, POINTS, CHUNKS, CHUNK, BATCH, SIZES = range(10)


@static
def every(b, *conditions):
    """Lanes where all conditions hold."""
    found = conditions[0]
    for one in conditions[1:]:
        found = b.binary("and", found, one)
    return found


# -- one axis ------------------------------------------------------------------------------------------------


@native
def clipped(S, place, slope, size):
    """A position brought into the image; at the border the slope is 0."""
    top = splat(S.T(size - 1), S.L)
    low, high = place <= 0.0, place >= top
    flat = select(low, splat(S.T(0), S.L), select(high, splat(S.T(0), S.L), slope))
    return select(low, splat(S.T(0), S.L), select(high, top, place)), flat


@native
def padded(S, place, slope, size):
    """A position outside of the image as the padding mode has it, and the slope of that."""
    if S.PADDING == "border":
        place, slope = clipped(S, place, slope, size)
    if S.PADDING == "reflection":
        begin = S.T(0.0) if S.ALIGN else S.T(-0.5)
        span = S.T(size - 1) if S.ALIGN else S.T(size)
        if span == S.T(0):
            place, slope = splat(S.T(0), S.L), splat(S.T(0), S.L)
        else:
            offset = place - begin
            slope = select(offset < 0.0, -slope, slope)
            offset = fabs(offset)
            twice = span + span
            offset = offset - trunc(offset / twice) * twice
            back = offset > span
            slope = select(back, -slope, slope)
            place = select(back, twice - offset, offset) + begin
            place, slope = clipped(S, place, slope, size)
    return place, slope


@native
def within(S, place, size):
    """Whether whole positions lie in the image."""
    return every(place >= 0.0, place <= S.T(size - 1))


@native
def cubic(S, share):
    """Keys' kernel (a = -0.75) at the four neighbours, and its derivative."""
    A = -0.75
    values, slopes = [], []
    for k in unroll(4):
        x = share + (1.0 - k) if k < 2 else (k - 1.0) - share
        SIGN = 1.0 if k < 2 else -1.0
        if k == 1 or k == 2:
            values = values + [((A + 2) * x - (A + 3)) * x * x + 1.0]
            slopes = slopes + [(3 * (A + 2) * x - 2 * (A + 3)) * x * SIGN]
        else:
            values = values + [((A * x - 5 * A) * x + 8 * A) * x - 4 * A]
            slopes = slopes + [((3 * A * x - 10 * A) * x + 8 * A) * SIGN]
    return values, slopes


@native
def axis_taps(S, coordinate, size):
    """What the points read along one axis: (whole position, whether it is inside, weight, its slope) each."""
    T, L = S.T, S.L
    zero, one = splat(T(0), L), splat(T(1), L)
    if S.ALIGN:
        place, scale = (coordinate + 1.0) * 0.5 * T(size - 1), T(size - 1) * T(0.5)
    else:
        place, scale = ((coordinate + 1.0) * T(size) - 1.0) * 0.5, T(size) * T(0.5)
    slope = splat(scale, L)
    if S.MODE == "bicubic":
        low = floor(place)
        VALUES, SLOPES = cubic(S, place - low)
        FOUND = []
        for k in unroll(4):
            AT, _ = padded(S, low + (k - 1.0), slope, size)
            FOUND = FOUND + [(AT, within(S, AT, size), VALUES[k], SLOPES[k] * slope)]
        return FOUND
    place, slope = padded(S, place, slope, size)
    if S.MODE == "nearest":
        near = rint(place)
        return [(near, within(S, near, size), one, zero)]
    low = floor(place)
    share = place - low
    high = low + 1.0
    return [
        (low, within(S, low, size), high - place, -slope),
        (high, within(S, high, size), share, slope),
    ]


@static
def combinations(b, axes):
    """One tap of each axis, in all ways: the last axis runs fastest."""
    found = [()]
    for axis in axes:
        found = [(*before, one) for before in found for one in axis]
    return found


@native
def find_taps(S, params, grid, left, places, weights, slopes):
    """Write the taps of up to L points: places, weights and (with SLOPES) the weights' slopes."""
    T, L = S.T, S.L
    there = first_lanes(left, L)
    AXES = []
    for d in unroll(S.DIMS):
        lanes = lane_numbers(i32, L) * S.DIMS + (S.DIMS - 1 - d)
        coordinate = gather_lanes(grid, lanes, there)
        AXES = AXES + [axis_taps(S, coordinate, params[SIZES + d])]
    COUNT = 0
    for TAP in combinations(AXES):
        inside, flat, weight = there, splat(i32(0), L), splat(T(1), L)
        for d in unroll(S.DIMS):
            inside = every(inside, TAP[d][1])
            flat = flat * i32(params[SIZES + d]) + vec(i32, L)(TAP[d][0])
            weight = weight * TAP[d][2]
        store(places + COUNT * L, select(inside, flat, splat(i32(-1), L)))
        store(weights + COUNT * L, weight)
        if S.SLOPES:
            for d in unroll(S.DIMS):
                slope = TAP[d][3]
                for e in unroll(S.DIMS):
                    if e != d:
                        slope = slope * TAP[e][2]
                store(slopes + (COUNT * S.DIMS + d) * L, slope)
        COUNT = COUNT + 1


@native
def plane_of(S, params):
    """Elements of a plane."""
    size = params[SIZES]
    for d in unroll(1, S.DIMS):
        size = size * params[SIZES + d]
    return size


# -- program steps -------------------------------------------------------------------------------------------


@native
def sample(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Item ``batch * chunks + chunk``: some points of one image, all channels."""
    T, L = S.T, S.L
    W = vec(T, L)
    places, weights = local(i32, S.TAPS * L), local(T, S.TAPS * L)
    plane, channels, points = plane_of(S, params), params[CHANNELS], params[POINTS]
    for item in range(begin, end, unroll=None):
        n = item // params[CHUNKS]
        first = (item - n * params[CHUNKS]) * params[CHUNK]
        source = bitcast(frame[params[INPUT]], ptr(T)) + n * channels * plane
        grid = bitcast(frame[params[GRID]], ptr(T)) + n * points * S.DIMS
        out = bitcast(frame[params[OUT]], ptr(T)) + n * channels * points
        for p in range(first, min(first + params[CHUNK], points), L, unroll=None):
            find_taps(S, params, grid + p * S.DIMS, points - p, places, weights, weights)
            mask = first_lanes(points - p, L)
            for c in range(channels, unroll=None):
                here = source + c * plane
                total = splat(T(0), L)
                for k in unroll(S.TAPS):
                    place = load(places + k * L, vec(i32, L))
                    x = gather_lanes(here, place, place >= 0)
                    total = multiply_add(load(weights + k * L, W), x, total)
                store_masked(out + (c * points + p), total, mask)


@native
def sample_input_gradient(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Item ``batch * chunks + chunk``: some channels of one image, all points in order."""
    T, L = S.T, S.L
    W = vec(T, L)
    places, weights = local(i32, S.TAPS * L), local(T, S.TAPS * L)
    shares = local(T, L)
    plane, channels, points = plane_of(S, params), params[CHANNELS], params[POINTS]
    for item in range(begin, end, unroll=None):
        n = item // params[CHUNKS]
        first = (item - n * params[CHUNKS]) * params[CHUNK]
        count = min(params[CHUNK], channels - first)
        to = bitcast(frame[params[OUT]], ptr(T)) + (n * channels + first) * plane
        grid = bitcast(frame[params[GRID]], ptr(T)) + n * points * S.DIMS
        gradient = bitcast(frame[params[GRADIENT]], ptr(T)) + (n * channels + first) * points
        fill_bytes(to, 0, count * plane * T.bytes)
        for p in range(0, points, L, unroll=None):
            find_taps(S, params, grid + p * S.DIMS, points - p, places, weights, weights)
            mask = first_lanes(points - p, L)
            for c in range(count, unroll=None):
                here = to + c * plane
                g = load_masked(gradient + (c * points + p), W, mask)
                for k in range(S.TAPS, unroll=None):
                    store(shares, g * load(weights + k * L, W))
                    for lane in unroll(L):
                        at = i64(places[k * L + lane])
                        if at >= 0:
                            here[at] += shares[lane]


@native
def sample_grid_gradient(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Item ``batch * chunks + chunk``: some points of one image, summed over all channels."""
    T, L = S.T, S.L
    W = vec(T, L)
    places, weights = local(i32, S.TAPS * L), local(T, S.TAPS * L)
    slopes = local(T, S.TAPS * S.DIMS * L)
    total = local(W, S.DIMS)
    room = local(T, L)
    plane, channels, points = plane_of(S, params), params[CHANNELS], params[POINTS]
    for item in range(begin, end, unroll=None):
        n = item // params[CHUNKS]
        first = (item - n * params[CHUNKS]) * params[CHUNK]
        source = bitcast(frame[params[INPUT]], ptr(T)) + n * channels * plane
        grid = bitcast(frame[params[GRID]], ptr(T)) + n * points * S.DIMS
        gradient = bitcast(frame[params[GRADIENT]], ptr(T)) + n * channels * points
        out = bitcast(frame[params[OUT]], ptr(T)) + n * points * S.DIMS
        for p in range(first, min(first + params[CHUNK], points), L, unroll=None):
            find_taps(S, params, grid + p * S.DIMS, points - p, places, weights, slopes)
            mask = first_lanes(points - p, L)
            for d in unroll(S.DIMS):
                total[d] = splat(T(0), L)
            for c in range(channels, unroll=None):
                here = source + c * plane
                g = load_masked(gradient + (c * points + p), W, mask)
                for k in unroll(S.TAPS):
                    place = load(places + k * L, vec(i32, L))
                    x = gather_lanes(here, place, place >= 0) * g
                    for d in unroll(S.DIMS):
                        total[d] = multiply_add(load(slopes + (k * S.DIMS + d) * L, W), x, total[d])
            for d in unroll(S.DIMS):
                store(room, total[d])
                for lane in range(min(points - p, i64(L)), unroll=None):
                    out[(p + lane) * S.DIMS + (S.DIMS - 1 - d)] = room[lane]
