"""Schedules of indexing: slices taken at the places of index tensors, and written or summed back there.

Indices are checked before anything is written: a kernel that meets a bad one raises the flag in frame word 3, and the
step after it looks for the first bad one and records it, so that the error does not depend on the number of threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from .native import bitcast, fill_bytes, local, maximum, minimum, native, prefetch, unroll
from .regions import BITS, clear_all, identity, number_parts, product
from .schedule import Call
from .types import BY_CODE, f32, i32, i64, ptr, u8

WORD = ptr(i64)
#: code of a kernel's refusal; the number of the index tensor is added
OUT_OF_RANGE = 16
#: elements that one chunk moves
CHUNK = 16384
#: parts of the targets that are written independently; fixed, so that results do not depend on the threads
SHARES = 4


@native
def begin_check(frame: WORD, params: WORD, begin: i64, end: i64):
    frame[3] = 0


@native
def report(frame: WORD, params: WORD, begin: i64, end: i64):
    """Record the first bad index, where one was seen.

    Parameters: index word, place in its table (or -1), number of indices, smallest and one past the largest allowed,
    code.
    """
    if frame[3] != 0:
        address = frame[params[0]]
        if params[1] >= 0:
            address = bitcast(address, WORD)[params[1]]
        index = bitcast(address, ptr(I))
        for p in range(params[2]):
            i = i64(index[p])
            if i < params[3] or i >= params[4]:
                frame[0] = params[5]
                frame[1] = i
                frame[2] = p
                return


@native
def check_range(frame: WORD, params: WORD, begin: i64, end: i64):
    """Raise the flag where an index is outside its range. Parameters: index word, smallest, one past the largest."""
    index = bitcast(frame[params[0]], ptr(I))
    low = params[1]
    high = params[2]
    bad = i64(0)
    for p in independent(begin, end):
        i = i64(index[p])
        bad = bad | i64(i < low) | i64(i >= high)
    if bad != 0:
        frame[3] = 1


@native
def add_places(frame: WORD, params: WORD, begin: i64, end: i64):
    """places[p] (+)= index[p] * step, with the index checked and counted from the end where negative."""
    places = bitcast(frame[params[0]], WORD)
    address = frame[params[1]]
    if params[2] >= 0:
        address = bitcast(address, WORD)[params[2]]
    index = bitcast(address, ptr(I))
    size = params[3]
    step = params[4]
    low = params[5]
    bad = i64(0)
    for p in independent(begin, end):
        i = i64(index[p])
        bad = bad | i64(i < low) | i64(i >= size)
        j = i + size if i < 0 else i
        if FIRST_INDEX:
            places[p] = j * step
        else:
            places[p] = places[p] + j * step
    if bad != 0:
        frame[3] = 1


@native
def take_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Row (before, p, after) of the result is the inner loop at index[p].

    Parameters: result, source, index words, size and step of the indexed dimension, number of indices, inner size and
    step, smallest index allowed, then number and (size, step) of the dimensions after, and of those before.
    """
    out = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    index = bitcast(frame[params[2]], ptr(I))
    size = params[3]
    step = params[4]
    count = params[5]
    inner = params[6]
    inner_step = params[7]
    low = params[8]
    after = params + 9
    before = after + (1 + 2 * after[0])
    bad = i64(0)
    for row in range(begin, end):
        rest = row
        place = 0
        if AFTER:
            for d in range(after[0]):
                n = after[1 + 2 * d]
                place += (rest % n) * after[2 + 2 * d]
                rest = rest // n
        p = rest
        if BEFORE:
            p = rest % count
            rest = rest // count
            for d in range(before[0]):
                n = before[1 + 2 * d]
                place += (rest % n) * before[2 + 2 * d]
                rest = rest // n
        else:
            if not AFTER:
                ahead = source + i64(index[min(p + 8, count - 1)]) * step
                for line in unroll(LINES):
                    prefetch(ahead + line * (64 // T.bytes))
        i = i64(index[p])
        wrong = (i < low) | (i >= size)
        bad = bad | i64(wrong)
        i = i + size if i < 0 else i
        i = 0 if wrong else i
        start = source + (place + i * step)
        to = out + row * inner
        if UNIT:
            for k in independent(0, inner):
                to[k] = start[k]
        else:
            for k in range(inner):
                to[k] = start[k * inner_step]
    if bad != 0:
        frame[3] = 1


@native
def take_inner(frame: WORD, params: WORD, begin: i64, end: i64):
    """Like take_rows where nothing lies inside the indexed dimension: the inner loop runs over the indices."""
    out = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    index = bitcast(frame[params[2]], ptr(I))
    size = params[3]
    step = params[4]
    count = params[5]
    low = params[6]
    before = params + 7
    bad = i64(0)
    at = begin
    while at < end:
        row = at // count
        first = at - row * count
        n = min(end - at, count - first)
        rest = row
        place = 0
        for d in range(before[0]):
            m = before[1 + 2 * d]
            place += (rest % m) * before[2 + 2 * d]
            rest = rest // m
        start = source + place
        numbers = index + first
        to = out + at
        for k in independent(0, n):
            i = i64(numbers[k])
            wrong = (i < low) | (i >= size)
            bad = bad | i64(wrong)
            i = i + size if i < 0 else i
            i = 0 if wrong else i
            to[k] = start[i * step]
        at += n
    if bad != 0:
        frame[3] = 1


@native
def chain(frame: WORD, params: WORD, begin: i64, end: i64):
    """For each target the list of the places that index it, in rising order: heads per target, then the next one.

    Parameters: head word, next word, index word, number of targets, number of indices, smallest index, skipped target.
    """
    head = bitcast(frame[params[0]], ptr(i32))
    following = bitcast(frame[params[1]], ptr(i32))
    index = bitcast(frame[params[2]], ptr(I))
    size = params[3]
    count = params[4]
    skip = params[6]
    fill_bytes(head, 255, size * 4)
    for k in range(count):
        p = count - 1 - k
        i = i64(index[p])
        i = i + size if i < 0 else i
        if i != skip:
            following[p] = head[i]
            head[i] = i32(p)


@native
def sum_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Each target row is the sum of the source rows in its list, in order; zeros where the list is empty.

    Parameters: result, source, head, next words, number of targets, number of indices, inner size, weight word.
    """
    out = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    head = bitcast(frame[params[2]], ptr(i32))
    following = bitcast(frame[params[3]], ptr(i32))
    size = params[4]
    count = params[5]
    inner = params[6]
    for row in range(begin, end):
        block = row // size
        p = i64(head[row - block * size])
        times = 0
        if MEAN:
            q = p
            while q >= 0:
                times += 1
                q = i64(following[q])
        to = out + row * inner
        if p < 0:
            fill_bytes(to, 0, inner * T.bytes)
        else:
            first = source + (block * count + p) * inner
            p = i64(following[p])
            if HALF:
                wide = local(f32, 512)
                start = 0
                again = p
                while start < inner:
                    n = min(inner - start, i64(512))
                    for k in independent(0, n):
                        wide[k] = f32(first[start + k])
                    p = again
                    while p >= 0:
                        more = source + ((block * count + p) * inner + start)
                        for k in independent(0, n):
                            wide[k] = wide[k] + f32(more[k])
                        p = i64(following[p])
                    for k in independent(0, n):
                        to[start + k] = wide[k]
                    start += n
            else:
                for k in independent(0, inner):
                    to[k] = first[k]
                while p >= 0:
                    more = source + (block * count + p) * inner
                    for k in independent(0, inner):
                        to[k] = to[k] + more[k]
                    p = i64(following[p])
            if MEAN:
                if times > 1:
                    for k in independent(0, inner):
                        to[k] = to[k] / f32(times)


@native
def put_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Write or combine values at the places of a table, in order of the table.

    Chunks are rows of the dimensions before (BY_OUTER) or shares of the targets, so no two touch the same element.
    Parameters: target, value, place words, number of places, inner size and step, 1 or 0 (one value for all), rows
    before, bytes-free span of a share, then number and (size, step) of the dimensions after, and of those before.
    """
    target = bitcast(frame[params[0]], ptr(T))
    values = bitcast(frame[params[1]], ptr(T))
    places = bitcast(frame[params[2]], WORD)
    count = params[3]
    inner = params[4]
    step = params[5]
    scale = params[6]
    first = begin if BY_OUTER else 0
    last = end if BY_OUTER else params[7]
    low = begin * params[8]
    high = end * params[8]
    after = params + 9
    before = after + (1 + 2 * after[0])
    rows = 1
    for d in range(after[0]):
        rows = rows * after[1 + 2 * d]
    for b in range(first, last):
        rest = b
        base = 0
        for d in range(before[0]):
            n = before[1 + 2 * d]
            base += (rest % n) * before[2 + 2 * d]
            rest = rest // n
        for p in range(count):
            place = places[p]
            mine = True
            if not BY_OUTER:
                mine = (place >= low) & (place < high)
            if mine:
                for a in range(rows):
                    rest = a
                    at = base + place
                    for d in range(after[0]):
                        n = after[1 + 2 * d]
                        at += (rest % n) * after[2 + 2 * d]
                        rest = rest // n
                    value = values + ((b * count + p) * rows + a) * inner * scale
                    to = target + at
                    if UNIT:
                        for k in independent(0, inner):
                            to[k] = COMBINE(to, k, value, k * scale)
                    else:
                        for k in range(inner):
                            to[k * step] = COMBINE(to, k * step, value, k * scale)


@native
def set_one(to, k, value, j):
    return value[j]


@native
def add_one(to, k, value, j):
    return to[k] + value[j]


@native
def mul_one(to, k, value, j):
    return to[k] * value[j]


@native
def max_one(to, k, value, j):
    return maximum(to[k], value[j])


@native
def min_one(to, k, value, j):
    return minimum(to[k], value[j])


COMBINES = {"set": set_one, "add": add_one, "mul": mul_one, "max": max_one, "min": min_one}


# -- shapes --------------------------------------------------------------------------------------------------


def merged(shape: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """(size, stride) of the dimensions from the outermost on, without size 1, neighbours joined where they can be."""
    dims: list[tuple[int, int]] = []
    for n, s in zip(shape, strides):
        if n == 1:
            continue
        if dims and dims[-1][1] == s * n:
            dims[-1] = (dims[-1][0] * n, s)
        else:
            dims.append((n, s))
    return dims


def flat_params(dims: Sequence[tuple[int, int]]) -> list[int]:
    """Number of dimensions, then size and stride from the innermost."""
    found = [len(dims)]
    for n, s in reversed(dims):
        found += [n, s]
    return found


class Geometry:
    """A strided tensor around its indexed dimensions, in units of its parts: what lies before, inside and after."""

    def __init__(self, shape, strides, dims: Sequence[int], item: int, adjacent: bool, parts: int = 1):
        wide = 2 if item == 16 and parts == 1 else parts
        self.wide = wide
        strides = [s * wide for s in strides]
        rest = [d for d in range(len(shape)) if d not in dims]
        before = [d for d in rest if adjacent and dims and d < dims[0]]
        after = [d for d in rest if d not in before]
        self.before = merged([shape[d] for d in before], [strides[d] for d in before])
        inside = merged([shape[d] for d in after], [strides[d] for d in after])
        if wide == 2:
            inside = merged([*(n for n, _ in inside), 2], [*(s for _, s in inside), 1])
        self.inner, self.inner_step = inside.pop() if inside else (1, 1)
        self.after = inside
        self.steps = [strides[d] for d in dims]
        self.sizes = [shape[d] for d in dims]
        self.rows_before = product(n for n, _ in self.before)
        self.rows_after = product(n for n, _ in self.after)


# -- steps ---------------------------------------------------------------------------------------------------


def out_of_bounds(sizes: Sequence[int], dims: Sequence[int], error: type[Exception] = IndexError) -> Callable:
    """Words a refusal: which index of which dimension, and where in the index tensor."""

    def how(code: int, value: int, position: int) -> Exception:
        k = code - OUT_OF_RANGE
        return error(
            f"index {value} is out of bounds for dimension {dims[k]} with size {sizes[k]}\n"
            f"  at    position {position} of the index\n  need  {-sizes[k]} <= index < {sizes[k]}"
        )

    return how


def out_of_range(size: int, first_line: str, error: type[Exception] = IndexError, low: int = 0) -> Callable:
    """Words a refusal with PyTorch's first line, where {value} is the index, and the facts below it."""

    def how(code: int, value: int, position: int) -> Exception:
        line = first_line.format(value=value, size=size, position=position)
        return error(f"{line}\n  at    index {value} at position {position}\n  need  {low} <= index < {size}")

    return how


def start_check(call: Call) -> None:
    call.native(begin_check, {}, [], 1, 1)


def finish_check(
    call: Call, code: str, word: int, place: int, count: int, low: int, high: int, number: int = 0
) -> None:
    """Look for the first bad index; place: its number in a table, or -1."""
    call.look_ahead(word if place < 0 else -1, code, count, low, high)
    call.native(report, {"I": BY_CODE[code]}, [word, place, count, low, high, OUT_OF_RANGE + number], 1, 1)


def check_index(call: Call, code: str, word: int, count: int, low: int, high: int) -> None:
    """Steps that refuse unless all indices are within [low, high)."""
    start_check(call)
    call.native(check_range, {"I": BY_CODE[code]}, [word, low, high], count, 1 << 16)
    finish_check(call, code, word, -1, count, low, high)


def index_word(call: Call, k: int) -> tuple[int, str]:
    """Frame word and type of a contiguous index tensor."""
    return call.contiguous(k), call.inputs[k].dtype.code


def gather_rows(
    call: Call, at: Geometry, word: int, code: str, source: int, count: int, size: int, step: int, low: int
):
    """Steps of take_rows or take_inner over `count` indices; size 0 stands for places that need no check."""
    item = BITS[call.outputs[0].dtype.itemsize // (2 if at.wide == 2 else 1)]
    statics = {"T": item, "I": BY_CODE[code]}
    if at.inner == 1 and not at.after:
        params = [call.out(), source, word, size, step, count, low, *flat_params(at.before)]
        call.native(take_inner, statics, params, at.rows_before * count, CHUNK)
        return
    params = [call.out(), source, word, size, step, count, at.inner, at.inner_step, low]
    params += flat_params(at.after) + flat_params(at.before)
    lines = min(8, -(-at.inner * item.bytes // 64)) if at.inner_step == 1 else 1
    statics |= {
        "UNIT": at.inner_step == 1,
        "AFTER": bool(at.after),
        "BEFORE": bool(at.before),
        "LINES": lines,
    }
    call.native(take_rows, statics, params, at.rows_before * count * at.rows_after, max(1, CHUNK // at.inner))


def take(call: Call) -> None:
    """Slices along one dimension at the places of an index tensor (second input)."""
    where, index = call.inputs[0], call.inputs[1]
    dim, wrap = call.values.get("dim", 0), call.values["wrap"]
    shape, strides = where.shape or (1,), where.strides or (1,)
    dim %= len(shape)
    at = Geometry(shape, strides, [dim], where.dtype.itemsize, True)
    word, code = index_word(call, 1)
    size = shape[dim]
    low = -size if wrap else 0
    if index.numel == 0:
        return
    if call.outputs[0].numel == 0:
        check_index(call, code, word, index.numel, low, size)
        return
    start_check(call)
    gather_rows(call, at, word, code, call.input(0), index.numel, size, at.steps[0], low)
    finish_check(call, code, word, -1, index.numel, low, size)


def take_index(call: Call) -> None:
    # PyTorch counts the index tensors here, not the dimensions.
    call.refuses = out_of_bounds([(call.inputs[0].shape or (1,))[call.values["dim"]]], [0])
    call.values["wrap"] = True
    take(call)


def take_select(call: Call) -> None:
    shape = call.inputs[0].shape or (1,)
    call.refuses = out_of_range(shape[call.values.get("dim", 0)], "index out of range in self")
    call.values["wrap"] = False
    take(call)


def take_bag(call: Call) -> None:
    line = "Index {position} of input takes value {value} which is not in the valid range [0, {size})"
    call.refuses = out_of_range(call.inputs[0].shape[0], line, RuntimeError)
    call.values["wrap"] = False
    take(call)


def rows_sum(call: Call) -> None:
    """Slices summed into zeros at the places of an index: the gradient of `take`.

    The index was checked by the call whose gradient this is, and is checked again here: it may have been written since.
    """
    where, index, out = call.inputs[0], call.inputs[1], call.outputs[0]
    dim = call.values["dim"]
    size, count, skip = out.shape[dim], index.numel, call.values.get("skip", -1)
    name, parts = number_parts(where.dtype.code)
    word, code = index_word(call, 1)
    if out.numel == 0:
        return
    if count == 0:
        clear_all(call, call.out(), out.nbytes)
        return
    call.refuses = out_of_bounds([size], [dim])
    check_index(call, code, word, count, -size, size)
    source = call.contiguous(0)
    inner = product(out.shape[dim + 1 :]) * parts
    head, following = call.scratch(4 * size), call.scratch(4 * count)
    call.native(chain, {"I": BY_CODE[code]}, [head, following, word, size, count, -size, skip], 1, 1)
    statics = {"T": BY_CODE[name], "HALF": name in ("f16", "bf16"), "MEAN": bool(call.values.get("mean"))}
    params = [call.out(), source, head, following, size, count, inner]
    call.native(sum_rows, statics, params, product(out.shape[:dim]) * size, max(1, CHUNK // inner))


def places_of(call: Call, k: int, at: Geometry, low: Sequence[int]) -> int:
    """Frame word of a table with the place that the index tensors of input k name together."""
    several = isinstance(call.inputs[k], tuple)
    indices = call.inputs[k] if several else (call.inputs[k],)
    count = indices[0].numel
    word = call.input(k) if several else call.contiguous(k)
    places = call.scratch(8 * count)
    start_check(call)
    for n, index in enumerate(indices):
        params = [places, word, n if several else -1, at.sizes[n], at.steps[n], low[n]]
        call.native(
            add_places, {"I": BY_CODE[index.dtype.code], "FIRST_INDEX": n == 0}, params, count, 1 << 15
        )
    for n, index in enumerate(indices):
        finish_check(call, index.dtype.code, word, n if several else -1, count, low[n], at.sizes[n], n)
    return places


def adjacent(dims: Sequence[int]) -> bool:
    return all(b == a + 1 for a, b in itertools.pairwise(dims))


def index_at(call: Call) -> None:
    """Elements or slices at the places that several index tensors name together."""
    where, dims = call.inputs[0], call.values["dims"]
    count = call.inputs[1][0].numel
    call.refuses = out_of_bounds([where.shape[d] for d in dims], range(len(dims)))
    if count == 0:
        return
    at = Geometry(where.shape, where.strides, dims, where.dtype.itemsize, adjacent(dims))
    places = places_of(call, 1, at, [-n for n in at.sizes])
    if call.outputs[0].numel:
        reach = 1 + sum((n - 1) * s for n, s in zip(at.sizes, at.steps))
        gather_rows(call, at, places, "i64", call.input(0), count, reach, 1, 0)


def put(
    call: Call,
    at: Geometry,
    target: int,
    value: int,
    places: int,
    count: int,
    single: bool,
    mode: str,
    code: str,
):
    """Steps that write or combine values at the places of a table."""
    name, _ = number_parts(code)
    item = {"c64": 8, "c128": 16}.get(code) or BY_CODE[code].bytes
    t = BITS[item // at.wide] if mode == "set" else BY_CODE[name]
    rows = at.rows_before
    by_outer = rows >= SHARES
    reach = 1 + sum((n - 1) * s for n, s in zip(at.sizes, at.steps))
    work = rows * count * at.rows_after * at.inner
    shares = 1 if by_outer or work < CHUNK else SHARES
    span = -(-reach // shares)
    params = [target, value, places, count, at.inner, at.inner_step, 0 if single else 1, rows, span]
    params += flat_params(at.after) + flat_params(at.before)
    statics = {
        "T": t,
        "BY_OUTER": by_outer,
        "UNIT": at.inner_step == 1 and at.inner > 1,
        "COMBINE": COMBINES[mode],
    }
    if by_outer:
        call.native(put_rows, statics, params, rows, max(1, CHUNK * rows // max(1, work)))
    else:
        call.native(put_rows, statics, params, shares, 1)


def written_target(call: Call) -> tuple:
    """(layout, frame word) of what is written: the input itself in place, else a contiguous copy of it."""
    where = call.inputs[0]
    if call.in_place:
        return where, call.input(0)
    out = call.outputs[0]
    code = where.dtype.code
    call.pointwise(
        [(code, out.strides, call.out())], [(code, where.strides, call.input(0))], identity, where.shape
    )
    return out, call.out()


def put_values(call: Call, k: int, numel: int) -> tuple[int, bool]:
    """Frame word of the values in the target's type, and whether there is one for all places."""
    values, code = call.inputs[k], call.inputs[0].dtype.code
    single = values.numel == 1 and numel != 1
    return call.contiguous(k, code), single


def index_put(call: Call) -> None:
    """Values written (or added) at the places that several index tensors name together."""
    dims, indices, values = call.values["dims"], call.inputs[1], call.inputs[2]
    mode = "add" if call.values["accumulate"] else "set"
    count = indices[0].numel
    shape = call.inputs[0].shape
    call.refuses = out_of_bounds([shape[d] for d in dims], range(len(dims)))
    parts = number_parts(call.inputs[0].dtype.code)[1] if mode == "add" else 1
    if count == 0 or values.numel == 0:
        written_target(call)
        return
    strides = call.inputs[0].strides if call.in_place else call.outputs[0].strides
    at = Geometry(shape, strides, dims, call.inputs[0].dtype.itemsize, adjacent(dims), parts)
    places = places_of(call, 1, at, [-n for n in at.sizes])
    write_at(call, at, places, count, 2, mode)


def write_at(call: Call, at: Geometry, places: int, count: int, k: int, mode: str) -> None:
    """Write input k at the places of a table of the target."""
    _, target = written_target(call)
    numel = count * at.rows_before * at.rows_after * at.inner // at.wide
    value, single = put_values(call, k, numel)
    if single and at.wide == 2:
        value, single = spread_value(call, k, numel), False
    put(call, at, target, value, places, count, single, mode, call.inputs[0].dtype.code)


def spread_value(call: Call, k: int, numel: int) -> int:
    """A complex number repeated, because its two parts cannot be one value for all."""
    layout = call.inputs[k]
    code = call.inputs[0].dtype.code
    place = call.scratch(numel * call.inputs[0].dtype.itemsize)
    call.pointwise([(code, (1,), place)], [(layout.dtype.code, (0,), call.input(k))], identity, (numel,))
    return place


def places_sum(call: Call) -> None:
    """Zeros, and the input added at the places that several index tensors name together."""
    out, dims = call.outputs[0], call.values["dims"]
    code = out.dtype.code
    clear_all(call, call.out(), out.nbytes)
    count = call.inputs[1][0].numel
    if count == 0 or call.inputs[0].numel == 0:
        return
    call.refuses = out_of_bounds([out.shape[d] for d in dims], dims)
    at = Geometry(out.shape, out.strides, dims, out.dtype.itemsize, adjacent(dims), number_parts(code)[1])
    places = places_of(call, 1, at, [-n for n in at.sizes])
    put(call, at, call.out(), call.contiguous(0), places, count, False, "add", code)


# -- masks ---------------------------------------------------------------------------------------------------

#: elements of a mask whose true ones are counted together
MASK_BLOCK = 8192


@native
def count_true(frame: WORD, params: WORD, begin: i64, end: i64):
    """Number of true elements in each block."""
    counts = bitcast(frame[params[0]], WORD)
    mask = bitcast(frame[params[1]], ptr(u8))
    numel = params[2]
    for b in range(begin, end):
        first = b * BLOCK_SIZE
        total = i64(0)
        for i in independent(first, min(first + BLOCK_SIZE, numel)):
            total = total + (1 if mask[i] != 0 else 0)
        counts[b + 1] = total


@native
def add_counts(frame: WORD, params: WORD, begin: i64, end: i64):
    """Running totals: counts[b] becomes the number of true elements before block b."""
    counts = bitcast(frame[params[0]], WORD)
    counts[0] = 0
    for b in range(params[1]):
        counts[b + 1] = counts[b + 1] + counts[b]


@native
def find_true(frame: WORD, params: WORD, begin: i64, end: i64):
    """Write the positions of the true elements, block by block, each from where its count says."""
    found = bitcast(frame[params[0]], WORD)
    mask = bitcast(frame[params[1]], ptr(u8))
    counts = bitcast(frame[params[2]], WORD)
    numel = params[3]
    for b in range(begin, end):
        at = counts[b]
        stop = counts[b + 1]
        i = b * BLOCK_SIZE
        while at < stop and i < numel:
            found[at] = i
            at += 1 if mask[i] != 0 else 0
            i += 1


@native
def find_true_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """As `find_true`, with an index for each dimension in place of a position."""
    found = bitcast(frame[params[0]], WORD)
    mask = bitcast(frame[params[1]], ptr(u8))
    counts = bitcast(frame[params[2]], WORD)
    numel = params[3]
    dims = params[4]
    for b in range(begin, end):
        at = counts[b]
        stop = counts[b + 1]
        i = b * BLOCK_SIZE
        while at < stop and i < numel:
            if mask[i] != 0:
                rest = i
                for k in range(dims):
                    d = dims - 1 - k
                    n = params[5 + d]
                    found[at * dims + d] = rest % n
                    rest = rest // n
                at += 1
            i += 1


def mask_counts(call: Call) -> None:
    numel = call.inputs[0].numel
    blocks = -(-numel // MASK_BLOCK)
    word = call.contiguous(0)
    call.native(count_true, {"BLOCK_SIZE": MASK_BLOCK}, [call.out(), word, numel], blocks, 4)
    call.native(add_counts, {}, [call.out(), blocks], 1, 1)


def mask_find(call: Call, coordinates: bool = False) -> None:
    """Inputs: memory for the positions (or rows of indices), the mask, its counts."""
    call.mark_written(0)
    numel = call.inputs[1].numel
    blocks = -(-numel // MASK_BLOCK)
    word = call.contiguous(1)
    params = [call.input(0), word, call.input(2), numel]
    if coordinates:
        params += [call.inputs[1].ndim, *call.inputs[1].shape]
    kernel = find_true_rows if coordinates else find_true
    call.native(kernel, {"BLOCK_SIZE": MASK_BLOCK}, params, blocks, 4)
