"""Schedules of gather and scatter: every element has a place of its own along one dimension.

What is written in parallel is split into columns (all places along the dimension for one position in the others), so
that no two threads touch one element and the order of the index is kept.
"""

from __future__ import annotations

from ...base.layout import contiguous_strides
from ...ir import expr
from .indexing import CHUNK, COMBINES, check_index, finish_check, out_of_bounds, start_check, written_target
from .native import bitcast, native, unroll
from .pointwise import merge
from .regions import BITS, clear_all, number_parts, product
from .schedule import Call
from .types import BY_CODE, i64, ptr, u64

WORD = ptr(i64)


@native
def gather_elements(frame: WORD, params: WORD, begin: i64, end: i64):
    """out = source[index along the dimension], over [begin, end) of the result in the order of its memory.

    Parameters: result, source, index words, size and step of the dimension, number of outer dimensions, inner size, inner
    step of the source, then for each outer dimension: size, steps (index, source).
    """
    out = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    index = bitcast(frame[params[2]], ptr(I))
    size = params[3]
    step = params[4]
    inner = params[6]
    source_step = params[7]
    bad = i64(0)
    at = begin
    while at < end:
        row = at // inner
        first = at - row * inner
        n = min(end - at, inner - first)
        rest = row
        i_place = first
        s_place = first * source_step
        for d in range(params[5]):
            m = params[8 + 3 * d]
            k = rest % m
            i_place += k * params[9 + 3 * d]
            s_place += k * params[10 + 3 * d]
            rest = rest // m
        numbers = index + i_place
        start = source + s_place * PARTS
        to = out + at * PARTS
        for k in range(n):
            i = i64(numbers[k])
            if WRAP:
                i = i + size if i < 0 else i
            if u64(i) >= u64(size):  # below zero it is a large unsigned number
                bad = 1
                i = 0
            for part in unroll(PARTS):
                to[k * PARTS + part] = start[((i if STEP_ONE else i * step) + k * source_step) * PARTS + part]
        at += n
    if bad != 0:
        frame[3] = 1


@native
def scatter_columns(frame: WORD, params: WORD, begin: i64, end: i64):
    """Combine the source into the target, column by column; within a column in the order of the index.

    A bad index raises the flag and writes at place 0 instead: only into a result that is then dropped.
    Parameters: target, source, index words, size and step of the target along the dimension, number of indices along
    it, their steps (index, source), number of outer dimensions, inner size, inner steps (target, index, source), then
    for each outer dimension: size and these steps.
    """
    target = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    index = bitcast(frame[params[2]], ptr(I))
    size = params[3]
    step = params[4]
    length = params[5]
    index_dim = params[6]
    source_dim = params[7]
    inner = params[9]
    t_step = params[10]
    i_step = params[11]
    s_step = params[12]
    bad = i64(0)
    at = begin
    while at < end:
        row = at // inner
        first = at - row * inner
        n = min(end - at, inner - first)
        rest = row
        t_place = first * t_step
        i_place = first * i_step
        s_place = first * s_step
        for d in range(params[8]):
            m = params[13 + 4 * d]
            k = rest % m
            t_place += k * params[14 + 4 * d]
            i_place += k * params[15 + 4 * d]
            s_place += k * params[16 + 4 * d]
            rest = rest // m
        to = target + t_place * PARTS
        numbers = index + i_place
        values = source + s_place * PARTS
        if ALONG:
            for k in range(n):
                line = numbers + k * i_step
                from_line = values + k * s_step * PARTS
                to_line = to + k * t_step * PARTS
                for j in range(length):
                    i = i64(line[j] if UNIT else line[j * index_dim])
                    if WRAP:
                        i = i + size if i < 0 else i
                    if u64(i) >= u64(size):  # below zero it is a large unsigned number
                        bad = 1
                        i = 0
                    for part in unroll(PARTS):
                        place = (i if UNIT else i * step) * PARTS + part
                        value = (j if UNIT else j * source_dim) * PARTS + part
                        to_line[place] = COMBINE(to_line, place, from_line, value)
        else:
            for j in range(length):
                for k in independent(0, n):
                    i = i64(numbers[j * index_dim + k * i_step])
                    if WRAP:
                        i = i + size if i < 0 else i
                    wrong = u64(i) >= u64(size)
                    bad = bad | i64(wrong)
                    i = 0 if wrong else i
                    place = (i * step + k * t_step) * PARTS
                    value = (j * source_dim + k * s_step) * PARTS
                    for part in unroll(PARTS):
                        to[place + part] = COMBINE(to, place + part, values, value + part)
        at += n
    if bad != 0:
        frame[3] = 1


# -- gather --------------------------------------------------------------------------------------------------


def _checked_gather(call: Call, wrap: bool) -> None:
    where, index, out = call.inputs[0], call.inputs[1], call.outputs[0]
    dim = call.values["dim"] % max(1, where.ndim)
    size = (where.shape or (1,))[dim]
    low = -size if wrap else 0
    call.refuses = out_of_bounds([size], [dim], RuntimeError)
    if index.numel == 0:
        return
    word, shape = call.contiguous(1), index.shape or (1,)
    strides = list(where.strides or (1,))
    step, strides[dim] = strides[dim], 0
    parts = 2 if where.dtype.itemsize == 16 else 1
    dense = contiguous_strides(shape)
    sizes, steps = merge(shape, [dense, dense, strides])
    params = [call.out(), call.input(0), word, size, step, len(sizes) - 1, sizes[-1], steps[2][-1]]
    for d in range(len(sizes) - 2, -1, -1):
        params += [sizes[d], steps[1][d], steps[2][d]]
    statics = {"T": BITS[where.dtype.itemsize // parts], "I": BY_CODE[index.dtype.code], "PARTS": parts,
               "WRAP": wrap, "STEP_ONE": step == 1}  # fmt: skip
    start_check(call)
    call.native(gather_elements, statics, params, out.numel, CHUNK)
    finish_check(call, index.dtype.code, word, -1, index.numel, low, size)


def gather(call: Call) -> None:
    _checked_gather(call, False)


def gather_wrapped(call: Call) -> None:
    _checked_gather(call, True)


# -- scatter -------------------------------------------------------------------------------------------------


#: bytes of the target that one chunk of columns should stay within
NEAR = 1 << 20


def combine(
    call: Call, target: tuple[int, tuple], source: tuple[int, tuple | None], mode: str, dim: int, size: int, code: str,
    low: int = 0,
) -> None:  # fmt: skip
    """Steps that combine a source into a target at the places of input 1; both are (frame word, strides).

    A source without strides is one value for all places.
    """
    index = call.inputs[1]
    shape = list(index.shape or (1,))
    index_strides, target_strides = list(index.strides or (1,)), list(target[1] or (1,))
    source_strides = [0] * len(shape) if source[1] is None else list(source[1] or (1,))
    length = shape.pop(dim)
    step, index_dim, source_dim = target_strides.pop(dim), index_strides.pop(dim), source_strides.pop(dim)
    sizes, steps = (
        merge(shape, [target_strides, index_strides, source_strides]) if shape else ([1], [[0], [0], [0]])
    )
    columns = product(sizes)
    name, parts = number_parts(code)
    t = BY_CODE[name]
    if mode == "set":
        item = {"c64": 8, "c128": 16}.get(code) or t.bytes
        parts = 2 if item == 16 else 1
        t = BITS[item // parts]
    along = columns < 8 or index_dim < abs(steps[1][-1]) or sizes[-1] < 4
    params = [target[0], source[0], call.input(1), size, step, length, index_dim, source_dim]
    params += [len(sizes) - 1, sizes[-1], *(s[-1] for s in steps)]
    for d in range(len(sizes) - 2, -1, -1):
        params += [sizes[d], *(s[d] for s in steps)]
    unit = index_dim == 1 and source_dim == 1 and step == 1
    statics = {"T": t, "I": BY_CODE[index.dtype.code], "PARTS": parts, "ALONG": along, "COMBINE": COMBINES[mode],
               "UNIT": unit, "WRAP": low < 0}  # fmt: skip
    chunk = CHUNK // length if along else max(64, NEAR // (size * t.bytes * parts))
    call.native(scatter_columns, statics, params, columns, max(1, chunk))


def begin_scatter(call: Call, low: int = 0) -> tuple:
    """(strides, frame word, dimension, its size) of what is written.

    In place the index is checked first; else the kernels check as they go, and `end_scatter` looks at what they saw.
    """
    where, index = call.inputs[0], call.inputs[1]
    dim = call.values["dim"] % max(1, where.ndim)
    size = (where.shape or (1,))[dim]
    call.refuses = out_of_bounds([size], [dim], RuntimeError)
    if index.numel and (call.in_place or where.numel == 0):
        check_index(call, index.dtype.code, call.contiguous(1), index.numel, low, size)
    layout, word = written_target(call)
    start_check(call)
    return layout.strides, word, dim, size


def end_scatter(call: Call, size: int, low: int = 0) -> None:
    index = call.inputs[1]
    if not call.in_place:
        finish_check(call, index.dtype.code, call.contiguous(1), -1, index.numel, low, size)


def scatter_into(call: Call) -> None:
    index, src = call.inputs[1], call.inputs[2]
    strides, word, dim, size = begin_scatter(call)
    code, how = call.inputs[0].dtype.code, call.values["how"]
    if index.numel == 0 or call.inputs[0].numel == 0:
        return
    if code in ("c64", "c128") and how == "mul":
        raise NotImplementedError("scatter with reduce='multiply' on complex tensors")
    single = src.ndim != index.ndim and src.numel == 1
    source = call.input(2)
    if single and code in ("c64", "c128"):
        source = spread_number(call, source, code)
    combine(call, (word, strides), (source, None if single else src.strides), how, dim, size, code)
    end_scatter(call, size)


def spread_number(call: Call, word: int, code: str) -> int:
    """A complex number in a buffer of its own (its place is read without strides)."""
    place = call.scratch(16)
    call.pointwise([(code, (1,), place)], [(code, (1,), word)], lambda x: x, (1,))
    return place


def scatter_sum(call: Call) -> None:
    out, index = call.outputs[0], call.inputs[1]
    clear_all(call, call.out(), out.nbytes)
    dim = call.values["dim"] % max(1, out.ndim)
    size = (out.shape or (1,))[dim]
    call.refuses = out_of_bounds([size], [dim], RuntimeError)
    if index.numel == 0:
        return
    if out.numel == 0:
        check_index(call, index.dtype.code, call.contiguous(1), index.numel, -size, size)
        return
    start_check(call)
    source = (call.input(0), call.inputs[0].strides)
    combine(call, (call.out(), out.strides), source, "add", dim, size, out.dtype.code, -size)
    finish_check(call, index.dtype.code, call.contiguous(1), -1, index.numel, -size, size)


_MODES = {"sum": "add", "mean": "add", "prod": "mul", "amax": "max", "amin": "min"}


def neutral(reduce: str, dtype):
    """The value that changes nothing when combined."""
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if dtype.kind == 0:
        return reduce == "amin"
    if dtype.kind == 1:
        bits, signed = 8 * dtype.itemsize, dtype.is_signed
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return low if reduce == "amax" else high
    return float("-inf") if reduce == "amax" else float("inf")


def constant(call: Call, code: str, value, shape) -> int:
    """Frame word of a contiguous scratch tensor filled with a value."""
    numel = max(1, product(shape))
    word = call.scratch(numel * BY_CODE[code].bytes)
    call.pointwise([(code, (1,), word)], [], lambda: expr.constant(value, code), (numel,))
    return word


def scatter_reduce(call: Call) -> None:
    where, index, src = call.inputs
    reduce, include_self = call.values["reduce"], call.values["include_self"]
    strides, word, dim, size = begin_scatter(call)
    code = where.dtype.code
    if index.numel == 0 or where.numel == 0:
        return
    if not include_self:
        start = constant(call, code, neutral(reduce, where.dtype), (1,))
        combine(call, (word, strides), (start, None), "set", dim, size, code)
    combine(call, (word, strides), (call.input(2), src.strides), _MODES[reduce], dim, size, code)
    if reduce == "mean":
        dense = contiguous_strides(where.shape)
        counts = constant(call, "i64", 1 if include_self else 0, where.shape)
        ones = constant(call, "i64", 1, (1,))
        combine(call, (counts, dense), (ones, None), "add", dim, size, "i64")
        _divide(call, word, counts, where, code)
    end_scatter(call, size)


def _divide(call: Call, word: int, counts: int, where, code: str) -> None:
    """Divide the sums by how many elements they have; integers round down."""
    dense = contiguous_strides(where.shape)

    def rule(total, count):
        count = expr.maximum(count, 1)
        if where.dtype.kind >= 2:
            return total / expr.convert(count, total.type)
        total = expr.convert(total, "i64")
        quotient = total / count  # towards zero
        return quotient - expr.where(total - quotient * count < 0, 1, 0)

    call.pointwise([(code, dense, word)], [(code, dense, word), ("i64", dense, counts)], rule, where.shape)
