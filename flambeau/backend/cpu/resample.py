"""Schedule of resizing: one pass along each dimension that changes, in the order that costs least."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from math import prod
from typing import Any

from . import jit
from .resample_kernels import HEAD, PASS, planes, rows_of_pass
from .types import BY_CODE

#: planes from which each goes through all passes on its own, and elements of a buffer up to which that pays
ENOUGH_PLANES, ROOM = 8, 1 << 18
#: chunks that planes are dealt out in at most
CHUNKS = 32
#: elements that one item of work should make
ITEM = 8192


# -- which elements, with what weights -----------------------------------------------------------------------


def ratio(old: int, new: int, scale: float | None) -> float:
    """How far apart neighbours of the result lie in the input."""
    return 1.0 / scale if scale is not None and scale > 0 else old / new


def _cubic(x, a: float):
    """Keys' kernel of two pieces."""
    import numpy as np

    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


@lru_cache(256)
def taps(
    old: int,
    new: int,
    scale: float | None,
    mode: str,
    align_corners: bool,
    antialias: bool,
    bytes_: bool = False,
) -> Any:
    """(places, weights) of the elements that each element of the result is made of, as arrays (new, taps).

    bytes_: weights in 16 bits, so that images of bytes give the same numbers everywhere.
    """
    places, weights = _taps(old, new, scale, mode, align_corners, antialias)
    if not bytes_:
        return places, weights
    weights = weights.copy()
    if not antialias:  # what the border repeats counts once
        for k in range(1, places.shape[1]):
            for j in range(k):
                same = (places[:, k] == places[:, j]) & (weights[:, j] != 0)
                weights[same, j] += weights[same, k]
                weights[same, k] = 0
    return places, _in_16_bits(weights)


def _in_16_bits(weights) -> Any:
    """Weights rounded to multiples of the largest power of two for which all of them fit 16 bits."""
    import numpy as np

    bits = 0
    while bits < 22 and int(0.5 + weights.max() * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    return np.trunc(weights * (1 << bits) + np.copysign(0.5, weights)) / (1 << bits)


def _taps(old: int, new: int, scale: float | None, mode: str, align_corners: bool, antialias: bool) -> Any:
    import numpy as np

    if mode.startswith("nearest"):
        if mode == "nearest" and new in (old, 2 * old):  # whatever the scale says; volumes have "nearest-3d"
            return (np.arange(new) // (new // old))[:, None], np.ones((new, 1))
        # float32, as the operator is defined: the last bit decides which neighbour is taken
        place = np.arange(new, dtype=np.float32) + np.float32(0.5 if mode == "nearest-exact" else 0)
        place = np.floor(place * np.float32(ratio(old, new, scale))).astype(np.int64)
        return np.minimum(place, old - 1)[:, None], np.ones((new, 1))
    step = ratio(old, new, scale)
    if align_corners:
        step = (old - 1) / (new - 1) if new > 1 else 0.0
    if antialias:
        return _covering(old, new, step, mode)
    place = np.arange(new) * step if align_corners else (np.arange(new) + 0.5) * step - 0.5
    if mode == "bicubic":
        low = np.floor(place)
        around = np.arange(-1, 3)
        weights = _cubic((place - low)[:, None] - around, -0.75)
        return np.clip(low.astype(np.int64)[:, None] + around, 0, old - 1), weights
    place = np.maximum(place, 0)
    low = np.minimum(np.floor(place).astype(np.int64), old - 1)
    share = np.clip(place - low, 0, 1)
    return np.stack([low, np.minimum(low + 1, old - 1)], 1), np.stack([1 - share, share], 1)


def _covering(old: int, new: int, step: float, mode: str) -> Any:
    """The kernel stretched over all of the input that an element of the result covers."""
    import numpy as np

    stretch = max(step, 1.0)
    support = stretch * (2.0 if mode == "bicubic" else 1.0)
    centre = (np.arange(new) + 0.5) * step
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support + 0.5).astype(np.int64), old)
    place = first[:, None] + np.arange((last - first).max())
    distance = (place + 0.5 - centre[:, None]) / stretch
    weights = _cubic(distance, -0.5) if mode == "bicubic" else np.maximum(1 - np.abs(distance), 0)
    weights = weights * (place < last[:, None])
    return np.minimum(place, old - 1), weights / weights.sum(1, keepdims=True)


def turned(old: int, places, weights) -> Any:
    """The taps of the adjoint: to which elements of the result each element of the input went."""
    import numpy as np

    count, width = places.shape
    to, by = places.ravel(), weights.ravel()
    kept = by != 0
    to, by, source = to[kept], by[kept], np.repeat(np.arange(count), width)[kept]
    order = np.argsort(to, kind="stable")
    to, by, source = to[order], by[order], source[order]
    counts = np.bincount(to, minlength=old)
    position = np.arange(len(to)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (old, max(1, int(counts.max(initial=0))))
    new_places, new_weights = np.full(shape, -1), np.zeros(shape)
    new_places[to, position], new_weights[to, position] = source, by
    return new_places, new_weights


# -- tables, as the kernels read them ------------------------------------------------------------------------


def mix_table(places, weights) -> list[int]:
    """The number of taps at most, then a record of each row of the result."""
    import numpy as np

    rows, most = places.shape
    words = np.zeros((rows, 1 + 2 * most), np.int64)
    words[:, 0] = (places >= 0).sum(1)
    words[:, 1::2] = np.maximum(places, 0)
    words[:, 2::2] = np.ascontiguousarray(weights).view(np.int64)
    return [most, *words.ravel().tolist()]


def slide_table(places, weights, lanes: int, real: str) -> list[int]:
    """Steps, where those of each vector end, then the places and the weights of each step."""
    import numpy as np

    rows, most = places.shape
    vectors = -(-rows // lanes)
    padded = np.full((vectors * lanes, most), -1)
    padded[:rows] = places
    factors = np.zeros(padded.shape)
    factors[:rows] = weights
    grouped = padded.reshape(vectors, lanes, most).transpose(0, 2, 1)  # (vector, tap, lane)
    used = (grouped >= 0).any(2)
    ends = np.cumsum(used.sum(1))
    raw = grouped[used].astype(np.int32).tobytes()
    raw += factors.reshape(vectors, lanes, most).transpose(0, 2, 1)[used].astype(real).tobytes()
    raw += b"\0" * (-len(raw) % 8)
    return [int(ends[-1]), *ends.tolist(), *np.frombuffer(raw, np.int64).tolist()]


# -- the schedule --------------------------------------------------------------------------------------------


class _Pass:
    """One dimension of the result: its taps, and how many elements lie outside and inside it."""

    def __init__(self, axis: int, old: int, new: int, places, weights):
        self.axis, self.old, self.new, self.places, self.weights = axis, old, new, places, weights

    def words(self, shape: list[int], lanes: int, real: str) -> tuple[list[int], list[int]]:
        """The pass (its table's place left out), then the table."""
        outer, inner = prod(shape[: self.axis]), prod(shape[self.axis + 1 :])
        if inner == 1:
            return [0, outer, self.old, self.new, 1], slide_table(self.places, self.weights, lanes, real)
        return [1, outer, self.old, self.new, inner], mix_table(self.places, self.weights)

    def cost(self, shape: list[int]) -> float:
        outer, inner = prod(shape[: self.axis]), prod(shape[self.axis + 1 :])
        return outer * self.new * inner * self.places.shape[1] * (1.3 if inner == 1 else 0.2)


def _cheapest(passes: list[_Pass], shape: list[int]) -> list[_Pass]:
    """The order of the passes in which least is computed."""

    def total(order) -> float:
        now, cost = list(shape), 0.0
        for one in order:
            cost += one.cost(now)
            now[one.axis] = one.new
        return cost

    return list(min(permutations(passes), key=total))


def resample(call) -> None:
    """Resize the dimensions after the second, as `axes` of the operator says, or the adjoint of that."""
    where, out = call.inputs[0], call.outputs[0]
    last = not out.contiguous  # channels last
    shape = list(where.shape[:2]) + list(where.shape[2:])
    code = out.dtype.code
    inner = code if code in ("f32", "f64") else "f32"
    order = [0, *range(2, len(shape)), 1] if last else list(range(len(shape)))
    if last:
        same = where.strides[1] == 1 and where.dtype.code == inner and _lies(where, order)
        strides = [where.strides[d] for d in order]
        source = call.input(0) if same else call.copy_in(
            call.input(0), [shape[d] for d in order], strides, where.dtype.code, inner)  # fmt: skip
    else:
        source = call.contiguous(0, inner)
    goal = call.out(0) if inner == code else call.scratch(out.numel * BY_CODE[inner].bytes)
    passes = []
    for d, axis in enumerate(call.values["axes"], 2):
        places, weights = taps(*axis)
        new = axis[1]
        if call.values["adjoint"]:
            places, weights, new = *turned(axis[0], places, weights), axis[0]
        if not _does_nothing(places, weights, shape[d]):
            passes.append(_Pass(order.index(d), shape[d], new, places, weights))
    sizes = [shape[d] for d in order]
    _run(call, source, goal, sizes, _cheapest(passes, sizes), inner, last)
    if goal != call.out(0):
        call.pointwise([(code, (1,), call.out(0))], [(inner, (1,), goal)], lambda x: x, (out.numel,))


def _lies(where, order) -> bool:
    """Whether the elements lie without gaps in this order of dimensions."""
    step = 1
    for d in reversed(order):
        if where.shape[d] != 1 and where.strides[d] != step:
            return False
        step *= where.shape[d]
    return True


def _does_nothing(places, weights, old: int) -> bool:
    import numpy as np

    if places.shape[0] != old:
        return False
    exact = np.where(weights == 0, np.arange(old)[:, None], places) == np.arange(old)[:, None]
    return bool(exact.all() and (weights.sum(1) == 1).all())


def _run(call, source: int, goal: int, sizes: list[int], passes: list[_Pass], code: str, last: bool) -> None:
    t = BY_CODE[code]
    lanes, real = jit.vector_bytes() // t.bytes, "f4" if code == "f32" else "f8"
    statics = {"T": t, "L": lanes}
    if not passes:
        call.pointwise([(code, (1,), goal)], [(code, (1,), source)], lambda x: x, (prod(sizes),))
        return
    count = sizes[0] * sizes[1]
    if not last and count >= ENOUGH_PLANES and _room(passes, sizes) <= ROOM:
        words, tables = [], []
        now = [1, 1, *sizes[2:]]
        begin = HEAD + PASS * len(passes)
        for one in passes:
            head, table = one.words(now, lanes, real)
            words += [*head, begin + len(tables)]
            tables += table
            now[one.axis] = one.new
        room = -(-_room(passes, sizes) // 16) * 16
        chunk = max(-(-count // CHUNKS), min(count, -(-ITEM // prod(now))))
        buffers = call.scratch(2 * room * t.bytes * -(-count // chunk))
        head = [source, goal, prod(sizes[2:]), prod(now), buffers, room, chunk, len(passes)]
        call.native(planes, statics, [*head, *words, *tables], count, chunk)
        return
    now = list(sizes)
    for k, one in enumerate(passes):
        head, table = one.words(now, lanes, real)
        now[one.axis] = one.new
        to = goal if k == len(passes) - 1 else call.scratch(prod(now) * t.bytes)
        kind, outer, _, new, inner = head
        rows, length = (outer, new) if kind == 0 else (outer * new, inner)
        call.native(
            rows_of_pass, statics, [source, to, *head, 2 + PASS, *table], rows, max(1, ITEM // length)
        )
        source = to


def _room(passes: list[_Pass], sizes: list[int]) -> int:
    """Elements of the largest plane between two passes."""
    now, most = list(sizes[2:]), 1
    for one in passes[:-1]:
        now[one.axis - 2] = one.new
        most = max(most, prod(now))
    return most
