"""Schedules of what is done to all gradients at once: one kernel over the elements of all, as if they were one vector."""

from __future__ import annotations

from itertools import pairwise

from .jit import vector_bytes
from .kernels_runtime import WORD
from .native import add_any, bitcast, fabs, horizontal, load, maximum, mul_any, native, select, splat, sqrt
from .optimise import CHUNK, elements, number, tensor_at, types_of
from .schedule import COMPUTE
from .types import BY_CODE, f64, i64, ptr, vec

BLOCK = (
    1 << 13
)  # elements of a partial sum: few enough for float32 to keep its digits, enough to outweigh the rest


@native
def greatest(x, n, T, C, LANES):
    """The largest magnitude; NaN when there is one."""
    best = splat(C(0.0), LANES)
    broken = splat(C(0.0), LANES)
    whole = (n // LANES) * LANES
    for i in range(0, whole, LANES):
        size = fabs(load(x + i, vec(T, LANES)))
        best = select(size > best, size, best)
        broken = select(size != size, size, broken)
    top = horizontal("max", best)
    bad = horizontal("add", broken)
    for i in range(whole, n):
        one = fabs(x[i])
        top = select(one > top, one, top)
        bad = select(one != one, one, bad)
    return select(bad != bad, bad, top)


# params: 0 tensors, 1 list, 2 partial results, 3... first block of each tensor (one more), then sizes
@native
def block_norms(frame: WORD, params: WORD, begin: i64, end: i64):
    """For each block the sum of powers, or the largest magnitude."""
    count = params[0]
    partial = bitcast(frame[params[2]], ptr(f64))
    starts = params + 3
    sizes = params + 4 + count
    at = tensor_at(starts, count, begin)
    for block in range(begin, end):
        while starts[at + 1] <= block:
            at += 1
        first = (block - starts[at]) * BLOCK
        n = min(i64(BLOCK), sizes[at] - first)
        x = bitcast(bitcast(frame[params[1]], WORD)[at], ptr(T)) + first
        total = C(0.0)
        if P == 2:
            for i in range(n):
                total = add_any(total, mul_any(x[i], x[i]))
        elif P == 1:
            for i in range(n):
                total = add_any(total, fabs(x[i]))
        else:
            total = greatest(x, n, T, C, LANES)
        partial[block] = f64(total)


# params: 0 result, 1 partial results, 2 blocks
@native
def joined_norm(frame: WORD, params: WORD, begin: i64, end: i64):
    """The norm from the results of all blocks."""
    out = bitcast(frame[params[0]], ptr(T))
    partial = bitcast(frame[params[1]], ptr(f64))
    total = f64(0.0)
    for block in range(params[2]):
        if P == 0:
            total = maximum(total, partial[block])
        else:
            total = total + partial[block]
    if P == 2:
        total = sqrt(total)
    out[0] = C(total)


# params: 0 tensors, 1 list, 2 norm, 3 first scalar, 4... starts
@native
def clip_all(frame: WORD, params: WORD, begin: i64, end: i64):
    """Shrinks the elements of all tensors so that their norm is at most the scalar; NaN spreads, as it does in operators."""
    count = params[0]
    starts = params + 4
    share = R(number(frame, params[3])) / (R(bitcast(frame[params[2]], ptr(N))[0]) + R(1e-6))
    if share > R(1.0):
        share = R(1.0)
    factor = C(share)
    if factor != C(1.0):
        at = tensor_at(starts, count, begin)
        position = begin
        while position < end:
            stop = min(end, starts[at + 1])
            x = bitcast(bitcast(frame[params[1]], WORD)[at], ptr(T)) + (position - starts[at])
            for i in range(stop - position):
                x[i] = x[i] * factor
            position = stop
            at += 1


# params: 0 tensors, 1 list, 2 found, 3 factor, 4... starts
@native
def unscale_all(frame: WORD, params: WORD, begin: i64, end: i64):
    """Multiplies the elements of all tensors; any number of threads may set the mark, and all set it to 1."""
    count = params[0]
    starts = params + 4
    factor = C(bitcast(frame[params[3]], ptr(F))[0])
    at = tensor_at(starts, count, begin)
    position = begin
    broken = i64(0)
    while position < end:
        stop = min(end, starts[at + 1])
        x = bitcast(bitcast(frame[params[1]], WORD)[at], ptr(T)) + (position - starts[at])
        for i in range(stop - position):
            value = x[i]
            broken = broken | select(value - value == C(0.0), i64(0), i64(1))
            x[i] = value * factor
        position = stop
        at += 1
    if broken != 0:
        bitcast(frame[params[2]], ptr(F))[0] = F(1.0)


def norm(call) -> None:
    """norm(tensors, p)"""
    code, starts = elements(call.inputs[0])
    sizes = [b - a for a, b in pairwise(starts)]
    blocks = [0]
    for size in sizes:
        blocks.append(blocks[-1] + -(-size // BLOCK))
    statics = {**types_of(code), "P": {2.0: 2, 1.0: 1}.get(call.values["p"], 0)}
    statics["LANES"] = vector_bytes() // statics["C"].bytes
    partial = call.scratch(8 * max(1, blocks[-1]))
    words = [len(sizes), call.input(0), partial, *blocks, *sizes]
    call.native(block_norms, statics, words, blocks[-1], 4)
    call.native(joined_norm, statics, [call.out(0), partial, blocks[-1]], 1, 1)


def clip(call) -> None:
    """clip_(tensors, total, max_norm)"""
    code, starts = elements(call.inputs[0])
    call.mark_written(0)
    kind = call.inputs[1].dtype.code
    statics = {**types_of(code), "N": BY_CODE[kind], "R": BY_CODE[COMPUTE.get(kind, kind)]}
    words = [len(starts) - 1, call.input(0), call.input(1), call.scalar(0), *starts]
    call.native(clip_all, statics, words, starts[-1], CHUNK)


def unscale(call) -> None:
    """unscale_(tensors, found, factor)"""
    code, starts = elements(call.inputs[0])
    call.mark_written(0)
    call.mark_written(1)
    words = [len(starts) - 1, call.input(0), call.input(1), call.input(2), *starts]
    call.native(unscale_all, {**types_of(code), "F": BY_CODE["f32"]}, words, starts[-1], CHUNK)
