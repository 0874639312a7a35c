"""The kernel language: each construct against Python."""

from __future__ import annotations

import ctypes

import pytest

from flambeau.backend.cpu import jit
from flambeau.backend.cpu.builder import Module
from flambeau.backend.cpu.native import (
    KernelError,
    bitcast,
    define,
    fma,
    horizontal,
    independent,
    load,
    local,
    native,
    select,
    splat,
    store,
    unroll,
)  # fmt: skip
from flambeau.backend.cpu.types import bf16, f16, f32, f64, i8, i32, i64, ptr, u8, vec

WORD = ptr(i64)


def compiled(kernel, statics=None, arguments=(), result=ctypes.c_int64):
    module = Module()
    define(module, "kernel", kernel, statics)
    text = module.text()
    (address,) = jit.build(text, lambda: text, ["kernel"])
    return ctypes.CFUNCTYPE(result, *arguments)(address)


LONG, LONGS = ctypes.c_int64, ctypes.POINTER(ctypes.c_int64)


@native
def collatz(n: i64) -> i64:
    steps = 0
    while n != 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


def test_while_and_if():
    run = compiled(collatz, arguments=[LONG])

    def python(n):
        steps = 0
        while n != 1:
            n, steps = (n // 2 if n % 2 == 0 else 3 * n + 1), steps + 1
        return steps

    assert [run(n) for n in range(1, 50)] == [python(n) for n in range(1, 50)]


@native
def find(x: WORD, n: i64, wanted: i64) -> i64:
    for i in range(n):
        if x[i] == 0:
            continue
        if x[i] == wanted:
            return i
        if x[i] < 0:
            break
    return -1


def test_break_continue_return():
    run = compiled(find, arguments=[LONGS, LONG, LONG])
    data = (LONG * 6)(0, 5, 7, -1, 9, 0)
    assert [run(data, 6, w) for w in (5, 7, 9, 0, 42)] == [1, 2, -1, -1, -1]


@native
def guarded(x: WORD, n: i64, at: i64) -> i64:
    """Short circuit: the load happens only where it is allowed."""
    if at >= 0 and at < n and x[at] > 3:
        return 1
    if at < 0 or x[0] == 1:
        return 2
    return 3


def test_short_circuit_guards_a_load():
    run = compiled(guarded, arguments=[LONGS, LONG, LONG])
    data = (LONG * 2)(1, 5)
    assert [run(data, 2, at) for at in (1, 0, 1 << 50, -1)] == [1, 2, 2, 2]


@native
def helper(x, scale):
    if x > 10:
        return x * scale
    return x + scale


@native
def inlined(a: i64) -> i64:
    return helper(a, 2) + helper(a * 2, 3)


def test_calls_are_inlined_with_several_returns():
    run = compiled(inlined, arguments=[LONG])

    def python(a):
        def one(x, scale):
            return x * scale if x > 10 else x + scale

        return one(a, 2) + one(a * 2, 3)

    assert [run(a) for a in (0, 5, 6, 10, 11, 100)] == [python(a) for a in (0, 5, 6, 10, 11, 100)]


@native
def vectors(x: ptr(f32)) -> f64:
    total = local(vec(f32, 8), 2)
    for k in unroll(2):
        total[k] = splat(f32(0), 8)
    for k in unroll(2):
        a = load(x + 8 * k, vec(f32, 8))
        total[k] = fma(a, a, total[k])
    store(x, total[0])
    return f64(horizontal("add", total[0] + total[1]))


def test_vectors():
    run = compiled(vectors, arguments=[ctypes.POINTER(ctypes.c_float)], result=ctypes.c_double)
    data = (ctypes.c_float * 16)(*range(16))
    assert run(data) == sum(i * i for i in range(16))
    assert list(data[:8]) == [i * i for i in range(8)]


@native
def widen(out: ptr(f32), source: ptr(T), n: i64):
    for i in independent(0, n):
        out[i] = source[i] * 2.0


@native
def narrow(out: ptr(T), source: ptr(f32), n: i64):
    for i in independent(0, n):
        out[i] = source[i]


@pytest.mark.parametrize(("kind", "spelling"), [(f16, "e"), (bf16, None)])
def test_half_types_round_to_nearest_even(kind, spelling):
    import struct

    values = [0.0, 1.0, -2.5, 3.1415927, 65504.0, 1e-8, 1.00390625, 1.01171875]
    floats = (ctypes.c_float * len(values))(*values)
    words = (ctypes.c_uint16 * len(values))()
    compiled(narrow, {"T": kind}, [ctypes.c_void_p, ctypes.c_void_p, LONG], None)(words, floats, len(values))
    for word, value in zip(words, values):
        if spelling:
            want = struct.unpack("H", struct.pack("e", value))[0]
        else:
            (bits,) = struct.unpack("I", struct.pack("f", value))
            want = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        assert word == want, value
    back = (ctypes.c_float * len(values))()
    compiled(widen, {"T": kind}, [ctypes.c_void_p, ctypes.c_void_p, LONG], None)(back, words, len(values))
    assert list(back[1:3]) == [2.0, -5.0]


@native
def signs(a: i8, b: u8) -> i64:
    return i64(a) * 1000 + i64(b)


def test_signed_and_unsigned_bytes():
    run = compiled(signs, arguments=[ctypes.c_int8, ctypes.c_uint8])
    assert run(-5, 250) == -5 * 1000 + 250


@native
def clipped(x: f64) -> i64:
    return i64(i32(x))


def test_float_to_int_saturates_and_nan_is_zero():
    run = compiled(clipped, arguments=[ctypes.c_double])
    assert [run(v) for v in (1e300, -1e300, float("nan"), -2.7)] == [2**31 - 1, -(2**31), 0, -2]


@native
def unknown_name(x: i64) -> i64:
    return x + missing


@native
def float_floor(x: i64) -> i64:
    return x / 2


@pytest.mark.parametrize("kernel", [unknown_name, float_floor])
def test_mistakes_name_their_line(kernel):
    with pytest.raises(KernelError, match=r"test_native\.py:\d+ in "):
        define(Module(), "kernel", kernel)


def test_fingerprint_follows_callees():
    @native
    def outer(x: i64) -> i64:
        return helper(x, 1)

    before = outer.fingerprint()
    original = helper.function.__code__
    helper.function.__code__ = original.replace(co_consts=(*original.co_consts[:-1], 77))
    try:
        assert outer.fingerprint() != before
    finally:
        helper.function.__code__ = original
    assert outer.fingerprint() == before
    _ = (bitcast, select)
