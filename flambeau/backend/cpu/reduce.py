"""Schedules of reductions."""

from __future__ import annotations

from ...base.layout import contiguous_strides
from .emit import ScalarFunction
from .native import bitcast, native
from .schedule import compute_code, flatten, input_leaves
from .types import BY_CODE, f32, f64, i64, ptr

WORD = ptr(i64)


@native
def rows(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(OUT))
    source = bitcast(frame[params[1]], ptr(IN))
    count = params[2]
    for o in range(begin, end):
        total = ACC(START)
        row = source + o * count
        for r in range(count):
            total = COMBINE((total, MAP((row[r],))[0]))[0]
        out[o] = total


def reduce(call) -> None:
    where, dims, computed, rules = call.inputs[0], call.dims, call.compute, call.rules
    keep = [d for d in range(where.ndim) if d not in dims]
    order = [*keep, *dims]
    shape = [where.shape[d] for d in order]
    strides = [where.strides[d] for d in order]
    code = where.dtype.code
    word = call.input(0)
    if tuple(strides) != contiguous_strides(shape):
        word = call.copy_in(word, shape, strides, code, code)
    acc = compute_code(computed.code)
    count = 1
    for d in dims:
        count *= where.shape[d]
    a, b = input_leaves([computed.code, computed.code])
    (x,) = input_leaves([code])
    combine = ScalarFunction(flatten([rules.combine(a, b)], [computed.code]))
    mapped = ScalarFunction(flatten([x], [computed.code]))
    statics = {"OUT": BY_CODE[call.outputs[0].dtype.code], "IN": BY_CODE[code], "ACC": BY_CODE[acc],
               "START": rules.identity, "COMBINE": combine, "MAP": mapped}  # fmt: skip
    call.native(rows, statics, [call.out(0), word, count], call.outputs[0].numel, max(1, 16384 // max(1, count)))


_ = (f32, f64)
