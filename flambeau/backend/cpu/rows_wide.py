"""Row programs over long rows, in explicit vectors: softmax and layer normalisation at the speed of memory.

Each pass over a row takes three widths in turn: steps of several registers, whose arithmetic is interleaved, then single
registers, then elements. Sums are per lane and then by halves: their order depends on the row's length only. With STREAM
results are written past the caches (see `streaming`); rows are then whole registers, and what a row needs twice waits in a
buffer.
"""

from __future__ import annotations

from .jit import has_feature, vector_bytes
from .native import (
    bitcast,
    drain,
    load,
    local,
    native,
    select,
    shuffle,
    splat,
    sqrt,
    static,
    store,
    stream,
)  # fmt: skip
from .streaming import LINE, worthwhile
from .types import f64, i64, ptr, vec

WORD = ptr(i64)
#: rows shorter than this many elements stay with the kernels that the compiler vectorises
SHORTEST = 64
#: the same for layer normalisation, whose passes are so short that folding their sums counts
SHORTEST_NORM = 512
#: elements of a row at most that wait in a buffer on the stack
LONGEST = 4096


def chosen(t, compute, n: int, nbytes: int, registers: int, kept: bool = False) -> dict:
    """Template arguments of these kernels: lanes of a register and of a step, and whether results are streamed.

    registers: how many a step takes. kept: whether the kernel keeps a row in a buffer while it streams.
    """
    lanes = vector_bytes() // compute.bytes
    whole = n % lanes == 0 and lanes * t.bytes >= min(LINE, vector_bytes())
    return {
        "LANES": lanes, "STEP": registers * lanes,
        "STREAM": bool(t is compute and whole and worthwhile(nbytes) and not (kept and n > LONGEST)),
    }  # fmt: skip


@static
def folded(b, op, many, few, one):
    """Combine what steps, registers and elements gave: registers, then lanes, then the last number.

    op is 'add' or 'max' (without NaN).
    """

    def both(x, y):
        return b.binary("add", x, y) if op == "add" else b.select(b.compare("gt", x, y), x, y)

    lanes = few.type.lanes
    many, few, one = b.value(many), b.value(few), b.value(one)
    parts = [shuffle.run(b, many, many, range(k, k + lanes)) for k in range(0, many.type.lanes, lanes)]
    parts.append(few)
    while lanes > 1 or len(parts) > 1:
        if len(parts) == 1:
            lanes //= 2
            whole = parts[0]
            parts = [shuffle.run(b, whole, whole, range(k, k + lanes)) for k in (0, lanes)]
        x, y, *rest = parts
        parts = [*rest, both(x, y)]
    return both(*(b.emit(x.type.element, f"extractelement {x}, i64 0") for x in (parts[0], one)))


@static
def plus_product(b, x, y, z):
    """x + y * z, in one instruction where there is one."""
    y = b.value(y)
    if has_feature("fma"):
        return b.intrinsic("fma", y, z, x)
    return b.binary("add", x, b.binary("mul", y, z))


@native
def put(place, value, aligned, STREAM):
    """Store a vector, past the caches where that is wanted and possible."""
    if STREAM:
        if aligned:
            stream(place, value, LINE)
        else:
            store(place, value)
    else:
        store(place, value)


@native
def is_aligned(pointer, STREAM):
    return (bitcast(pointer, i64) & (LINE - 1)) == 0 if STREAM else False


# -- softmax -------------------------------------------------------------------------------------------------------


@native
def largest_of(x, begin, end, T, C, COUNT):
    best = splat(C(-float("inf")), COUNT)
    for i in range(begin, end, COUNT, unroll=None):
        now = load(x + i, vec(T, COUNT))
        best = select(now > best, now, best)
    return best


@native
def exponentials(x, kept, safe, begin, end, T, C, COUNT, EXP, KEEP):
    """Sums of e**(x - safe) by lanes; with KEEP the terms are stored."""
    sums = splat(C(0.0), COUNT)
    for i in range(begin, end, COUNT, unroll=None):
        term = EXP((load(x + i, vec(T, COUNT)) - safe,))[0]
        sums = sums + term
        if KEEP:
            store(kept + i, term)
    return sums


@native
def put_softmax(y, x, kept, safe, shift, scale, begin, end, aligned, T, COUNT, EXP, KEEP, LOGARITHM, STREAM):
    for i in range(begin, end, COUNT, unroll=None):
        if LOGARITHM:
            put(y + i, load(x + i, vec(T, COUNT)) - shift, aligned, STREAM)
        elif KEEP:
            put(y + i, load(kept + i, vec(T, COUNT)) * scale, aligned, STREAM)
        else:
            put(y + i, EXP((load(x + i, vec(T, COUNT)) - safe,))[0] * scale, aligned, STREAM)


@native
def softmax_wide(frame: WORD, params: WORD, begin: i64, end: i64):
    """A NaN in a row makes its sum NaN, and thereby the row."""
    out = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    n = params[2]
    whole = n // STEP * STEP
    part = n // LANES * LANES
    buffer = local(T, LONGEST if STREAM else 1)
    aligned = is_aligned(out, STREAM)
    for r in range(begin, end):
        x = source + r * n
        y = out + r * n
        kept = buffer if STREAM else y
        top = folded(
            "max",
            largest_of(x, 0, whole, T, C, STEP),
            largest_of(x, whole, part, T, C, LANES),
            largest_of(x, part, n, T, C, 1),
        )
        safe = select(top == C(-float("inf")), C(0.0), top)
        total = folded(
            "add",
            exponentials(x, kept, safe, 0, whole, T, C, STEP, EXP, KEEP),
            exponentials(x, kept, safe, whole, part, T, C, LANES, EXP, KEEP),
            exponentials(x, kept, safe, part, n, T, C, 1, EXP, KEEP),
        )
        shift = safe
        scale = C(1.0)
        if LOGARITHM:
            shift = safe + LOG((total,))[0]
        else:
            scale = C(1.0) / total
        put_softmax(y, x, kept, safe, shift, scale, 0, whole, aligned, T, STEP, EXP, KEEP, LOGARITHM, STREAM)
        put_softmax(
            y, x, kept, safe, shift, scale, whole, part, aligned, T, LANES, EXP, KEEP, LOGARITHM, STREAM
        )
        put_softmax(y, x, kept, safe, shift, scale, part, n, aligned, T, 1, EXP, KEEP, LOGARITHM, False)
    if STREAM:
        drain()


@native
def gradient_sums(g, y, begin, end, T, C, COUNT, LOGARITHM):
    sums = splat(C(0.0), COUNT)
    for i in range(begin, end, COUNT, unroll=None):
        now = load(g + i, vec(T, COUNT))
        sums = sums + (now if LOGARITHM else now * load(y + i, vec(T, COUNT)))
    return sums


@native
def put_softmax_gradient(d, g, y, total, begin, end, aligned, T, COUNT, EXP, LOGARITHM, STREAM):
    for i in range(begin, end, COUNT, unroll=None):
        slope, value = load(g + i, vec(T, COUNT)), load(y + i, vec(T, COUNT))
        if LOGARITHM:
            put(d + i, slope - EXP((value,))[0] * total, aligned, STREAM)
        else:
            put(d + i, value * (slope - total), aligned, STREAM)


@native
def softmax_backward_wide(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T))
    gradient = bitcast(frame[params[1]], ptr(T))
    result = bitcast(frame[params[2]], ptr(T))
    n = params[3]
    whole = n // STEP * STEP
    part = n // LANES * LANES
    aligned = is_aligned(out, STREAM)
    for r in range(begin, end):
        g = gradient + r * n
        y = result + r * n
        d = out + r * n
        total = folded(
            "add",
            gradient_sums(g, y, 0, whole, T, C, STEP, LOGARITHM),
            gradient_sums(g, y, whole, part, T, C, LANES, LOGARITHM),
            gradient_sums(g, y, part, n, T, C, 1, LOGARITHM),
        )
        put_softmax_gradient(d, g, y, total, 0, whole, aligned, T, STEP, EXP, LOGARITHM, STREAM)
        put_softmax_gradient(d, g, y, total, whole, part, aligned, T, LANES, EXP, LOGARITHM, STREAM)
        put_softmax_gradient(d, g, y, total, part, n, aligned, T, 1, EXP, LOGARITHM, False)
    if STREAM:
        drain()


# -- layer normalisation -------------------------------------------------------------------------------------------


@native
def sums_of(x, begin, end, T, C, COUNT):
    sums = splat(C(0.0), COUNT)
    for i in range(begin, end, COUNT, unroll=None):
        sums = sums + load(x + i, vec(T, COUNT))
    return sums


@native
def squares_of(x, mean, begin, end, T, C, COUNT):
    sums = splat(C(0.0), COUNT)
    for i in range(begin, end, COUNT, unroll=None):
        gap = load(x + i, vec(T, COUNT)) - mean
        sums = sums + gap * gap
    return sums


@native
def moments_wide(x, n, T, C, LANES, STEP):
    """Mean and sum of squared distances from it, in two passes over a cached row."""
    whole = n // STEP * STEP
    part = n // LANES * LANES
    total = folded(
        "add",
        sums_of(x, 0, whole, T, C, STEP),
        sums_of(x, whole, part, T, C, LANES),
        sums_of(x, part, n, T, C, 1),
    )
    mean = total / C(n)
    spread = folded(
        "add",
        squares_of(x, mean, 0, whole, T, C, STEP),
        squares_of(x, mean, whole, part, T, C, LANES),
        squares_of(x, mean, part, n, T, C, 1),
    )
    return mean, spread


@native
def put_normalised(y, x, mean, scale, weight, bias, begin, end, aligned, T, W, COUNT, WEIGHT, BIAS, STREAM):
    for i in range(begin, end, COUNT, unroll=None):
        v = (load(x + i, vec(T, COUNT)) - mean) * scale
        if WEIGHT:
            v = v * load(weight + i, vec(W, COUNT))
        if BIAS:
            v = v + load(bias + i, vec(W, COUNT))
        put(y + i, v, aligned, STREAM)


@native
def layer_norm_wide(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T))
    means = bitcast(frame[params[1]], ptr(S))
    scales = bitcast(frame[params[2]], ptr(S))
    source = bitcast(frame[params[3]], ptr(T))
    n = params[4]
    eps = C(bitcast(params[5], f64))
    weight = bitcast(frame[params[6]], ptr(W))
    bias = bitcast(frame[params[7]], ptr(W))
    whole = n // STEP * STEP
    part = n // LANES * LANES
    aligned = is_aligned(out, STREAM)
    for r in range(begin, end):
        x = source + r * n
        y = out + r * n
        mean, spread = moments_wide(x, n, T, C, LANES, STEP)
        scale = C(1.0) / sqrt(spread / C(n) + eps)
        means[r] = mean
        scales[r] = scale
        put_normalised(y, x, mean, scale, weight, bias, 0, whole, aligned, T, W, STEP, WEIGHT, BIAS, STREAM)
        put_normalised(
            y, x, mean, scale, weight, bias, whole, part, aligned, T, W, LANES, WEIGHT, BIAS, STREAM
        )
        put_normalised(y, x, mean, scale, weight, bias, part, n, aligned, T, W, 1, WEIGHT, BIAS, False)
    if STREAM:
        drain()


@native
def weighted(g, weight, i, T, W, COUNT, WEIGHT):
    h = load(g + i, vec(T, COUNT))
    if WEIGHT:
        h = h * load(weight + i, vec(W, COUNT))
    return h


@native
def gather_sums(g, x, mean, scale, weight, dw, db, begin, end, T, W, C, COUNT, WEIGHT, SUMS):
    """Add a row to the sums for weight and bias; gives its two sums along the row, by lanes.

    All loads come before the stores: these arrays are often whole pages apart, where a load waits for an older store.
    """
    totals = splat(C(0.0), COUNT)
    slopes = splat(C(0.0), COUNT)
    for i in range(begin, end, COUNT, unroll=None):
        one = load(g + i, vec(T, COUNT))
        v = (load(x + i, vec(T, COUNT)) - mean) * scale
        h = one * load(weight + i, vec(W, COUNT)) if WEIGHT else one
        if SUMS:
            first = plus_product(load(dw + i, vec(C, COUNT)), v, one)
            second = load(db + i, vec(C, COUNT)) + one
            store(dw + i, first)
            store(db + i, second)
        totals = totals + h
        slopes = plus_product(slopes, v, h)
    return totals, slopes


@native
def put_gradient(
    d, g, x, mean, scale, total, along, weight, begin, end, aligned, T, W, COUNT, WEIGHT, STREAM
):
    """A row's input gradient, from its end to its beginning: what the pass before read last is still in the first cache."""
    for back in range(begin, end, COUNT, unroll=None):
        i = begin + (end - COUNT - back)
        v = (load(x + i, vec(T, COUNT)) - mean) * scale
        h = weighted(g, weight, i, T, W, COUNT, WEIGHT)
        put(d + i, plus_product(h - total, v, -along) * scale, aligned, STREAM)


@native
def layer_norm_backward_row(
    d, g, x, weight, dw, db, mean, scale, n, aligned, T, W, C, LANES, STEP, WEIGHT, SUMS, STREAM
):
    """One row: its input gradient, and its terms of the sums for weight and bias."""
    whole = n // STEP * STEP
    part = n // LANES * LANES
    totals, slopes = gather_sums(g, x, mean, scale, weight, dw, db, 0, whole, T, W, C, STEP, WEIGHT, SUMS)
    more, steep = gather_sums(g, x, mean, scale, weight, dw, db, whole, part, T, W, C, LANES, WEIGHT, SUMS)
    last, end = gather_sums(g, x, mean, scale, weight, dw, db, part, n, T, W, C, 1, WEIGHT, SUMS)
    total = folded("add", totals, more, last) / C(n)
    along = folded("add", slopes, steep, end) / C(n)
    put_gradient(d, g, x, mean, scale, total, along, weight, part, n, aligned, T, W, 1, WEIGHT, False)
    put_gradient(
        d, g, x, mean, scale, total, along, weight, whole, part, aligned, T, W, LANES, WEIGHT, STREAM
    )
    put_gradient(d, g, x, mean, scale, total, along, weight, 0, whole, aligned, T, W, STEP, WEIGHT, STREAM)
