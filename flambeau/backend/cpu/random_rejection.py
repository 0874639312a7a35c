"""Samples that take an unknown number of random words each: gamma, Poisson and binomial, by rejection.

One thread draws; elements follow one another in row-major order. The words are made one at a time in a copy of the
generator's state, so that the state that is left behind stands exactly after the last word that was used.
"""

from __future__ import annotations

from ...base.layout import contiguous_strides
from ...ir.expr import ceil, cos, exp, lgamma, log, log1p, sin, sqrt, where
from .emit import ScalarFunction
from .native import bitcast, fabs, floor, independent, local, native
from .native import sqrt as root
from .random import WORD, M, N
from .schedule import input_leaves
from .types import BY_CODE, f64, i64, ptr, u32, u64


def _function(rule, operands: int = 1) -> ScalarFunction:
    found = rule(*input_leaves(["f64"] * operands))
    return ScalarFunction(list(found) if isinstance(found, tuple) else [found])


def _polar(u, v):
    """Two normal samples from two uniform ones (Box and Muller, 1958)."""
    radius = sqrt(log1p(-v) * -2.0)
    angle = u * 6.283185307179586
    return radius * cos(angle), radius * sin(angle)


LOG, LOG1P, EXP, LGAMMA, CEIL = (_function(rule) for rule in (log, log1p, exp, lgamma, ceil))
POLAR = _function(_polar, 2)


@native
def twist_one(work: ptr(u32), i: i64):
    """Word i of the next 624: all before it have been made."""
    after = i + 1 if i + 1 < N else i + 1 - N
    far = i + M if i + M < N else i + M - N
    y = (work[i] & u32(0x80000000)) | (work[after] & u32(0x7FFFFFFF))
    work[i] = work[far] ^ (y >> 1) ^ ((y & 1) * u32(0x9908B0DF))


@native
def next_word(work: ptr(u32), at: ptr(i64)) -> u32:
    """The next tempered word. at[0]: its place; at[1]: words made of this round of 624."""
    i = at[0]
    if i >= N:
        i = i64(0)
        at[1] = i64(0)
    if i >= at[1]:
        twist_one(work, i)
        at[1] = i + 1
    at[0] = i + 1
    y = work[i]
    y = y ^ (y >> 11)
    y = y ^ ((y << 7) & u32(0x9D2C5680))
    y = y ^ ((y << 15) & u32(0xEFC60000))
    return y ^ (y >> 18)


@native
def next_uniform(work: ptr(u32), at: ptr(i64)) -> f64:
    """A sample of [0, 1) with 53 bits."""
    high = u64(next_word(work, at))
    low = u64(next_word(work, at))
    return f64(((high << 32) | low) & u64((1 << 53) - 1)) * f64(2.0**-53)


@native
def next_normal(state: WORD, work: ptr(u32), at: ptr(i64)) -> f64:
    """A standard normal sample; the second of a pair waits in the state."""
    sample = f64(0.0)
    if state[625] != 0:
        state[625] = 0
        sample = bitcast(state[626], f64)
    else:
        u = next_uniform(work, at)
        v = next_uniform(work, at)
        first, second = POLAR((u, v))
        state[626] = bitcast(second, i64)
        state[625] = 1
        sample = first
    return sample


@native
def open_state(state: WORD, work: ptr(u32), at: ptr(i64)):
    for i in independent(0, N):
        work[i] = u32(state[i])
    at[0] = state[N]
    at[1] = i64(N)


@native
def close_state(state: WORD, work: ptr(u32), at: ptr(i64)):
    """Write the state back, the round of 624 words completed."""
    for i in range(at[1], N):
        twist_one(work, i)
    for i in independent(0, N):
        state[i] = i64(work[i])
    state[N] = at[0]


@native
def gamma_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    """Marsaglia and Tsang (2000); a shape below 1 goes through shape + 1 and a power of a uniform sample.

    What only the shape decides is computed in its type T, the rest in float64: so are PyTorch's samples.
    """
    out = bitcast(frame[params[0]], ptr(f64))
    shapes = bitcast(frame[params[1]], ptr(f64))
    state = bitcast(frame[params[2]], WORD)
    n = params[3]
    work = local(u32, 640)
    at = local(i64, 2)
    open_state(state, work, at)
    for i in range(n):
        shape = shapes[i]
        scale = f64(1.0)
        if shape < 1.0:
            if shape == 0.0:
                out[i] = f64(0.0)
                continue
            power = f64(T(1.0) / T(shape))
            scale = EXP((LOG1P((-next_uniform(work, at),))[0] * power,))[0]
            shape = f64(T(shape) + T(1.0))
        d = f64(T(shape) - T(THIRD))
        c = 1.0 / root(9.0 * d)
        found = f64(0.0)
        searching = i64(1)
        while searching == 1:
            x = f64(0.0)
            y = f64(-1.0)
            while y <= 0.0:
                x = next_normal(state, work, at)
                y = 1.0 + c * x
            v = y * y * y
            u = 1.0 - next_uniform(work, at)
            xx = x * x
            found = scale * d * v
            if u < 1.0 - 0.0331 * xx * xx or LOG((u,))[0] < 0.5 * xx + d * (1.0 - v + LOG((v,))[0]):
                searching = i64(0)
            elif found != found:  # a shape of NaN: nothing is ever accepted
                searching = i64(0)
        out[i] = found
    close_state(state, work, at)


@native
def poisson_small(rate: f64, work: ptr(u32), at: ptr(i64)) -> f64:
    """Multiply uniform samples until their product passes exp(-rate) (Knuth)."""
    bound = EXP((-rate,))[0]
    count = f64(-1.0)
    product = f64(1.0)
    while product > bound or count < 0.0:
        product = product * next_uniform(work, at)
        count = count + 1.0
    return count


@native
def poisson_large(rate: f64, work: ptr(u32), at: ptr(i64)) -> f64:
    """Hörmann's transformed rejection with squeeze, PTRS (1993), for rates of 10 and more."""
    log_rate = LOG((rate,))[0]
    b = 0.931 + 2.53 * root(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2.0)
    k = f64(0.0)
    searching = i64(1)
    while searching == 1:
        u = next_uniform(work, at) - 0.5
        v = next_uniform(work, at)
        distance = 0.5 - fabs(u)
        k = floor((2.0 * a / distance + b) * u + rate + 0.43)
        if distance >= 0.07 and v <= squeeze:
            searching = i64(0)
        elif not (k < 0.0 or (distance < 0.013 and v > distance)):
            left = LOG((v * inverse_alpha / (a / (distance * distance) + b),))[0]
            if left <= k * log_rate - rate - LGAMMA((k + 1.0,))[0]:
                searching = i64(0)
    return k


@native
def poisson_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(f64))
    rates = bitcast(frame[params[1]], ptr(f64))
    state = bitcast(frame[params[2]], WORD)
    n = params[3]
    work = local(u32, 640)
    at = local(i64, 2)
    open_state(state, work, at)
    for i in range(n):
        rate = rates[i]
        if rate >= 10.0:
            out[i] = poisson_large(rate, work, at)
        elif rate > 0.0:
            out[i] = poisson_small(rate, work, at)
        else:
            out[i] = f64(0.0)
    close_state(state, work, at)


@native
def binomial_small(trials: f64, chance: f64, work: ptr(u32), at: ptr(i64)) -> f64:
    """Count geometric waiting times that fit into the trials (Devroye 1986, chapter X.4)."""
    scale = 1.0 / LOG1P((-chance,))[0]
    passed = f64(0.0)
    count = f64(-1.0)
    while passed <= trials:
        (wait,) = CEIL((LOG((next_uniform(work, at),))[0] * scale,))
        passed = passed + wait
        count = count + 1.0
    return count


@native
def stirling_rest(k: f64) -> f64:
    """log k! less Stirling's approximation at k + 1."""
    x = k + 1.0
    square = x * x
    series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / x
    if k < 10.0:
        # exact where the series is not: log k! - log sqrt(2 pi) - (k + 1/2) log(k + 1) + k + 1
        series = LGAMMA((x,))[0] - 0.9189385332046727 - (k + 0.5) * LOG((x,))[0] + x
    return series


@native
def binomial_large(trials: f64, chance: f64, work: ptr(u32), at: ptr(i64), t) -> f64:
    """Hörmann's transformed rejection with squeeze, BTRS (1993), for chance <= 1/2 and trials * chance >= 10."""
    n = t(trials)
    p = t(chance)
    deviation = f64(root(n * p * (t(1.0) - p)))
    b = f64(t(1.15 + 2.53 * deviation))
    a = f64(t(-0.0873 + 0.0248 * b + 0.01 * chance))
    centre = f64(t(f64(n * p) + 0.5))
    squeeze = f64(t(0.92 - 4.2 / b))
    odds = f64(p / (t(1.0) - p))
    alpha = f64(t((2.83 + 5.1 / b) * deviation))
    m = f64(floor((n + t(1.0)) * p))
    k = f64(0.0)
    searching = i64(1)
    while searching == 1:
        u = next_uniform(work, at) - 0.5
        v = next_uniform(work, at)
        distance = 0.5 - fabs(u)
        k = floor((2.0 * a / distance + b) * u + centre)
        if distance >= 0.07 and v <= squeeze:
            searching = i64(0)
        elif k >= 0.0 and k <= trials:
            left = LOG((v * alpha / (a / (distance * distance) + b),))[0]
            right = (m + 0.5) * LOG(((m + 1.0) / (odds * (trials - m + 1.0)),))[0]
            right = right + (trials + 1.0) * LOG(((trials - m + 1.0) / (trials - k + 1.0),))[0]
            right = right + (k + 0.5) * LOG((odds * (trials - k + 1.0) / (k + 1.0),))[0]
            right = right + stirling_rest(m) + stirling_rest(trials - m)
            right = right - stirling_rest(k) - stirling_rest(trials - k)
            if left <= right:
                searching = i64(0)
    return k


@native
def binomial_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(f64))
    counts = bitcast(frame[params[1]], ptr(f64))
    chances = bitcast(frame[params[2]], ptr(f64))
    state = bitcast(frame[params[3]], WORD)
    n = params[4]
    work = local(u32, 640)
    at = local(i64, 2)
    open_state(state, work, at)
    for i in range(n):
        trials = counts[i]
        chance = chances[i]
        found = f64(0.0)
        if trials <= 0.0 or chance <= 0.0:
            found = f64(0.0)
        elif chance >= 1.0:
            found = trials
        elif chance != chance or trials != trials:
            found = chance + trials
        else:
            flipped = chance > 0.5
            rare = 1.0 - chance if flipped else chance
            if trials * rare >= 10.0:
                found = binomial_large(trials, rare, work, at, T)
            else:
                found = binomial_small(trials, rare, work, at)
            if flipped:
                found = trials - found
        out[i] = found
    close_state(state, work, at)


#: smallest positive normal number of each type, below which no gamma sample goes
SMALLEST = {"f16": 2.0**-14, "bf16": 2.0**-126, "f32": 2.0**-126, "f64": 2.0**-1022}
#: largest number below 1
BELOW_ONE = {"f32": 1 - 2.0**-24, "f64": 1 - 2.0**-53}
#: a third in float32, for both types
THIRD = 0.3333333432674408
_STATICS = {"LOG": LOG, "LOG1P": LOG1P, "EXP": EXP, "LGAMMA": LGAMMA, "POLAR": POLAR, "CEIL": CEIL}


def _sample(call, kernel, names: str, operands: int, finish=lambda x: x, more: dict | None = None) -> None:
    """Run a sampler over the operands as contiguous float64, then write its samples in the result's type."""
    result = call.outputs[0]
    inputs = [call.contiguous(k, "f64") for k in range(operands)]
    call.mark_written(operands)  # the state moves on even where nobody wants the samples
    place = call.scratch(8 * result.numel)
    statics = {name: _STATICS[name] for name in names.split()} | (more or {})
    call.native(kernel, statics, [place, *inputs, call.input(operands), result.numel], 1, 1)
    flat = contiguous_strides(result.shape)
    call.pointwise(
        [(result.dtype.code, result.strides, call.out(0))], [("f64", flat, place)], finish, result.shape
    )


def gamma(call) -> None:
    """(shape, state): samples of the gamma distribution of rate 1, bounded away from 0."""
    code = call.outputs[0].dtype.code
    smallest = SMALLEST[code]
    _sample(call, gamma_kernel, "LOG LOG1P EXP POLAR", 1, lambda x: where(x < smallest, smallest, x),
            {"T": BY_CODE[code], "THIRD": THIRD})  # fmt: skip


@native
def share_kernel(frame: WORD, params: WORD, begin: i64, end: i64):
    """Each row over its sum, kept off 0 and 1. Parameters: samples, length of a row, result."""
    samples = bitcast(frame[params[0]], ptr(f64))
    n = params[1]
    out = bitcast(frame[params[2]], ptr(T))
    for row in range(begin, end):
        total = f64(0.0)
        for j in range(n):
            total = total + samples[row * n + j]
        for j in range(n):
            share = samples[row * n + j] / total
            share = f64(LOW) if share < f64(LOW) else share
            out[row * n + j] = T(f64(HIGH) if share > f64(HIGH) else share)


def dirichlet(call) -> None:
    """(concentrations, state): gamma samples over their sum along the last dimension."""
    result = call.outputs[0]
    if result.numel == 0:
        return
    code, n = result.dtype.code, result.shape[-1] if result.ndim else 1
    call.mark_written(1)
    place = call.scratch(8 * result.numel)
    statics = {name: _STATICS[name] for name in ("LOG", "LOG1P", "EXP", "POLAR")}
    call.native(gamma_kernel, {**statics, "T": f64, "THIRD": THIRD},
                [place, call.contiguous(0, "f64"), call.input(1), result.numel], 1, 1)  # fmt: skip
    shares = {"T": BY_CODE[code], "LOW": SMALLEST[code], "HIGH": BELOW_ONE[code]}
    call.native(share_kernel, shares, [place, n, call.out(0)], result.numel // n, 256)


def poisson(call) -> None:
    """(rate, state)."""
    _sample(call, poisson_kernel, "LOG EXP LGAMMA", 1)


def binomial(call) -> None:
    """(trials, chance, state)."""
    _sample(
        call, binomial_kernel, "LOG LOG1P LGAMMA CEIL", 2, more={"T": BY_CODE[call.outputs[0].dtype.code]}
    )
