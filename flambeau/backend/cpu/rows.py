"""Row programs: softmax, normalisation and cross entropy in one pass over rows that stay in cache.

Each kernel takes rows [begin, end) of a contiguous matrix. Sums use the reassociating add, so that they vectorise;
their order depends on the row's length only.
"""

from __future__ import annotations

from ...ir import expr
from . import rows_wide as wide
from .emit import ScalarFunction
from .jit import vector_bytes
from .native import (
    add_any,
    bitcast,
    drain,
    horizontal,
    independent,
    load,
    local,
    native,
    select,
    splat,
    sqrt,
)  # fmt: skip
from .rows_wide import is_aligned
from .schedule import Passes, compute_code, input_leaves, item_bytes
from .types import BY_CODE, f64, i64, ptr, vec

WORD = ptr(i64)
TARGET_OUT_OF_RANGE = 3


def function(rule, code: str) -> ScalarFunction:
    """A scalar function of one argument for kernels that compute in `code`."""
    (x,) = input_leaves([code])
    return ScalarFunction([rule(x)])


def statics(call, code: str, **more) -> dict:
    """Template arguments of a row kernel: T memory type, C type computed in, EXP and LOG on it, LANES of a register."""
    inner = compute_code(code)
    t = BY_CODE[inner]
    return {
        "T": BY_CODE[code], "C": t, "LANES": vector_bytes() // t.bytes, "EXP": function(expr.exp, inner),
        "LOG": function(expr.log, inner), **more,
    }  # fmt: skip


def chunk_of(length: int) -> int:
    """Rows that make a worthwhile piece of work."""
    return max(1, 8192 // max(1, length))


@native
def row_max(row, n, T, C, LANES):
    """Largest element of a row; NaN when there is one."""
    best = splat(C(-float("inf")), LANES)
    broken = splat(C(0.0), LANES)
    whole = (n // LANES) * LANES
    for i in range(0, whole, LANES):
        x = load(row + i, vec(T, LANES))
        best = select(x > best, x, best)
        broken = select(x != x, x, broken)
    top = horizontal("max", best)
    bad = horizontal("add", broken)
    for i in range(whole, n):
        one = row[i]
        top = select(one > top, one, top)
        bad = select(one != one, one, bad)
    return select(bad != bad, bad, top)


@native
def softmax_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    n = params[2]
    for r in range(begin, end):
        x = source + r * n
        y = out + r * n
        top = row_max(x, n, T, C, LANES)
        safe = select(top == C(-float("inf")), C(0.0), top)
        total = C(0.0)
        if LOGARITHM:
            for i in range(n):
                total = add_any(total, EXP((x[i] - safe,))[0])
            shift = safe + LOG((total,))[0]
            for i in independent(0, n):
                y[i] = x[i] - shift
        elif HALF:
            for i in range(n):
                total = add_any(total, EXP((x[i] - safe,))[0])
            scale = C(1.0) / total
            for i in independent(0, n):
                y[i] = EXP((x[i] - safe,))[0] * scale
        else:
            for i in independent(0, n):
                e = EXP((x[i] - safe,))[0]
                y[i] = e
                total = add_any(total, e)
            scale = C(1.0) / total
            for i in independent(0, n):
                y[i] = y[i] * scale


@native
def softmax_backward_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T))
    gradient = bitcast(frame[params[1]], ptr(T))
    result = bitcast(frame[params[2]], ptr(T))
    n = params[3]
    for r in range(begin, end):
        g = gradient + r * n
        y = result + r * n
        d = out + r * n
        total = C(0.0)
        if LOGARITHM:
            for i in range(n):
                total = add_any(total, g[i])
            for i in independent(0, n):
                d[i] = g[i] - EXP((y[i],))[0] * total
        else:
            for i in range(n):
                total = add_any(total, g[i] * y[i])
            for i in independent(0, n):
                d[i] = y[i] * (g[i] - total)


BLOCK = 128


@native
def softmax_columns(frame: WORD, params: WORD, begin: i64, end: i64):
    """Softmax along the middle of (outer, n, inner): blocks of neighbouring columns together."""
    out = bitcast(frame[params[0]], ptr(T))
    source = bitcast(frame[params[1]], ptr(T))
    n = params[2]
    inner = params[3]
    blocks = (inner + BLOCK - 1) // BLOCK
    top = local(C, BLOCK)
    total = local(C, BLOCK)
    for piece in range(begin, end):
        o = piece // blocks
        first = (piece - o * blocks) * BLOCK
        width = min(i64(BLOCK), inner - first)
        x = source + (o * n * inner + first)
        y = out + (o * n * inner + first)
        for j in independent(0, width):
            top[j] = C(-float("inf"))
            total[j] = C(0.0)
        for k in range(n):
            for j in independent(0, width):
                v = x[k * inner + j]
                top[j] = v if (v > top[j]) | (v != v) else top[j]
        for j in independent(0, width):
            top[j] = C(0.0) if top[j] == C(-float("inf")) else top[j]
        for k in range(n):
            for j in independent(0, width):
                total[j] = total[j] + EXP((x[k * inner + j] - top[j],))[0]
        for j in independent(0, width):
            total[j] = LOG((total[j],))[0] + top[j] if LOGARITHM else C(1.0) / total[j]
        for k in range(n):
            for j in independent(0, width):
                if LOGARITHM:
                    y[k * inner + j] = x[k * inner + j] - total[j]
                else:
                    y[k * inner + j] = EXP((x[k * inner + j] - top[j],))[0] * total[j]


@native
def softmax_backward_columns(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T))
    gradient = bitcast(frame[params[1]], ptr(T))
    result = bitcast(frame[params[2]], ptr(T))
    n = params[3]
    inner = params[4]
    blocks = (inner + BLOCK - 1) // BLOCK
    total = local(C, BLOCK)
    for piece in range(begin, end):
        o = piece // blocks
        first = (piece - o * blocks) * BLOCK
        width = min(i64(BLOCK), inner - first)
        start = o * n * inner + first
        for j in independent(0, width):
            total[j] = C(0.0)
        for k in range(n):
            for j in independent(0, width):
                g = gradient[start + k * inner + j]
                total[j] = total[j] + (g if LOGARITHM else g * result[start + k * inner + j])
        for k in range(n):
            for j in independent(0, width):
                at = start + k * inner + j
                if LOGARITHM:
                    out[at] = gradient[at] - EXP((result[at],))[0] * total[j]
                else:
                    out[at] = result[at] * (gradient[at] - total[j])


def split_at(shape, dim: int) -> tuple[int, int, int]:
    """Sizes before, at and after a dimension."""
    outer = inner = 1
    for n in shape[:dim]:
        outer *= n
    for n in shape[dim + 1 :]:
        inner *= n
    return outer, shape[dim] if shape else 1, inner


def softmax(call) -> None:
    where = call.inputs[0]
    if where.numel == 0:
        return
    outer, n, inner = split_at(where.shape, call.values["dim"])
    code = where.dtype.code
    given = statics(call, code, LOGARITHM=call.values["logarithm"], HALF=where.dtype.itemsize == 2)
    word = call.contiguous(0)
    if inner == 1:
        half = given.pop("HALF")
        if not call.values["logarithm"]:
            given.pop("LOG")
        if n >= wide.SHORTEST:
            given |= wide.chosen(
                given["T"], given["C"], n, where.nbytes, 2, kept=not call.values["logarithm"]
            )
            given["KEEP"] = not half and not call.values["logarithm"]
            call.native(wide.softmax_wide, given, [call.out(0), word, n], outer, chunk_of(n))
        else:
            given["HALF"] = half and not call.values["logarithm"]
            call.native(softmax_rows, given, [call.out(0), word, n], outer, chunk_of(n))
    else:
        blocks = outer * ((inner + BLOCK - 1) // BLOCK)
        call.native(softmax_columns, given, [call.out(0), word, n, inner], blocks, chunk_of(n * BLOCK))


def softmax_backward(call) -> None:
    where = call.inputs[0]
    if where.numel == 0:
        return
    outer, n, inner = split_at(where.shape, call.values["dim"])
    given = statics(call, where.dtype.code, LOGARITHM=call.values["logarithm"])
    g, y = call.contiguous(0), call.contiguous(1, where.dtype.code)
    if inner == 1:
        kernel = softmax_backward_rows
        if n >= wide.SHORTEST:
            kernel = wide.softmax_backward_wide
            given |= wide.chosen(given["T"], given["C"], n, where.nbytes, 2)
        call.native(kernel, given, [call.out(0), g, y, n], outer, chunk_of(n))
    else:
        blocks = outer * ((inner + BLOCK - 1) // BLOCK)
        call.native(
            softmax_backward_columns, given, [call.out(0), g, y, n, inner], blocks, chunk_of(n * BLOCK)
        )


# -- layer normalisation ---------------------------------------------------------------------------------------


@native
def moments(x, n, C):
    """Mean and sum of squared distances from it, in two passes over a cached row."""
    total = C(0.0)
    for i in range(n):
        total = add_any(total, x[i])
    mean = total / C(n)
    spread = C(0.0)
    for i in range(n):
        d = x[i] - mean
        spread = add_any(spread, d * d)
    return mean, spread


@native
def layer_norm_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T))
    means = bitcast(frame[params[1]], ptr(S))
    scales = bitcast(frame[params[2]], ptr(S))
    source = bitcast(frame[params[3]], ptr(T))
    n = params[4]
    eps = C(bitcast(params[5], f64))
    weight = bitcast(frame[params[6]], ptr(W))
    bias = bitcast(frame[params[7]], ptr(W))
    for r in range(begin, end):
        x = source + r * n
        y = out + r * n
        mean, spread = moments(x, n, C)
        scale = C(1.0) / sqrt(spread / C(n) + eps)
        means[r] = mean
        scales[r] = scale
        for i in independent(0, n):
            v = (x[i] - mean) * scale
            if WEIGHT:
                v = v * weight[i]
            if BIAS:
                v = v + bias[i]
            y[i] = v


def layer_norm(call) -> None:
    where, weight, bias = call.inputs
    n = 1
    for size in call.values["normalized_shape"]:
        n *= size
    if where.numel == 0:
        return
    rows = where.numel // n
    parameter = weight or bias
    given = statics(call, where.dtype.code, WEIGHT=weight is not None, BIAS=bias is not None,
                    W=BY_CODE[parameter.dtype.code] if parameter else BY_CODE[where.dtype.code],
                    S=BY_CODE[call.outputs[1].dtype.code])  # fmt: skip
    x = call.contiguous(0)
    w = call.contiguous(1) if weight is not None else x
    b = call.contiguous(2) if bias is not None else x
    kernel = layer_norm_rows
    if n >= wide.SHORTEST_NORM:
        kernel = wide.layer_norm_wide
        given |= wide.chosen(given["T"], given["C"], n, where.nbytes, 4)
    call.known[len(call.steps)] = Passes(2)
    call.native(kernel, given, [call.out(0), call.out(1), call.out(2), x, n, float(call.values["eps"]), w, b],
                rows, chunk_of(n))  # fmt: skip


PIECES = 16  # partial sums of the weights' gradients: a fixed number, whatever the threads


@native
def layer_norm_backward_row(
    d, g, x, weight, dw, db, mean, scale, n, aligned, T, W, C, LANES, STEP, WEIGHT, SUMS, STREAM
):
    """One row: its input gradient, and its terms of the sums for weight and bias. See `rows_wide` for long rows."""
    along = C(0.0)
    total = C(0.0)
    if SUMS:
        for i in independent(0, n):
            v = (x[i] - mean) * scale
            dw[i] = dw[i] + g[i] * v
            db[i] = db[i] + g[i]
    for i in range(n):
        v = (x[i] - mean) * scale
        h = g[i] * weight[i] if WEIGHT else g[i]
        total = add_any(total, h)
        along = add_any(along, h * v)
    total = total / C(n)
    along = along / C(n)
    for i in independent(0, n):
        v = (x[i] - mean) * scale
        h = g[i] * weight[i] if WEIGHT else g[i]
        d[i] = (h - total - v * along) * scale


@native
def layer_norm_backward_pieces(frame: WORD, params: WORD, begin: i64, end: i64):
    """Piece p of the rows: their input gradients, and this piece's sums for weight and bias."""
    out = bitcast(frame[params[0]], ptr(T))
    sums = bitcast(frame[params[1]], ptr(C))
    gradient = bitcast(frame[params[2]], ptr(T))
    source = bitcast(frame[params[3]], ptr(T))
    means = bitcast(frame[params[4]], ptr(S))
    scales = bitcast(frame[params[5]], ptr(S))
    weight = bitcast(frame[params[6]], ptr(W))
    n = params[7]
    rows = params[8]
    pieces = params[9]
    aligned = is_aligned(out, STREAM)
    for p in range(begin, end):
        dw = sums + p * 2 * n
        db = dw + n
        if SUMS:
            for i in independent(0, n):
                dw[i] = C(0.0)
                db[i] = C(0.0)
        for r in range(p * rows // pieces, (p + 1) * rows // pieces):
            g = gradient + r * n
            x = source + r * n
            d = out + r * n
            ROW(d, g, x, weight, dw, db, C(means[r]), C(scales[r]), n, aligned,
                T, W, C, LANES, STEP, WEIGHT, SUMS, STREAM)  # fmt: skip
    if STREAM:
        drain()


@native
def add_pieces(frame: WORD, params: WORD, begin: i64, end: i64):
    """Sum the pieces' vectors, in order."""
    first = bitcast(frame[params[0]], ptr(W))
    second = bitcast(frame[params[1]], ptr(W))
    sums = bitcast(frame[params[2]], ptr(C))
    n = params[3]
    pieces = params[4]
    for i in independent(begin, end):
        a = C(0.0)
        b = C(0.0)
        for p in range(pieces):
            a = a + sums[p * 2 * n + i]
            b = b + sums[p * 2 * n + n + i]
        first[i] = a
        second[i] = b


def layer_norm_backward(call) -> None:
    gradient, where, mean, scale, weight = call.inputs
    n = 1
    for size in call.values["normalized_shape"]:
        n *= size
    rows = where.numel // max(n, 1)
    code = where.dtype.code
    inner = compute_code(code)
    g, x = call.contiguous(0, code), call.contiguous(1)
    w = call.contiguous(4) if weight is not None else x
    given = statics(call, code, WEIGHT=weight is not None, SUMS=len(call.outputs) > 1,
                    W=BY_CODE[weight.dtype.code if weight is not None else code], S=BY_CODE[mean.dtype.code])  # fmt: skip
    pieces = max(1, min(PIECES, rows, rows * n // 4096))
    sums = call.scratch(pieces * 2 * n * item_bytes(inner))
    if n >= wide.SHORTEST:
        given |= wide.chosen(given["T"], given["C"], n, where.nbytes, 4) | {
            "ROW": wide.layer_norm_backward_row
        }
    else:
        given |= {"ROW": layer_norm_backward_row, "STEP": 0, "STREAM": False}
    call.native(layer_norm_backward_pieces, given,
                [call.out(0), sums, g, x, call.input(2), call.input(3), w, n, rows, pieces], pieces, 1)  # fmt: skip
    if len(call.outputs) > 1:
        more = {"W": given["W"], "C": given["C"]}
        call.native(add_pieces, more, [call.out(1), call.out(2), sums, n, pieces], n, 2048)


# -- batch normalisation ---------------------------------------------------------------------------------------


@native
def batch_norm_channels(frame: WORD, params: WORD, begin: i64, end: i64):
    """Channels [begin, end) of (N, C, L): moments over N and L, then the normalised values."""
    out = bitcast(frame[params[0]], ptr(T))
    means = bitcast(frame[params[1]], ptr(S))
    scales = bitcast(frame[params[2]], ptr(S))
    source = bitcast(frame[params[3]], ptr(T))
    weight = bitcast(frame[params[4]], ptr(W))
    bias = bitcast(frame[params[5]], ptr(W))
    batch = params[6]
    channels = params[7]
    n = params[8]
    eps = C(bitcast(params[9], f64))
    for c in range(begin, end):
        total = C(0.0)
        for b in range(batch):
            x = source + (b * channels + c) * n
            part = C(0.0)
            for i in range(n):
                part = add_any(part, x[i])
            total = total + part
        count = C(batch * n)
        mean = total / count
        spread = C(0.0)
        for b in range(batch):
            x = source + (b * channels + c) * n
            part = C(0.0)
            for i in range(n):
                d = x[i] - mean
                part = add_any(part, d * d)
            spread = spread + part
        scale = C(1.0) / sqrt(spread / count + eps)
        means[c] = mean
        scales[c] = scale
        factor = scale * weight[c] if WEIGHT else scale
        shift = C(bias[c]) if BIAS else C(0.0)
        for b in range(batch):
            x = source + (b * channels + c) * n
            y = out + (b * channels + c) * n
            for i in independent(0, n):
                y[i] = (x[i] - mean) * factor + shift


def batch_norm(call) -> None:
    where, weight, bias = call.inputs
    if where.numel == 0:
        return
    batch, channels = where.shape[0], where.shape[1]
    n = where.numel // max(1, batch * channels)
    parameter = weight or bias
    given = statics(call, where.dtype.code, WEIGHT=weight is not None, BIAS=bias is not None,
                    W=BY_CODE[parameter.dtype.code] if parameter else BY_CODE[where.dtype.code],
                    S=BY_CODE[call.outputs[1].dtype.code])  # fmt: skip
    if n == 1 and batch > 1:
        return batch_norm_features(call, given, batch, channels)
    x = call.contiguous(0)
    w = call.contiguous(1) if weight is not None else x
    b = call.contiguous(2) if bias is not None else x
    out = contiguous_out(call)
    call.known[len(call.steps)] = Passes(3)
    call.native(batch_norm_channels, given,
                [out, call.out(1), call.out(2), x, w, b, batch, channels, n, float(call.values["eps"])],
                channels, chunk_of(batch * n * 2))  # fmt: skip
    finish_out(call, out)


def contiguous_out(call, k: int = 0) -> int:
    """Frame word of a contiguous buffer for output k: itself, or scratch that `finish_out` copies."""
    where = call.outputs[k]
    return call.out(k) if where.contiguous else call.scratch(where.nbytes)


def finish_out(call, word: int, k: int = 0) -> None:
    where = call.outputs[k]
    if not where.contiguous:
        from ...base.layout import contiguous_strides

        code = where.dtype.code
        call.pointwise([(code, where.strides, call.out(k))], [(code, contiguous_strides(where.shape), word)],
                       lambda x: x, where.shape)  # fmt: skip


@native
def batch_norm_columns(frame: WORD, params: WORD, begin: i64, end: i64):
    """(N, C) without further dimensions: the channels lie side by side, so they are the lanes."""
    out = bitcast(frame[params[0]], ptr(T))
    means = bitcast(frame[params[1]], ptr(S))
    scales = bitcast(frame[params[2]], ptr(S))
    source = bitcast(frame[params[3]], ptr(T))
    weight = bitcast(frame[params[4]], ptr(W))
    bias = bitcast(frame[params[5]], ptr(W))
    batch = params[6]
    channels = params[7]
    eps = C(bitcast(params[8], f64))
    mean = local(C, BLOCK)
    spread = local(C, BLOCK)
    shift = local(C, BLOCK)
    for piece in range(begin, end):
        first = piece * BLOCK
        width = min(i64(BLOCK), channels - first)
        x = source + first
        y = out + first
        for j in independent(0, width):
            mean[j] = C(0.0)
            spread[j] = C(0.0)
        for b in range(batch):
            for j in independent(0, width):
                mean[j] = mean[j] + x[b * channels + j]
        for j in independent(0, width):
            mean[j] = mean[j] / C(batch)
        for b in range(batch):
            for j in independent(0, width):
                d = x[b * channels + j] - mean[j]
                spread[j] = spread[j] + d * d
        for j in independent(0, width):
            scale = C(1.0) / sqrt(spread[j] / C(batch) + eps)
            means[first + j] = mean[j]
            scales[first + j] = scale
            spread[j] = scale * weight[first + j] if WEIGHT else scale
            shift[j] = C(bias[first + j]) if BIAS else C(0.0)
        for b in range(batch):
            for j in independent(0, width):
                y[b * channels + j] = (x[b * channels + j] - mean[j]) * spread[j] + shift[j]


def batch_norm_features(call, given, batch: int, channels: int) -> None:
    x = call.contiguous(0)
    w = call.contiguous(1) if call.inputs[1] is not None else x
    b = call.contiguous(2) if call.inputs[2] is not None else x
    out = contiguous_out(call)
    pieces = (channels + BLOCK - 1) // BLOCK
    call.known[len(call.steps)] = Passes(3)
    call.native(batch_norm_columns, given,
                [out, call.out(1), call.out(2), x, w, b, batch, channels, float(call.values["eps"])], pieces,
                chunk_of(batch * BLOCK))  # fmt: skip
    finish_out(call, out)


@native
def batch_norm_backward_channels(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T))
    dweight = bitcast(frame[params[1]], ptr(W))
    dbias = bitcast(frame[params[2]], ptr(W))
    gradient = bitcast(frame[params[3]], ptr(T))
    source = bitcast(frame[params[4]], ptr(T))
    means = bitcast(frame[params[5]], ptr(S))
    scales = bitcast(frame[params[6]], ptr(S))
    weight = bitcast(frame[params[7]], ptr(W))
    batch = params[8]
    channels = params[9]
    n = params[10]
    for c in range(begin, end):
        mean = C(means[c])
        scale = C(scales[c])
        total = C(0.0)
        along = C(0.0)
        for b in range(batch):
            g = gradient + (b * channels + c) * n
            x = source + (b * channels + c) * n
            one = C(0.0)
            two = C(0.0)
            for i in range(n):
                one = add_any(one, g[i])
                two = add_any(two, g[i] * (x[i] - mean))
            total = total + one
            along = along + two
        along = along * scale
        dweight[c] = along
        dbias[c] = total
        count = C(batch * n)
        factor = scale * weight[c] if WEIGHT else scale
        middle = total / count
        slope = along / count * scale
        for b in range(batch):
            g = gradient + (b * channels + c) * n
            x = source + (b * channels + c) * n
            d = out + (b * channels + c) * n
            for i in independent(0, n):
                d[i] = (g[i] - middle - (x[i] - mean) * slope) * factor


@native
def batch_norm_backward_columns(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T))
    dweight = bitcast(frame[params[1]], ptr(W))
    dbias = bitcast(frame[params[2]], ptr(W))
    gradient = bitcast(frame[params[3]], ptr(T))
    source = bitcast(frame[params[4]], ptr(T))
    means = bitcast(frame[params[5]], ptr(S))
    scales = bitcast(frame[params[6]], ptr(S))
    weight = bitcast(frame[params[7]], ptr(W))
    batch = params[8]
    channels = params[9]
    total = local(C, BLOCK)
    along = local(C, BLOCK)
    for piece in range(begin, end):
        first = piece * BLOCK
        width = min(i64(BLOCK), channels - first)
        for j in independent(0, width):
            total[j] = C(0.0)
            along[j] = C(0.0)
        for b in range(batch):
            for j in independent(0, width):
                g = gradient[b * channels + first + j]
                total[j] = total[j] + g
                along[j] = along[j] + g * (source[b * channels + first + j] - C(means[first + j]))
        for j in independent(0, width):
            along[j] = along[j] * C(scales[first + j])
            dweight[first + j] = along[j]
            dbias[first + j] = total[j]
            total[j] = total[j] / C(batch)
            along[j] = along[j] / C(batch) * C(scales[first + j])
        for b in range(batch):
            for j in independent(0, width):
                at = b * channels + first + j
                factor = C(scales[first + j]) * weight[first + j] if WEIGHT else C(scales[first + j])
                out[at] = (gradient[at] - total[j] - (source[at] - C(means[first + j])) * along[j]) * factor


def batch_norm_backward(call) -> None:
    gradient, where, mean, scale, weight = call.inputs
    if where.numel == 0:
        return
    batch, channels = where.shape[0], where.shape[1]
    n = where.numel // max(1, batch * channels)
    code = where.dtype.code
    g, x = call.contiguous(0, code), call.contiguous(1)
    w = call.contiguous(4) if weight is not None else x
    given = statics(call, code, WEIGHT=weight is not None, S=BY_CODE[mean.dtype.code],
                    W=BY_CODE[call.outputs[1].dtype.code])  # fmt: skip
    out = contiguous_out(call)
    head = [out, call.out(1), call.out(2), g, x, call.input(2), call.input(3), w, batch, channels]
    if n == 1 and batch > 1:
        pieces = (channels + BLOCK - 1) // BLOCK
        call.native(batch_norm_backward_columns, given, head, pieces, chunk_of(batch * BLOCK))
    else:
        call.native(batch_norm_backward_channels, given, [*head, n], channels, chunk_of(batch * n * 2))
    finish_out(call, out)


# -- cross entropy -----------------------------------------------------------------------------------------------


@native
def check_targets(frame: WORD, params: WORD, begin: i64, end: i64):
    target = bitcast(frame[params[0]], ptr(I))
    classes = params[1]
    ignored = params[2]
    for r in range(begin, end):
        t = i64(target[r])
        if t != ignored:
            if (t < 0) | (t >= classes):
                frame[1] = t
                frame[2] = r
                frame[0] = TARGET_OUT_OF_RANGE


@native
def cross_entropy_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Loss and weight of each row, and the logarithm of its sum of exponentials."""
    losses = bitcast(frame[params[0]], ptr(C))
    shares = bitcast(frame[params[1]], ptr(C))
    sums = bitcast(frame[params[2]], ptr(C))
    source = bitcast(frame[params[3]], ptr(T))
    target = bitcast(frame[params[4]], ptr(I))
    weight = bitcast(frame[params[5]], ptr(T))
    n = params[6]
    ignored = params[7]
    smoothing = C(bitcast(params[8], f64))
    for r in range(begin, end):
        t = i64(target[r])
        x = source + r * n
        top = row_max(x, n, T, C, LANES)
        safe = select(top == C(-float("inf")), C(0.0), top)
        total = C(0.0)
        for i in range(n):
            total = add_any(total, EXP((x[i] - safe,))[0])
        lse = safe + LOG((total,))[0]
        sums[r] = lse
        if t == ignored:
            losses[r] = C(0.0)
            shares[r] = C(0.0)
        else:
            w = C(weight[t]) if WEIGHT else C(1.0)
            loss = (lse - x[t]) * w
            if SMOOTH:
                spread = C(0.0)
                if WEIGHT:
                    for i in range(n):
                        spread = add_any(spread, (lse - x[i]) * weight[i])
                else:
                    for i in range(n):
                        spread = add_any(spread, lse - x[i])
                loss = loss * (C(1.0) - smoothing) + spread * (smoothing / C(n))
            losses[r] = loss
            shares[r] = w


@native
def cross_entropy_total(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T))
    total = bitcast(frame[params[1]], ptr(C))
    losses = bitcast(frame[params[2]], ptr(C))
    shares = bitcast(frame[params[3]], ptr(C))
    rows = params[4]
    a = C(0.0)
    b = C(0.0)
    for r in range(rows):
        a = add_any(a, losses[r])
        b = add_any(b, shares[r])
    total[0] = b
    out[0] = a / b if MEAN else a


@native
def likelihood_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Loss and weight of each row of log probabilities."""
    losses = bitcast(frame[params[0]], ptr(C))
    shares = bitcast(frame[params[1]], ptr(C))
    source = bitcast(frame[params[2]], ptr(T))
    target = bitcast(frame[params[3]], ptr(I))
    weight = bitcast(frame[params[4]], ptr(T))
    n = params[5]
    for r in range(begin, end):
        t = i64(target[r])
        losses[r] = C(0.0)
        shares[r] = C(0.0)
        if t != params[6]:
            w = C(weight[t]) if WEIGHT else C(1.0)
            losses[r] = -(C(source[r * n + t]) * w)
            shares[r] = w


@native
def likelihood_backward_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T))
    gradient = bitcast(frame[params[1]], ptr(T))
    target = bitcast(frame[params[2]], ptr(I))
    weight = bitcast(frame[params[3]], ptr(T))
    total = bitcast(frame[params[4]], ptr(C))
    n = params[5]
    for r in range(begin, end):
        for i in independent(0, n):
            out[r * n + i] = T(0.0)
        t = i64(target[r])
        if t != params[6]:
            g = C(gradient[r]) if NONE else C(gradient[0])
            w = C(weight[t]) if WEIGHT else C(1.0)
            out[r * n + t] = -(g * w / total[0]) if MEAN else -(g * w)


def likelihood_backward(call) -> None:
    """Gradient of `likelihood`: zero but for the elements that the targets name."""
    gradient, target, weight, _ = call.inputs
    code, reduction = gradient.dtype.code, call.values["reduction"]
    rows, n = call.outputs[0].shape
    given = statics(call, code, I=BY_CODE[target.dtype.code], WEIGHT=weight is not None, NONE=reduction == "none",
                    MEAN=reduction == "mean")  # fmt: skip
    g, t = call.contiguous(0), call.contiguous(1)
    w = call.contiguous(2, code) if weight is not None else g
    call.native(likelihood_backward_rows, given,
                [call.out(0), g, t, w, call.input(3), n, call.values["ignore_index"]], rows, chunk_of(n))  # fmt: skip


def likelihood(call) -> None:
    """Negative log likelihood of class indices under rows of log probabilities."""
    cross_entropy(call, of_scores=False)


def cross_entropy(call, of_scores: bool = True) -> None:
    where, target, weight = call.inputs
    rows, n = where.shape
    code = where.dtype.code
    inner = compute_code(code)
    given = statics(call, code, I=BY_CODE[target.dtype.code], WEIGHT=weight is not None)
    x, t = call.contiguous(0), call.contiguous(1)
    w = call.contiguous(2, code) if weight is not None else x
    ignored = call.values["ignore_index"]
    call.refuses = lambda code, value, position: IndexError(
        f"Target {value} is out of bounds.\n  at    position {position} of the target\n"
        f"  need  0 <= target < {n}, the number of classes"
    )
    call.look_ahead(t, target.dtype.code, rows, 0, n, ignored)
    call.native(check_targets, {"I": given["I"]}, [t, n, ignored], rows, 1 << 40)
    reduction = call.values["reduction"]
    size = item_bytes(inner)
    shares = call.scratch(rows * size)
    none = reduction == "none"
    losses = call.scratch(rows * size)
    if of_scores:
        smoothing = float(call.values["label_smoothing"])
        call.native(cross_entropy_rows, given | {"SMOOTH": smoothing > 0},
                    [losses, shares, call.out(1), x, t, w, n, ignored, smoothing], rows, chunk_of(n))  # fmt: skip
    else:
        call.native(likelihood_rows, given, [losses, shares, x, t, w, n, ignored], rows, 4096)
    if none:
        call.pointwise([(code, (1,), call.out(0))], [(inner, (1,), losses)], lambda v: v, (rows,))
    else:
        more = {"T": given["T"], "C": given["C"], "MEAN": reduction == "mean"}
        total = call.out(2 if of_scores else 1)
        call.native(cross_entropy_total, more, [call.out(0), total, losses, shares, rows], 1, 1)


@native
def cross_entropy_backward_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    out = bitcast(frame[params[0]], ptr(T))
    gradient = bitcast(frame[params[1]], ptr(T))
    source = bitcast(frame[params[2]], ptr(T))
    target = bitcast(frame[params[3]], ptr(I))
    sums = bitcast(frame[params[4]], ptr(C))
    total = bitcast(frame[params[5]], ptr(C))
    weight = bitcast(frame[params[6]], ptr(T))
    n = params[7]
    ignored = params[8]
    smoothing = C(bitcast(params[9], f64))
    everything = C(0.0)
    if SMOOTH and WEIGHT:
        for i in range(n):
            everything = add_any(everything, weight[i])
    for r in range(begin, end):
        t = i64(target[r])
        x = source + r * n
        d = out + r * n
        if t == ignored:
            for i in independent(0, n):
                d[i] = C(0.0)
        else:
            g = C(gradient[r]) if NONE else C(gradient[0])
            if MEAN:
                g = g / total[0]
            lse = sums[r]
            w = C(weight[t]) if WEIGHT else C(1.0)
            hit = g * w
            if SMOOTH:
                hit = hit * (C(1.0) - smoothing)
                share = g * smoothing / C(n)
                mass = hit + share * everything if WEIGHT else hit + share * C(n)
                for i in independent(0, n):
                    lost = share * weight[i] if WEIGHT else share
                    d[i] = EXP((x[i] - lse,))[0] * mass - lost
            else:
                for i in independent(0, n):
                    d[i] = EXP((x[i] - lse,))[0] * hit
            d[t] = d[t] - hit


def cross_entropy_backward(call) -> None:
    gradient, where, target, weight, sums, total = call.inputs
    rows, n = where.shape
    code = where.dtype.code
    reduction = call.values["reduction"]
    given = statics(call, code, I=BY_CODE[target.dtype.code], WEIGHT=weight is not None, NONE=reduction == "none",
                    MEAN=reduction == "mean", SMOOTH=call.values["label_smoothing"] > 0)  # fmt: skip
    g, x, t = call.contiguous(0, code), call.contiguous(1), call.contiguous(2)
    w = call.contiguous(3, code) if weight is not None else x
    call.native(cross_entropy_backward_rows, given,
                [call.out(0), g, x, t, call.input(4), call.input(5) if total is not None else x, w, n,
                 call.values["ignore_index"], float(call.values["label_smoothing"])], rows, chunk_of(n))  # fmt: skip
