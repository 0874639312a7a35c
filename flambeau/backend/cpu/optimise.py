"""Schedules of optimiser steps: one kernel over the elements of all parameters, as if they were one vector."""

from __future__ import annotations

from .kernels_memory import WORD
from .native import bitcast, independent, maximum, native, sqrt
from .schedule import COMPUTE
from .types import BY_CODE, f64, i64, ptr

CHUNK = 1 << 14  # elements that a thread takes at a time, at most
PIECES = 8  # their number is a multiple of it, so that threads get equal shares


@native
def tensor_at(starts: WORD, count: i64, position: i64):
    """The tensor that holds an element, by bisection; `starts` has one entry more than there are tensors."""
    low = i64(0)
    high = count
    while high - low > 1:
        middle = (low + high) // 2
        if starts[middle] <= position:
            low = middle
        else:
            high = middle
    return low


@native
def number(frame: WORD, at: i64):
    return bitcast(frame[at], f64)


@native
def power(base: f64, exponent: i64):
    result = f64(1.0)
    square = base
    left = exponent
    while left > 0:
        if (left & 1) != 0:
            result = result * square
        square = square * square
        left = left >> 1
    return result


# params: 0 tensors, 1 parameters, 2 gradients, 3 buffers, 4 first scalar, 5... starts
@native
def sgd_step(frame: WORD, params: WORD, begin: i64, end: i64):
    count = params[0]
    first = params[4]
    starts = params + 5
    lr = C(number(frame, first))
    mu = C(number(frame, first + 1))
    share = C(1.0 - number(frame, first + 2))
    decay = C(number(frame, first + 3))
    at = tensor_at(starts, count, begin)
    position = begin
    while position < end:
        stop = min(end, starts[at + 1])
        skip = position - starts[at]
        n = stop - position
        p = bitcast(bitcast(frame[params[1]], WORD)[at], ptr(T)) + skip
        g = bitcast(bitcast(frame[params[2]], WORD)[at], ptr(T)) + skip
        if MOMENTUM:
            b = bitcast(bitcast(frame[params[3]], WORD)[at], ptr(T)) + skip
            for i in independent(0, n):
                slope = g[i]
                if MAXIMIZE:
                    slope = -slope
                slope = slope + decay * p[i]
                kept = b[i] * mu + share * slope
                b[i] = kept
                if NESTEROV:
                    kept = slope + mu * kept
                p[i] = p[i] - lr * kept
        else:
            for i in independent(0, n):
                slope = g[i]
                if MAXIMIZE:
                    slope = -slope
                p[i] = p[i] - lr * (slope + decay * p[i])
        position = stop
        at += 1


# params: 0 step counts, 1 corrections, 2 first scalar
@native
def adam_counts(frame: WORD, params: WORD, begin: i64, end: i64):
    """Raises the step counts; writes for each parameter the step size and the root of the second correction."""
    steps = bitcast(frame[params[0]], WORD)
    corrections = bitcast(frame[params[1]], ptr(f64))
    first = params[2]
    lr = number(frame, first)
    for at in range(begin, end):
        step = bitcast(steps[at], ptr(S))
        step[0] = step[0] + 1
        count = i64(step[0])
        corrections[2 * at] = lr / (1.0 - power(number(frame, first + 1), count))
        corrections[2 * at + 1] = sqrt(1.0 - power(number(frame, first + 2), count))


# params: 0 tensors, 1 parameters, 2 gradients, 3 averages, 4 squares, 5 largest, 6 corrections, 7 first scalar, 8... starts
@native
def adam_step(frame: WORD, params: WORD, begin: i64, end: i64):
    count = params[0]
    corrections = bitcast(frame[params[6]], ptr(f64))
    first = params[7]
    starts = params + 8
    new1 = C(1.0 - number(frame, first + 1))
    beta2 = C(number(frame, first + 2))
    new2 = C(1.0 - number(frame, first + 2))
    eps = C(number(frame, first + 3))
    decay = C(number(frame, first + 4))
    shrink = C(1.0 - number(frame, first) * number(frame, first + 4))
    at = tensor_at(starts, count, begin)
    position = begin
    while position < end:
        stop = min(end, starts[at + 1])
        skip = position - starts[at]
        n = stop - position
        size = C(corrections[2 * at])
        root = C(corrections[2 * at + 1])
        p = bitcast(bitcast(frame[params[1]], WORD)[at], ptr(T)) + skip
        g = bitcast(bitcast(frame[params[2]], WORD)[at], ptr(T)) + skip
        m = bitcast(bitcast(frame[params[3]], WORD)[at], ptr(T)) + skip
        v = bitcast(bitcast(frame[params[4]], WORD)[at], ptr(T)) + skip
        if AMSGRAD:
            top = bitcast(bitcast(frame[params[5]], WORD)[at], ptr(T)) + skip
        for i in independent(0, n):
            slope = g[i]
            value = p[i]
            if MAXIMIZE:
                slope = -slope
            if DECOUPLED:
                value = value * shrink
            else:
                slope = slope + decay * value
            average = m[i] + new1 * (slope - m[i])
            square = v[i] * beta2 + new2 * (slope * slope)
            m[i] = average
            v[i] = square
            if AMSGRAD:
                square = maximum(top[i], square)
                top[i] = square
            p[i] = value - size * (average / (sqrt(square) / root + eps))
        position = stop
        at += 1


def elements(layouts) -> tuple[str, list[int]]:
    """The real type code of equally typed tensors, and where each starts if they are laid end to end."""
    codes = {one.dtype.code for one in layouts}
    assert len(codes) == 1, "one call is for tensors of one type"
    code = codes.pop()
    parts = 2 if code in ("c64", "c128") else 1
    starts = [0]
    for one in layouts:
        starts.append(starts[-1] + one.numel * parts)
    return {"c64": "f32", "c128": "f64"}.get(code, code), starts


def piece(n: int) -> int:
    """Elements of a chunk."""
    return n if n <= CHUNK else -(-n // (-(-n // (PIECES * CHUNK)) * PIECES))


def types_of(code: str) -> dict:
    return {"T": BY_CODE[code], "C": BY_CODE[COMPUTE.get(code, code)]}


def sgd(call) -> None:
    """sgd_(params, grads, buffers, ...)"""
    code, starts = elements(call.inputs[0])
    flags = {name.upper(): call.values[name] for name in ("momentum", "nesterov", "maximize")}
    call.mark_written(0)
    if flags["MOMENTUM"]:
        call.mark_written(2)
    words = [len(starts) - 1, call.input(0), call.input(1), call.input(2), call.scalar(0), *starts]
    call.native(sgd_step, {**types_of(code), **flags}, words, starts[-1], piece(starts[-1]))


def adam(call) -> None:
    """adam_(params, grads, steps, averages, squares, largest, ...)"""
    code, starts = elements(call.inputs[0])
    flags = {name.upper(): call.values[name] for name in ("amsgrad", "maximize", "decoupled")}
    for k in (0, 2, 3, 4, *([5] if flags["AMSGRAD"] else [])):
        call.mark_written(k)
    count = len(starts) - 1
    corrections = call.scratch(16 * count)
    (step_code,) = {one.dtype.code for one in call.inputs[2]}
    call.native(
        adam_counts, {"S": BY_CODE[step_code]}, [call.input(2), corrections, call.scalar(0)], count, count
    )
    words = [count, *(call.input(k) for k in (0, 1, 3, 4, 5)), corrections, call.scalar(0), *starts]
    call.native(adam_step, {**types_of(code), **flags}, words, starts[-1], piece(starts[-1]))
