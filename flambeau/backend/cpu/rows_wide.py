"""Row programs over long rows, in explicit vectors: softmax and layer normalisation at the speed of memory.

A step takes several registers at a time, so that their arithmetic is interleaved; then come single registers, then
elements. Sums are per lane and then by halves: their order depends on the row's length only. With STREAM results are written past
the caches (see `streaming`); rows are then whole registers, and what a row needs twice waits in a buffer.
"""

from __future__ import annotations

from .jit import vector_bytes
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
def folded(b, op, many, few):
    """Combine the registers of a step and of a single one, then the lanes: op is 'add' or 'max' (without NaN)."""
    lanes = few.type.lanes
    many, few = b.value(many), b.value(few)
    parts = [shuffle.run(b, many, many, range(k, k + lanes)) for k in range(0, many.type.lanes, lanes)]
    parts.append(few)
    while lanes > 1 or len(parts) > 1:
        if len(parts) == 1:
            lanes //= 2
            whole = parts[0]
            parts = [shuffle.run(b, whole, whole, range(k, k + lanes)) for k in (0, lanes)]
        x, y, *rest = parts
        if op == "add":
            parts = [*rest, b.binary("add", x, y)]
        else:
            parts = [*rest, b.select(b.compare("gt", x, y), x, y)]
    return b.emit(parts[0].type.element, f"extractelement {parts[0]}, i64 0")


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


@native
def largest(row, n, T, C, LANES, STEP):
    """Largest element of a row; a NaN is passed over."""
    whole = n // STEP * STEP
    part = n // LANES * LANES
    best = splat(C(-float("inf")), STEP)
    for i in range(0, whole, STEP, unroll=None):
        x = load(row + i, vec(T, STEP))
        best = select(x > best, x, best)
    rest = splat(C(-float("inf")), LANES)
    for i in range(whole, part, LANES, unroll=None):
        few = load(row + i, vec(T, LANES))
        rest = select(few > rest, few, rest)
    top = folded("max", best, rest)
    for i in range(part, n, unroll=-1):
        one = row[i]
        top = select(one > top, one, top)
    return top


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
        top = largest(x, n, T, C, LANES, STEP)
        safe = select(top == C(-float("inf")), C(0.0), top)
        sums = splat(C(0.0), STEP)
        more = splat(C(0.0), LANES)
        last = C(0.0)
        for i in range(0, whole, STEP, unroll=None):
            many = EXP((load(x + i, vec(T, STEP)) - safe,))[0]
            sums = sums + many
            if KEEP:
                store(kept + i, many)
        for i in range(whole, part, LANES, unroll=None):
            few = EXP((load(x + i, vec(T, LANES)) - safe,))[0]
            more = more + few
            if KEEP:
                store(kept + i, few)
        for i in range(part, n, unroll=-1):
            one = EXP((x[i] - safe,))[0]
            last = last + one
            if KEEP:
                kept[i] = one
        total = folded("add", sums, more) + last
        shift = safe
        scale = C(1.0)
        if LOGARITHM:
            shift = safe + LOG((total,))[0]
        else:
            scale = C(1.0) / total
        for i in range(0, whole, STEP, unroll=None):
            if LOGARITHM:
                put(y + i, load(x + i, vec(T, STEP)) - shift, aligned, STREAM)
            elif KEEP:
                put(y + i, load(kept + i, vec(T, STEP)) * scale, aligned, STREAM)
            else:
                put(y + i, EXP((load(x + i, vec(T, STEP)) - safe,))[0] * scale, aligned, STREAM)
        for i in range(whole, part, LANES, unroll=None):
            if LOGARITHM:
                put(y + i, load(x + i, vec(T, LANES)) - shift, aligned, STREAM)
            elif KEEP:
                put(y + i, load(kept + i, vec(T, LANES)) * scale, aligned, STREAM)
            else:
                put(y + i, EXP((load(x + i, vec(T, LANES)) - safe,))[0] * scale, aligned, STREAM)
        for i in range(part, n, unroll=-1):
            if LOGARITHM:
                y[i] = x[i] - shift
            elif KEEP:
                y[i] = kept[i] * scale
            else:
                y[i] = EXP((x[i] - safe,))[0] * scale
    if STREAM:
        drain()


@native
def softmax_gradient(g, y, total, LOGARITHM, EXP):
    if LOGARITHM:
        return g - EXP((y,))[0] * total
    else:
        return y * (g - total)


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
        sums = splat(C(0.0), STEP)
        more = splat(C(0.0), LANES)
        last = C(0.0)
        for i in range(0, whole, STEP, unroll=None):
            many = load(g + i, vec(T, STEP))
            sums = sums + (many if LOGARITHM else many * load(y + i, vec(T, STEP)))
        for i in range(whole, part, LANES, unroll=None):
            few = load(g + i, vec(T, LANES))
            more = more + (few if LOGARITHM else few * load(y + i, vec(T, LANES)))
        for i in range(part, n, unroll=-1):
            last = last + (g[i] if LOGARITHM else g[i] * y[i])
        total = folded("add", sums, more) + last
        for i in range(0, whole, STEP, unroll=None):
            first, second = load(g + i, vec(T, STEP)), load(y + i, vec(T, STEP))
            put(d + i, softmax_gradient(first, second, total, LOGARITHM, EXP), aligned, STREAM)
        for i in range(whole, part, LANES, unroll=None):
            third, fourth = load(g + i, vec(T, LANES)), load(y + i, vec(T, LANES))
            put(d + i, softmax_gradient(third, fourth, total, LOGARITHM, EXP), aligned, STREAM)
        for i in range(part, n, unroll=-1):
            d[i] = softmax_gradient(g[i], y[i], total, LOGARITHM, EXP)
    if STREAM:
        drain()


# -- layer normalisation -----------------------------------------------------------------------------------------


@native
def moments_wide(x, n, T, C, LANES, STEP):
    """Mean and sum of squared distances from it, in two passes over a cached row."""
    whole = n // STEP * STEP
    part = n // LANES * LANES
    sums = splat(C(0.0), STEP)
    more = splat(C(0.0), LANES)
    last = C(0.0)
    for i in range(0, whole, STEP, unroll=None):
        sums = sums + load(x + i, vec(T, STEP))
    for i in range(whole, part, LANES, unroll=None):
        more = more + load(x + i, vec(T, LANES))
    for i in range(part, n, unroll=-1):
        last = last + x[i]
    mean = (folded("add", sums, more) + last) / C(n)
    sums = splat(C(0.0), STEP)
    more = splat(C(0.0), LANES)
    last = C(0.0)
    for i in range(0, whole, STEP, unroll=None):
        gap = load(x + i, vec(T, STEP)) - mean
        sums = sums + gap * gap
    for i in range(whole, part, LANES, unroll=None):
        near = load(x + i, vec(T, LANES)) - mean
        more = more + near * near
    for i in range(part, n, unroll=-1):
        off = x[i] - mean
        last = last + off * off
    return mean, folded("add", sums, more) + last


@native
def normalised(x, i, mean, scale, weight, bias, T, W, COUNT, WEIGHT, BIAS):
    """COUNT normalised elements."""
    v = (load(x + i, vec(T, COUNT)) - mean) * scale
    if WEIGHT:
        v = v * load(weight + i, vec(W, COUNT))
    if BIAS:
        v = v + load(bias + i, vec(W, COUNT))
    return v


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
        for i in range(0, whole, STEP, unroll=None):
            put(y + i, normalised(x, i, mean, scale, weight, bias, T, W, STEP, WEIGHT, BIAS), aligned, STREAM)
        for i in range(whole, part, LANES, unroll=None):
            put(
                y + i, normalised(x, i, mean, scale, weight, bias, T, W, LANES, WEIGHT, BIAS), aligned, STREAM
            )
        for i in range(part, n, unroll=-1):
            v = (x[i] - mean) * scale
            if WEIGHT:
                v = v * weight[i]
            if BIAS:
                v = v + bias[i]
            y[i] = v
    if STREAM:
        drain()


@native
def weighted(g, weight, i, T, W, COUNT, WEIGHT):
    h = load(g + i, vec(T, COUNT))
    if WEIGHT:
        h = h * load(weight + i, vec(W, COUNT))
    return h


@native
def gather_sums(g, x, mean, scale, weight, dw, db, i, T, W, C, COUNT, WEIGHT, SUMS):
    """Add COUNT elements of a row to the sums for weight and bias; gives its terms of the two sums along the row.

    All loads come before the stores: these arrays are often whole pages apart, where a load waits for an older store.
    """
    one = load(g + i, vec(T, COUNT))
    v = (load(x + i, vec(T, COUNT)) - mean) * scale
    h = one * load(weight + i, vec(W, COUNT)) if WEIGHT else one
    if SUMS:
        first = load(dw + i, vec(C, COUNT)) + one * v
        second = load(db + i, vec(C, COUNT)) + one
        store(dw + i, first)
        store(db + i, second)
    return h, h * v


@native
def layer_norm_backward_row(
    d, g, x, weight, dw, db, mean, scale, n, aligned, T, W, C, LANES, STEP, WEIGHT, SUMS, STREAM
):
    """One row: its input gradient, and its terms of the sums for weight and bias."""
    whole = n // STEP * STEP
    part = n // LANES * LANES
    totals = splat(C(0.0), STEP)
    slopes = splat(C(0.0), STEP)
    for i in range(0, whole, STEP, unroll=None):
        first, second = gather_sums(g, x, mean, scale, weight, dw, db, i, T, W, C, STEP, WEIGHT, SUMS)
        totals = totals + first
        slopes = slopes + second
    more = splat(C(0.0), LANES)
    steep = splat(C(0.0), LANES)
    for i in range(whole, part, LANES, unroll=None):
        third, fourth = gather_sums(g, x, mean, scale, weight, dw, db, i, T, W, C, LANES, WEIGHT, SUMS)
        more = more + third
        steep = steep + fourth
    total = folded("add", totals, more)
    along = folded("add", slopes, steep)
    for i in range(part, n, unroll=-1):
        v = (x[i] - mean) * scale
        if SUMS:
            dw[i] = dw[i] + g[i] * v
            db[i] = db[i] + g[i]
        h = g[i] * weight[i] if WEIGHT else g[i]
        total = total + h
        along = along + h * v
    total = total / C(n)
    along = along / C(n)
    for i in range(0, whole, STEP, unroll=None):
        many = (load(x + i, vec(T, STEP)) - mean) * scale
        put(
            d + i,
            (weighted(g, weight, i, T, W, STEP, WEIGHT) - total - many * along) * scale,
            aligned,
            STREAM,
        )
    for i in range(whole, part, LANES, unroll=None):
        few = (load(x + i, vec(T, LANES)) - mean) * scale
        put(
            d + i,
            (weighted(g, weight, i, T, W, LANES, WEIGHT) - total - few * along) * scale,
            aligned,
            STREAM,
        )
    for i in range(part, n, unroll=-1):
        v = (x[i] - mean) * scale
        h = g[i] * weight[i] if WEIGHT else g[i]
        d[i] = (h - total - v * along) * scale
