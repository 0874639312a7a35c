"""What happens to a finished tile of a matrix product on its way to memory.

result = alpha * (a @ b) + beta * bias, converted to the output's type; then an epilogue's outputs, each a function of
the result and of other operands. `finish` is called by address with a tile that is still in the first-level cache.
"""

from __future__ import annotations

from .conv_lanes import first_lanes, load_masked, store_masked
from .gemm_tiles import READS, SCALARS, at, multiply_add
from .native import bitcast, load, local, native, prefetch, splat, static, store, unroll
from .types import BY_CODE, f32, f64, i64, ptr, vec


@native
def number(T, frame, slot, constant):
    """A scale: a scalar of the program (slot not 0) or a constant, both as a word."""
    word = constant
    if slot != 0:
        word = frame[slot]
    return T(bitcast(word, f64)) if T.kind == "float" else T(word)


@static
def frame_scalars(b, frame, params, codes):
    """The epilogue's scalars as values, in the types of its leaves."""
    found = []
    for k, code in enumerate(codes):
        slot = b.load(b.offset(params, SCALARS + k))
        word = b.load(b.offset(frame, slot))
        if code in ("c64", "c128"):
            part = f32 if code == "c64" else f64
            more = b.load(b.offset(frame, b.binary("add", slot, 1)))
            found += [b.convert(b.bitcast(word, f64), part), b.convert(b.bitcast(more, f64), part)]
        else:
            t = BY_CODE[code].register
            found.append(b.convert(b.bitcast(word, f64), t) if t.kind == "float" else b.convert(word, t))
    return found


@native
def read_lanes(M, L, p, stride, count, mask):
    """Up to L elements at any stride as a vector."""
    W = vec(M, L)
    got = splat(M.register(0), L)
    if stride == 1:
        got = load_lanes(p, W, mask)
    elif stride == 0:
        got = splat(p[0], L)
    else:
        room = local(M, L)
        for c in range(min(count, i64(L)), unroll=None):
            room[c] = p[c * stride]
        got = load_lanes(room, W, mask)
    return got


@native
def write_lanes(M, L, p, stride, count, mask, x):
    if stride == 1:
        store_lanes(p, x, mask)
    else:
        room = local(M, L)
        store(room, x)
        for c in range(min(count, i64(L)), unroll=None):
            p[c * stride] = room[c]


@native
def finish(frame: ptr(i64), params: ptr(i64), source: ptr(T), source_row: i64, i: i64, j: i64, rows: i64,
           columns: i64, moves: ptr(i64)):  # fmt: skip
    """Write rows x columns elements at (i, j) of one batch entry; `moves` holds the entry's offsets.

    BIAS and RAW: one more than the column stride (0, 1, 2 for any) of the bias and of the result, 0 where there is none.
    UNIT: whether alpha and beta are 1. READS and WRITES: type and column stride of what the epilogue reads and writes.
    """
    if not UNIT:
        alpha = number(T, frame, params[at.alpha_slot], params[at.alpha])
        beta = number(T, frame, params[at.beta_slot], params[at.beta])
    scalars = frame_scalars(frame, params, SCALAR_CODES)
    out = bitcast(frame[params[at.c_address]] + params[at.c_offset], ptr(M)) + moves[3]
    RAW_PLACE = (out, params[at.c_row], params[at.c_column])
    FIRST = min(BIAS, 1)
    BIAS_PLACE = [operand(M, frame, params, moves, k) for k in range(FIRST)]
    places = [operand(READS[k][0], frame, params, moves, FIRST + k) for k in range(len(READS))]
    targets = [
        operand(WRITES[k][0], frame, params, moves, FIRST + len(READS) + k) for k in range(len(WRITES))
    ]
    whole = columns - columns % L
    for r in range(rows, unroll=None):
        for MASKED in unroll(2):  # whole vectors, then the rest
            for c in range(whole * MASKED, columns if MASKED else whole, L, unroll=None):
                MASK = first_lanes(columns - c, L) if MASKED else True
                x = load_lanes(source + (r * source_row + c), vec(T, L), MASK)
                if UNIT:
                    if BIAS:
                        x += read_kind((M, BIAS - 1), L, BIAS_PLACE[0], i + r, j + c, columns - c, MASK)
                else:
                    x *= alpha
                    if BIAS and beta != 0:
                        y = read_kind((M, BIAS - 1), L, BIAS_PLACE[0], i + r, j + c, columns - c, MASK)
                        x = multiply_add(splat(beta, L), vec(T, L)(y), x)
                if EPILOGUE is not None:
                    others = [
                        read_kind(READS[k], L, places[k], i + r, j + c, columns - c, MASK)
                        for k in range(len(READS))
                    ]
                    VALUES = EPILOGUE([vec(M.register, L)(x)] + others, scalars)
                if RAW:
                    write_kind((M, RAW - 1), L, RAW_PLACE, i + r, j + c, columns - c, MASK, x)
                for K in unroll(len(WRITES)):
                    write_kind(WRITES[K], L, targets[K], i + r, j + c, columns - c, MASK, VALUES[K])
                for K in unroll(len(READS)):
                    if WIDE:
                        fetch(READS[K], L, places[K], i + r + 1, j + c)
                    else:
                        fetch(READS[K], L, places[K], i + r, j + c + columns)


@static
def load_lanes(b, pointer, t, mask):
    """The vector `t` at a pointer; with a mask only its lanes, zero in the others."""
    return load.run(b, pointer, t) if mask is True else load_masked.run(b, pointer, t, mask)


@static
def store_lanes(b, pointer, x, mask):
    return store.run(b, pointer, x) if mask is True else store_masked.run(b, pointer, x, mask)


@native
def fetch(READ, L, PLACE, i, j):
    """Ask for what will be read later: in the next row, or the next tile. Beyond the last one that is harmless."""
    if READ[1] == 1:
        p = PLACE[0] + (i * PLACE[1] + j)
        for K in unroll(max(1, L * READ[0].bytes // 64)):
            prefetch(p + K * (64 // READ[0].bytes), 0, 2)


@native
def read_kind(READ, L, PLACE, i, j, count, mask):
    """Elements of an operand of an epilogue, whose column stride is 0, 1 or any."""
    p = PLACE[0] + (i * PLACE[1] + j * PLACE[2])
    if READ[1] == 2:
        return read_lanes(READ[0], L, p, PLACE[2], count, mask)
    if READ[1] == 1:
        return load_lanes(p, vec(READ[0], L), mask)
    return splat(p[0], L)


@native
def write_kind(WRITE, L, PLACE, i, j, count, mask, value):
    p = PLACE[0] + (i * PLACE[1] + j * PLACE[2])
    x = spread(value, L)
    if WRITE[1] == 2:
        write_lanes(WRITE[0], L, p, PLACE[2], count, mask, x)
    else:
        store_lanes(p, x, mask)


@static
def spread(b, x, lanes):
    """A value in all lanes; a vector as it is."""
    x = b.value(x)
    return x if x.type.lanes else b.splat(x, lanes)


@native
def operand(M, frame, params, moves, K):
    """Address and strides of what `finish` reads beside the tile."""
    row = params + (READS + 4 * K)
    return bitcast(frame[row[0]] + row[1], ptr(M)) + moves[4 + K], row[2], row[3]


@native
def finish_pairs(frame: ptr(i64), params: ptr(i64), source: ptr(T), source_row: i64, i: i64, j: i64,
                 rows: i64, columns: i64, moves: ptr(i64)):  # fmt: skip
    """`finish` for complex elements: columns count reals, column strides half a step."""
    re_a = number(T, frame, params[at.alpha_slot], params[at.alpha])
    im_a = number(T, frame, params[at.alpha_slot] + (params[at.alpha_slot] != 0), params[at.alpha_im])
    re_b = number(T, frame, params[at.beta_slot], params[at.beta])
    im_b = number(T, frame, params[at.beta_slot] + (params[at.beta_slot] != 0), params[at.beta_im])
    out = bitcast(frame[params[at.c_address]] + params[at.c_offset], ptr(T)) + moves[3]
    BIAS_PLACE = [operand(T, frame, params, moves, k) for k in range(BIAS)]
    for r in range(rows, unroll=None):
        for c in range(0, columns, 2, unroll=None):
            u, v = source[r * source_row + c], source[r * source_row + c + 1]
            re, im = u * re_a - v * im_a, u * im_a + v * re_a
            if BIAS and (re_b != 0 or im_b != 0):
                p = pair_at(BIAS_PLACE[0], i + r, j + c)
                re += p[0] * re_b - p[1] * im_b
                im += p[0] * im_b + p[1] * re_b
            to = out + ((i + r) * params[at.c_row] + (j + c) * params[at.c_column])
            to[0] = re
            to[1] = im


@native
def pair_at(PLACE, i, j):
    return PLACE[0] + (i * PLACE[1] + j * PLACE[2])
