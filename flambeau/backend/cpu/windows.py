"""Cutting images into windows and adding windows up to images (`unfold`, `fold`), and shuffles of pixels."""

from __future__ import annotations

from . import jit
from .native import bitcast, fill_bytes, independent, load, native, shuffle, static, store, unroll
from .types import BY_CODE, i8, i16, i32, i64, ptr, vec

#: elements that one item of work should move
ITEM = 16384
#: parameters after the buffers: size of the image, windows down and across, kernel, dilation, padding, stride
HEIGHT, WIDTH, DOWN, ACROSS, TALL, WIDE, DILATE_Y, DILATE_X, PAD_Y, PAD_X, STEP_Y, STEP_X = range(2, 14)


@native
def span(place, step, size, count):
    """The windows [first, last) whose element is inside: at `place` in the first, `step` further in each."""
    first, last = i64(0), i64(0)
    if place < 0:
        first = (step - 1 - place) // step
    if place < size:
        last = min((size - 1 - place) // step + 1, count)
    return min(first, last), last


@native
def cut(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Columns of the planes [begin, end): for each place in the window, the elements of all windows."""
    source, target = bitcast(frame[params[0]], ptr(T)), bitcast(frame[params[1]], ptr(T))
    height, width, down, across = params[HEIGHT], params[WIDTH], params[DOWN], params[ACROSS]
    step = params[STEP_X]
    for plane in range(begin, end, unroll=None):
        to = target + plane * params[TALL] * params[WIDE] * down * across
        for i in range(params[TALL], unroll=None):
            for j in range(params[WIDE], unroll=None):
                x0 = j * params[DILATE_X] - params[PAD_X]
                first, last = span(x0, step, width, across)
                for y in range(down, unroll=None):
                    row = y * params[STEP_Y] + i * params[DILATE_Y] - params[PAD_Y]
                    if row < 0 or row >= height:
                        fill_bytes(to, 0, across * T.bytes)
                    else:
                        here = source + ((plane * height + row) * width + x0)
                        for x in independent(0, first):
                            to[x] = 0
                        if step == 1:
                            for x in independent(first, last):
                                to[x] = here[x]
                        else:
                            for x in independent(first, last):
                                to[x] = here[x * step]
                        for x in independent(last, across):
                            to[x] = 0
                    to = to + across


@native
def add_up(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """The planes [begin, end) of images that columns add up to; the adjoint of `cut`."""
    source, target = bitcast(frame[params[0]], ptr(T)), bitcast(frame[params[1]], ptr(T))
    height, width, down, across = params[HEIGHT], params[WIDTH], params[DOWN], params[ACROSS]
    step = params[STEP_X]
    for plane in range(begin, end, unroll=None):
        image = target + plane * height * width
        here = source + plane * params[TALL] * params[WIDE] * down * across
        fill_bytes(image, 0, height * width * T.bytes)
        for i in range(params[TALL], unroll=None):
            for j in range(params[WIDE], unroll=None):
                x0 = j * params[DILATE_X] - params[PAD_X]
                first, last = span(x0, step, width, across)
                for y in range(down, unroll=None):
                    row = y * params[STEP_Y] + i * params[DILATE_Y] - params[PAD_Y]
                    if row >= 0 and row < height:
                        to = image + (row * width + x0)
                        if step == 1:
                            for x in independent(first, last):
                                to[x] = to[x] + here[x]
                        else:
                            for x in independent(first, last):
                                to[x * step] = to[x * step] + here[x]
                    here = here + across


def _words(call, columns, image) -> list[int]:
    v = call.values
    geometry = [n for name in ("kernel", "dilation", "padding", "stride") for n in v[name]]
    return [*image.shape[2:], *v["blocks"], *geometry]


#: types that stand for elements of so many bytes where they are only moved
_MOVED = {1: i8, 2: i16, 4: i32, 8: i64}


def unfold(call) -> None:
    """(N, C, H, W) to (N, C prod(kernel), windows)."""
    image, columns = call.inputs[0], call.outputs[0]
    planes = image.shape[0] * image.shape[1]
    words = [call.contiguous(0), call.out(0), *_words(call, columns, image)]
    each = max(1, columns.numel // max(1, planes))
    call.native(cut, {"T": _MOVED[image.dtype.itemsize]}, words, planes, max(1, ITEM // each))


def fold(call) -> None:
    """(N, C prod(kernel), windows) to (N, C, H, W)."""
    columns, image = call.inputs[0], call.outputs[0]
    code = image.dtype.code
    inner = code if code in ("f32", "f64") else "f32"
    place = call.out(0) if inner == code else call.scratch(image.numel * 4)
    planes = image.shape[0] * image.shape[1]
    words = [call.contiguous(0, inner), place, *_words(call, columns, image)]
    each = max(1, columns.numel // max(1, planes))
    call.native(add_up, {"T": BY_CODE[inner]}, words, planes, max(1, ITEM // each))
    if place != call.out(0):
        call.pointwise([(code, (1,), call.out(0))], [(inner, (1,), place)], lambda x: x, (image.numel,))


# -- pixels --------------------------------------------------------------------------------------------------


@static
def pick(b, vectors, positions):
    """A vector of the elements at these positions of vectors laid end to end."""
    lanes = vectors[0].type.lanes
    found = shuffle.run(b, vectors[0], vectors[0], [p % lanes if p < lanes else 0 for p in positions])
    for k, one in enumerate(vectors[1:], 1):
        mine = [k * lanes <= p < (k + 1) * lanes for p in positions]
        if any(mine):
            picked = [lanes + p % lanes if m else q for q, (p, m) in enumerate(zip(positions, mine))]
            found = shuffle.run(b, found, one, picked)
    return found


@native
def spread_pixels(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Rows of the larger image: each takes its elements in turn from R rows."""
    source, target = bitcast(frame[params[0]], ptr(T)), bitcast(frame[params[1]], ptr(T))
    r, height, width = params[2], params[3], params[4]
    apart = height * width
    for item in range(begin, end, unroll=None):  # ((plane, y), i): row y * r + i of the plane
        line = item // r
        plane = line // height
        here = source + ((plane * r + item - line * r) * r * height + line - plane * height) * width
        to = target + item * width * r
        whole = i64(0)
        if R > 0:
            whole = width - width % L
            for x in range(0, whole, L, unroll=None):
                ROWS = [load(here + (j * apart + x), vec(T, L)) for j in unroll(R)]
                for v in unroll(R):
                    store(
                        to + (x * R + v * L),
                        pick(ROWS, [p % R * L + p // R for p in unroll(v * L, v * L + L)]),
                    )
        for x in range(whole, width, unroll=None):
            for j in range(r, unroll=None):
                to[x * r + j] = here[j * apart + x]


@native
def gather_pixels(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """The reverse of `spread_pixels`."""
    source, target = bitcast(frame[params[0]], ptr(T)), bitcast(frame[params[1]], ptr(T))
    r, height, width = params[2], params[3], params[4]
    apart = height * width
    for item in range(begin, end, unroll=None):
        line = item // r
        plane = line // height
        to = target + ((plane * r + item - line * r) * r * height + line - plane * height) * width
        here = source + item * width * r
        whole = i64(0)
        if R > 0:
            whole = width - width % L
            for x in range(0, whole, L, unroll=None):
                PARTS = [load(here + (x * R + v * L), vec(T, L)) for v in unroll(R)]
                for j in unroll(R):
                    store(to + (j * apart + x), pick(PARTS, [w * R + j for w in unroll(L)]))
        for x in range(whole, width, unroll=None):
            for j in range(r, unroll=None):
                to[j * apart + x] = here[x * r + j]


def shuffle_pixels(call) -> None:
    """(*, C r², H, W) to (*, C, H r, W r), or back."""
    r, small = call.values["factor"], (call.outputs if call.values["back"] else call.inputs)[0]
    height, width = small.shape[-2:]
    t = _MOVED[small.dtype.itemsize]
    rows = small.numel // max(1, width * r)
    statics = {"T": t, "L": jit.vector_bytes() // t.bytes, "R": r if 2 <= r <= 4 else 0}
    kernel = gather_pixels if call.values["back"] else spread_pixels
    words = [call.contiguous(0), call.out(0), r, height, width]
    call.native(kernel, statics, words, rows, max(1, ITEM // max(1, width * r)))
