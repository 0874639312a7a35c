"""What happens to a finished tile of a matrix product on its way to memory.

result = epilogue(alpha * (a @ b) + beta * bias, other operands ...), converted to the output's type. `finish`
is called by address with a tile that is still in the first-level cache.
"""

from __future__ import annotations

from .conv_lanes import first_lanes, load_masked, store_masked
from .gemm_tiles import READS, SCALARS, at, multiply_add
from .native import bitcast, load, local, native, splat, static, store
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
        got = load_masked(p, W, mask)
    elif stride == 0:
        got = splat(p[0], L)
    else:
        room = local(M, L)
        for c in range(min(count, i64(L)), unroll=None):
            room[c] = p[c * stride]
        got = load_masked(room, W, mask)
    return got


@native
def write_lanes(M, L, p, stride, count, mask, x):
    if stride == 1:
        store_masked(p, x, mask)
    else:
        room = local(M, L)
        store(room, x)
        for c in range(min(count, i64(L)), unroll=None):
            p[c * stride] = room[c]


@native
def finish(frame: ptr(i64), params: ptr(i64), source: ptr(T), source_row: i64, i: i64, j: i64, rows: i64,
           columns: i64, moves: ptr(i64)):  # fmt: skip
    """Write rows x columns elements at (i, j) of one batch entry; `moves` holds the entry's offsets."""
    alpha = number(T, frame, params[at.alpha_slot], params[at.alpha])
    beta = number(T, frame, params[at.beta_slot], params[at.beta])
    scalars = frame_scalars(frame, params, SCALAR_CODES)
    out = bitcast(frame[params[at.c_address]] + params[at.c_offset], ptr(M)) + moves[3]
    c_row, c_column = params[at.c_row], params[at.c_column]
    places = [operand(M, frame, params, moves, k) for k in range(READ_COUNT)]
    for c in range(0, columns, L, unroll=None):
        mask = first_lanes(columns - c, L)
        from_x, to = source + c, out + (i * c_row + (j + c) * c_column)
        for r in range(i, i + rows, unroll=None):
            x = load_masked(from_x, vec(T, L), mask) * alpha
            if BIAS and beta != 0:
                y = read_at(M, L, places[0], r, j + c, columns - c, mask)
                x = multiply_add(splat(beta, L), vec(T, L)(y), x)
            if EPILOGUE is not None:
                others = [
                    read_at(M, L, places[k], r, j + c, columns - c, mask) for k in range(BIAS, READ_COUNT)
                ]
                (x,) = EPILOGUE([vec(M.register, L)(x)] + others, scalars)
            write_lanes(M, L, to, c_column, columns - c, mask, x)
            from_x, to = from_x + source_row, to + c_row


@native
def operand(M, frame, params, moves, K):
    """Address and strides of what `finish` reads beside the tile."""
    row = params + (READS + 4 * K)
    return bitcast(frame[row[0]] + row[1], ptr(M)) + moves[4 + K], row[2], row[3]


@native
def read_at(M, L, PLACE, i, j, count, mask):
    return read_lanes(M, L, PLACE[0] + (i * PLACE[1] + j * PLACE[2]), PLACE[2], count, mask)


def alternate(first, second):
    """The elements of two lists in turn."""
    return [x for pair in zip(first, second) for x in pair]


@native
def finish_pairs(frame: ptr(i64), params: ptr(i64), source: ptr(T), source_row: i64, i: i64, j: i64,
                 rows: i64, columns: i64, moves: ptr(i64)):  # fmt: skip
    """`finish` for complex elements: columns count reals, column strides half a step."""
    re_a = number(T, frame, params[at.alpha_slot], params[at.alpha])
    im_a = number(T, frame, params[at.alpha_slot] + (params[at.alpha_slot] != 0), params[at.alpha_im])
    re_b = number(T, frame, params[at.beta_slot], params[at.beta])
    im_b = number(T, frame, params[at.beta_slot] + (params[at.beta_slot] != 0), params[at.beta_im])
    scalars = frame_scalars(frame, params, SCALAR_CODES)
    out = bitcast(frame[params[at.c_address]] + params[at.c_offset], ptr(T)) + moves[3]
    places = [operand(T, frame, params, moves, k) for k in range(READ_COUNT)]
    for r in range(rows, unroll=None):
        for c in range(0, columns, 2, unroll=None):
            u, v = source[r * source_row + c], source[r * source_row + c + 1]
            re, im = u * re_a - v * im_a, u * im_a + v * re_a
            if BIAS and (re_b != 0 or im_b != 0):
                p = pair_at(places[0], i + r, j + c)
                re += p[0] * re_b - p[1] * im_b
                im += p[0] * im_b + p[1] * re_b
            if EPILOGUE is not None:
                pairs = [pair_at(places[k], i + r, j + c) for k in range(BIAS, READ_COUNT)]
                parts = alternate([load(p) for p in pairs], [load(p + 1) for p in pairs])
                re, im = EPILOGUE([re, im] + parts, scalars)
            to = out + ((i + r) * params[at.c_row] + (j + c) * params[at.c_column])
            to[0] = re
            to[1] = im


@native
def pair_at(PLACE, i, j):
    return PLACE[0] + (i * PLACE[1] + j * PLACE[2])
