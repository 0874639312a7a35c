"""Schedules of random operators on the Mersenne Twister (MT19937, Matsumoto and Nishimura 1998).

A generator's state is an int64 tensor of 632 words: 0..623 the twister's, 624 the position, 625 whether a normal
sample waits, 626 its float64 bits. Words are drawn in order by one thread; what is made of them is split.
"""

from __future__ import annotations

from ...ir.expr import bitcast as bits_as
from ...ir.expr import convert, cos, fma, log, log1p, sin, sqrt, where
from .emit import ScalarFunction
from .native import bitcast, copy_bytes, independent, local, native
from .schedule import input_leaves
from .types import BY_CODE, f32, f64, i64, ptr, u32, u64

WORD = ptr(i64)
N, M = 624, 397
#: bits of a uniform sample by type
DIGITS = {"f32": 24, "f64": 53, "f16": 24, "bf16": 24}


@native
def twist(state: ptr(u32)):
    """The next 624 words of the recurrence."""
    for i in independent(0, N - M):
        y = (state[i] & u32(0x80000000)) | (state[i + 1] & u32(0x7FFFFFFF))
        state[i] = state[i + M] ^ (y >> 1) ^ ((y & 1) * u32(0x9908B0DF))
    for i in range(N - M, N - 1):
        y = (state[i] & u32(0x80000000)) | (state[i + 1] & u32(0x7FFFFFFF))
        state[i] = state[i + M - N] ^ (y >> 1) ^ ((y & 1) * u32(0x9908B0DF))
    y = (state[N - 1] & u32(0x80000000)) | (state[0] & u32(0x7FFFFFFF))
    state[N - 1] = state[M - 1] ^ (y >> 1) ^ ((y & 1) * u32(0x9908B0DF))


@native
def draw(state: WORD, out: ptr(u32), n: i64):
    """Write the next n tempered words."""
    if state[N] + n <= N:  # they are there already: nothing to twist
        for i in independent(0, n):
            y = u32(state[state[N] + i])
            y = y ^ (y >> 11)
            y = y ^ ((y << 7) & u32(0x9D2C5680))
            y = y ^ ((y << 15) & u32(0xEFC60000))
            out[i] = y ^ (y >> 18)
        state[N] += n
        return
    work = local(u32, 640)
    for i in independent(0, N):
        work[i] = u32(state[i])
    at = state[N]
    done = 0
    while done < n:
        if at >= N:
            twist(work)
            at = 0
        count = min(n - done, N - at)
        for i in independent(0, count):
            y = work[at + i]
            y = y ^ (y >> 11)
            y = y ^ ((y << 7) & u32(0x9D2C5680))
            y = y ^ ((y << 15) & u32(0xEFC60000))
            out[done + i] = y ^ (y >> 18)
        at += count
        done += count
    for i in independent(0, N):
        state[i] = i64(work[i])
    state[N] = at


@native
def draw_step(frame: WORD, params: WORD, begin: i64, end: i64):
    draw(bitcast(frame[params[0]], WORD), bitcast(frame[params[1]], ptr(u32)), params[2])


def words(call, state: int, n: int) -> int:
    """Frame word of n fresh random words (uint32)."""
    place = call.scratch(4 * n)
    call.native(draw_step, {}, [state, place, n], 1, 1)
    return place


def target(call):
    """The tensor to fill (input 0, or a new one): type code, strides, frame word, shape, number of elements.

    Samples go where memory goes: the dimensions are ordered by their strides, the widest first.
    """
    fresh = bool(call.outputs)
    where = call.outputs[0] if fresh else call.inputs[0]
    if not fresh:
        call.mark_written(0)
    call.mark_written(0 if fresh else 1)  # the state moves on even where nobody wants the samples
    shape, strides = where.shape, where.strides
    if not where.contiguous:
        order = sorted(range(where.ndim), key=lambda d: -strides[d])
        shape, strides = tuple(shape[d] for d in order), tuple(strides[d] for d in order)
    return where.dtype.code, strides, call.out(0) if fresh else call.input(0), shape, where.numel


def state(call) -> int:
    """Frame word of the generator's state."""
    return call.input(0 if call.outputs else 1)


def unit(code: str, word):
    """A uniform sample in [0, 1) from a random word (two for float64, joined in a u64)."""
    t = "f64" if code == "f64" else "f32"
    digits = DIGITS[code]
    return convert(word & ((1 << digits) - 1), t) * (1.0 / (1 << digits))


def short_bits(x, dropped: int):
    """The bits of a float32 rounded to even with fewer digits."""
    bits = bits_as(x, "u32")
    return (bits + ((1 << dropped - 1) - 1) + ((bits >> dropped) & 1)) >> dropped


def uniform(call) -> None:
    """fill(target, state, from, to) with x * (to - from) + from."""
    code, strides, out, shape, n = target(call)
    wide = code == "f64"
    place = words(call, state(call), n * (2 if wide else 1))
    source = "u64" if wide else "u32"
    if wide:
        place = join(call, place, n)
    flat = row_major(shape)

    def rule(word, low, high):
        t = "f64" if wide else "f32"
        low, high = convert(low, t), convert(high, t)
        sample = fma(unit(code, word), high - low, low)  # rounded once, as in PyTorch
        if code in ("f16", "bf16"):  # few digits: what rounds up to the open end goes to the other one
            dropped = 16 if code == "bf16" else 13
            sample = where(short_bits(sample, dropped) == short_bits(high, dropped), low, sample)
        return sample

    call.pointwise([(code, strides, out)], [(source, flat, place)], rule, shape,
                   [("f64", call.scalar(0)), ("f64", call.scalar(1))])  # fmt: skip


def row_major(shape):
    from ...base.layout import contiguous_strides

    return contiguous_strides(shape)


@native
def join_step(frame: WORD, params: WORD, begin: i64, end: i64):
    source = bitcast(frame[params[0]], ptr(u32))
    out = bitcast(frame[params[1]], ptr(u64))
    for i in independent(begin, end):
        out[i] = (u64(source[2 * i]) << 32) | u64(source[2 * i + 1])


def join(call, place: int, n: int) -> int:
    """64-bit words from pairs of 32-bit ones, the first of a pair on top."""
    wide = call.scratch(8 * n)
    call.native(join_step, {}, [place, wide], n, 16384)
    return wide


def box_muller(t: str, cosine: bool) -> ScalarFunction:
    """Two normal samples from two uniform ones (Box and Muller, 1958)."""
    u, v = input_leaves([t, t])
    radius = sqrt(log(u) * -2.0)
    angle = v * 6.283185307179586
    return ScalarFunction([radius * cos(angle), radius * sin(angle)])


@native
def normal_blocks(frame: WORD, params: WORD, begin: i64, end: i64):
    """Blocks of 16: the first 8 samples give the radius, the last 8 the angle; the last block ends at the last element."""
    out = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(SOURCE))
    n = params[2]
    mean = C(bitcast(frame[params[3]], f64))
    deviation = C(bitcast(frame[params[4]], f64))
    scale = C(SCALE)
    for block in range(begin, end):
        place = block * 16
        if place + 16 > n:
            place = n - 16
        for j in independent(0, 8):
            u = C(1.0) - C(source[block * 16 + j] & MASK) * scale
            v = C(source[block * 16 + j + 8] & MASK) * scale
            first, second = PAIR((u, v))
            out[place + j] = first * deviation + mean
            out[place + j + 8] = second * deviation + mean


@native
def normal_few(frame: WORD, params: WORD, begin: i64, end: i64):
    """One by one in float64, two samples from each pair of uniforms; the second waits in the state."""
    out = bitcast(frame[params[0]], ptr(f64))
    state = bitcast(frame[params[1]], WORD)
    n = params[2]
    mean = bitcast(frame[params[3]], f64)
    deviation = bitcast(frame[params[4]], f64)
    four = local(u32, 4)
    for i in range(n):
        if state[625] != 0:
            state[625] = 0
            out[i] = bitcast(state[626], f64) * deviation + mean
        else:
            draw(state, four, 4)
            a = (u64(four[0]) << 32) | u64(four[1])
            b = (u64(four[2]) << 32) | u64(four[3])
            mask = u64((1 << 53) - 1)
            u = f64(a & mask) * f64(2.0**-53)
            v = f64(b & mask) * f64(2.0**-53)
            first, second = PAIR((u, v))
            state[626] = bitcast(second, i64)
            state[625] = 1
            out[i] = first * deviation + mean


def normal(call) -> None:
    """fill(target, state, mean, std)."""
    code, strides, out, shape, n = target(call)
    if n == 0:
        return
    numbers = [call.scalar(0), call.scalar(1)]
    contiguous = (call.outputs or call.inputs)[0].contiguous
    if n < 16 or not contiguous:
        place = call.scratch(8 * n)
        u, v = input_leaves(["f64", "f64"])
        radius = sqrt(log1p(-v) * -2.0)
        angle = u * 6.283185307179586
        pair = ScalarFunction([radius * cos(angle), radius * sin(angle)])
        call.native(normal_few, {"PAIR": pair}, [place, state(call), n, *numbers], 1, 1)
        call.pointwise([(code, strides, out)], [("f64", row_major(shape), place)], lambda x: x, shape)
        return
    wide = code == "f64"
    # The last block of an odd size draws 16 words of its own, after those of the n elements; a type of 16 bits draws
    # whole blocks, of which the last is that one.
    first_of_last = 16 * (n // 16) if code in ("f16", "bf16") else n
    total = first_of_last + 16 if n % 16 else n
    source = words(call, state(call), total * (2 if wide else 1))
    if wide:
        source = join(call, source, total)
    t = "f64" if wide else "f32"
    blocks = (n + 15) // 16
    tail = blocks - 1 if n % 16 else blocks
    statics = {"T": BY_CODE[code], "SOURCE": u64 if wide else u32, "C": f64 if wide else f32,
               "SCALE": 2.0 ** -DIGITS[code], "MASK": (1 << DIGITS[code]) - 1, "PAIR": box_muller(t, True)}  # fmt: skip
    call.native(normal_blocks, statics, [out, source, n, *numbers], tail, 256)
    if n % 16:
        shift = call.scratch(64 * (2 if wide else 1))
        call.native(last_words, {"SOURCE": statics["SOURCE"]}, [source, shift, first_of_last], 1, 1)
        call.native(normal_last, statics, [out, shift, n, *numbers], 1, 1)


@native
def last_words(frame: WORD, params: WORD, begin: i64, end: i64):
    source = bitcast(frame[params[0]], ptr(SOURCE))
    copy_bytes(bitcast(frame[params[1]], ptr(SOURCE)), source + params[2], i64(16 * SOURCE.bytes))


@native
def normal_last(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T)) + (params[2] - 16)
    source = bitcast(frame[params[1]], ptr(SOURCE))
    mean = C(bitcast(frame[params[3]], f64))
    deviation = C(bitcast(frame[params[4]], f64))
    scale = C(SCALE)
    for j in independent(0, 8):
        u = C(1.0) - C(source[j] & MASK) * scale
        v = C(source[j + 8] & MASK) * scale
        first, second = PAIR((u, v))
        out[j] = first * deviation + mean
        out[j + 8] = second * deviation + mean


def integers(call) -> None:
    """fill(target, state, low, range): word % range + low; ranges of 2**32 and more take 64-bit words."""
    code, strides, out, shape, n = target(call)
    wide = call.values["wide"]
    place = words(call, state(call), n * (2 if wide else 1))
    if wide:
        place = join(call, place, n)

    def rule(word, low, size):
        word = convert(word, "u64")
        size = bits_as(size, "u64")
        return bits_as(_modulo(word, size), "i64") + low

    call.pointwise([(code, strides, out)], [("u64" if wide else "u32", row_major(shape), place)], rule, shape,
                   [("i64", call.scalar(0)), ("i64", call.scalar(1))])  # fmt: skip


def _modulo(word, size):
    from ...ir.expr import Expr

    return where(size == 0, word, Expr("mod", (word, size), "u64"))


@native
def permute(frame: WORD, params: WORD, begin: i64, end: i64):
    """Fisher and Yates from the front: swap element i with one of the rest."""
    out = bitcast(frame[params[0]], ptr(i64))
    source = bitcast(frame[params[1]], ptr(u32))
    n = params[2]
    for i in independent(0, n):
        out[i] = i
    for i in range(n - 1):
        z = i64(source[i]) % (n - i)
        kept = out[i]
        out[i] = out[i + z]
        out[i + z] = kept


def permutation(call) -> None:
    """fill(target, state): a random order of 0..n-1."""
    code, strides, out, shape, n = target(call)
    source = words(call, state(call), max(n - 1, 0))
    place = call.scratch(8 * n)
    call.native(permute, {}, [place, source, n], 1, 1)
    call.pointwise([(code, strides, out)], [("i64", (1,), place)], lambda x: x, shape)


def doubles(call, n: int):
    """Frame word of n 64-bit words, for uniform float64 samples."""
    return join(call, words(call, state(call), 2 * n), n)


def bernoulli(call) -> None:
    """fill(target, state, p): 1 with probability p."""
    code, strides, out, shape, n = target(call)
    place = doubles(call, n)
    call.pointwise([(code, strides, out)], [("u64", row_major(shape), place)], lambda w, p: unit("f64", w) < p, shape,
                   [("f64", call.scalar(0))])  # fmt: skip


def exponential(call) -> None:
    """fill(target, state, rate): -log(u) / rate."""
    code, strides, out, shape, n = target(call)
    place = doubles(call, n)

    def rule(word, rate):
        return -log1p(-unit("f64", word)) / rate

    call.pointwise([(code, strides, out)], [("u64", row_major(shape), place)], rule, shape,
                   [("f64", call.scalar(0))])  # fmt: skip
