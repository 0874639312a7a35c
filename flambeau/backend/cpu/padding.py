"""Schedule of constant padding."""

from __future__ import annotations

from ...base.layout import pad_pairs
from .native import bitcast, independent, native, unroll
from .types import BY_CODE, f32, f64, i64, ptr

WORD = ptr(i64)


@native
def pad_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Rows of the result: PARTS values an element. After 5 words: per outer dimension size, before, input size, stride."""
    out = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    number = frame[params[2]]
    fill = bitcast(number, f64) if FLOAT else number
    length = params[3]
    outer = params[4]
    before = params[5]
    have = params[6]
    step = params[7]
    first = max(before, i64(0))
    last = min(length, before + have)
    for row in range(begin, end):
        rest = row
        inside = True
        move = -before * step
        for d in range(outer):
            size = params[8 + 4 * d]
            place = rest % size - params[9 + 4 * d]
            rest = rest // size
            if (place < 0) | (place >= params[10 + 4 * d]):
                inside = False
            move += place * params[11 + 4 * d]
        to = out + row * length * PARTS
        if inside & (last > first):
            for j in independent(0, first * PARTS):
                to[j] = V(fill) if j % PARTS == 0 else V(0)
            for j in independent(first, last):
                for p in unroll(PARTS):
                    to[j * PARTS + p] = source[(move + j * step) * PARTS + p]
            for j in independent(last * PARTS, length * PARTS):
                to[j] = V(fill) if j % PARTS == 0 else V(0)
        else:
            for j in independent(0, length * PARTS):
                to[j] = V(fill) if j % PARTS == 0 else V(0)


def constant(call) -> None:
    where, out = call.inputs[0], call.outputs[0]
    if out.numel == 0:
        return
    code = where.dtype.code
    shape, strides, target = where.shape or (1,), where.strides or (1,), out.shape or (1,)
    pairs = pad_pairs(call.values["pad"], where.ndim) or ((0, 0),)
    memory = {"c64": f32, "c128": f64}.get(code) or BY_CODE[code]
    words = [
        call.out(0),
        call.input(0),
        call.scalar(0),
        target[-1],
        len(shape) - 1,
        pairs[-1][0],
        shape[-1],
        strides[-1],
    ]
    for d in range(len(shape) - 2, -1, -1):
        words += [target[d], pairs[d][0], shape[d], strides[d]]
    statics = {"T": memory, "V": memory.register, "PARTS": 2 if code in ("c64", "c128") else 1,
               "FLOAT": where.dtype.kind >= 2 or call.scalar_codes[0] == "f64"}  # fmt: skip
    call.native(pad_rows, statics, words, out.numel // target[-1], max(1, 16384 // target[-1]))
