"""The parts of attention: register tiles, transposed packing, the exponential of scores.

Scores are kept transposed, ``[key][query]``, so that the lanes of a register are queries: maxima and sums of
the softmax are then taken lane by lane, without a step across lanes, and of all operands only queries (backwards
also the gradient of the result) must be packed; keys and values are read where they are.
"""

from __future__ import annotations

from types import SimpleNamespace

from .conv_lanes import first_lanes, load_masked, store_masked, sum_lanes
from .gemm_pack import transposed
from .gemm_tiles import multiply_add
from .native import (
    bitcast,
    call_pointer,
    load,
    local,
    native,
    select,
    splat,
    store,
    unroll,
)
from .types import f32, i8, i32, i64, ptr, vec, void

#: queries of one block: the width of a block of scores
QUERIES = 64
#: so few queries of a block are multiplied with keys in another way
FEW = 6
#: words of the parameters: frame words of buffers, sizes and row strides in elements, addresses of tiles
WORDS = (
    "query", "key", "value", "output", "sums", "mask", "query_row", "key_row", "value_row", "output_row", "mask_row",
    "length", "source", "width", "value_width", "factor", "blocks", "group",
    # backwards only
    "gradient", "gradient_row", "to_query", "to_query_row", "to_key", "to_key_row", "to_value", "to_value_row", "scale",
    "tiles", "dims",
)  # fmt: skip
at = SimpleNamespace(**{name: position for position, name in enumerate(WORDS)})
#: kinds of tiles, in the order of their addresses; each has one address for each number of rows
KINDS = ("whole_2", "whole_1", "part_2", "part_1", "scaled_whole_2", "scaled_part_2", "scaled_part_1")
ROW_CHOICES = 5
TILES = len(WORDS)
#: after the addresses: per batch dimension its size and the stride of each operand
BATCH = TILES + len(KINDS) * ROW_CHOICES
OPERANDS = ("query", "key", "value", "output", "sums", "mask", "gradient", "to_query", "to_key", "to_value")


@native
def scaled_tile(a: ptr(T), a_row: i64, a_k: i64, b: ptr(T), b_k: i64, c: ptr(T), c_row: i64, k: i64, columns: i64,
                add: i64, scales: ptr(T)):  # fmt: skip
    """c[i] = (a @ b + c[i] * scales[i] where `add`) * scales[i + FAR], for ROWS rows."""
    W = vec(T, L)
    acc = local(W, ROWS * V)
    mask = [first_lanes(columns - j * L, L) for j in unroll(V)]
    for i in unroll(ROWS * V):
        acc[i] = splat(T(0), L)
    for _ in range(k):
        if WHOLE:
            row = [load(b + j * L, W) for j in unroll(V)]
        else:
            row = [load_masked(b + j * L, W, mask[j]) for j in unroll(V)]
        for i in unroll(ROWS):
            w = splat(a[i * a_row], L)
            for j in unroll(V):
                acc[i * V + j] = multiply_add(w, row[j], acc[i * V + j])
        a = a + a_k
        b = b + b_k
    if add != 0:
        for i in unroll(ROWS):
            before = splat(scales[i], L)
            for j in unroll(V):
                old = load_masked(c + (i * c_row + j * L), W, mask[j])
                acc[i * V + j] = multiply_add(old, before, acc[i * V + j])
    for i in unroll(ROWS):
        after = splat(scales[FAR + i], L)
        for j in unroll(V):
            if WHOLE:
                store(c + (i * c_row + j * L), acc[i * V + j] * after)
            else:
                store_masked(c + (i * c_row + j * L), acc[i * V + j] * after, mask[j])


# (2**r - 1) / r on |r| <= 1/2: relative error of 2**r 2**-26
_POWERS = (0.693147182, 0.240226477, 0.0555033237, 0.00961843692, 0.00133988482, 0.000153533008)


@native
def power(S, x):
    """2**x for x <= 0 (0 below 2**-126); NaN stays."""
    if S.T is f32:
        # the bits of whole + BIASED end with the exponent of 2**whole
        BIASED = 12582912.0 + 127
        safe = select(x < -126.0, splat(f32(-126.0), S.L), x)
        whole = safe + BIASED
        r = safe - (whole - BIASED)
        y = splat(f32(_POWERS[5]), S.L)
        for c in _POWERS[4::-1]:
            y = multiply_add(y, r, splat(f32(c), S.L))
        y = multiply_add(y, r, splat(f32(1.0), S.L))
        y = y * bitcast(bitcast(whole, vec(i32, S.L)) << 23, vec(f32, S.L))
        return select(x < -126.0, splat(f32(0.0), S.L), y)
    return S.POWER([x])[0]


@native
def pack_turned(S, source, row, rows, count, to, factor):
    """`rows` rows of `count` elements as panels ``[panel][element][2 L]``, times a factor.

    Lanes after the last row repeat it: their scores are never used. (Rows beyond the end are not even asked for with
    an empty mask: processors take long over a masked access to a page that is not there.)
    """
    T, L = S.T, S.L
    W = vec(T, L)
    by = splat(factor, L)
    panel = (count + L - 1) // L * L * 2 * L
    for r in range(0, rows, L, unroll=None):
        goal = to + (r // (2 * L) * panel + r % (2 * L))
        for e in range(0, count, L, unroll=None):
            here = source + (r * row + e)
            if min(rows - r, count - e) >= L:
                lines = [load(here + c * row, W) * by for c in unroll(L)]
                for x in transposed(lines):
                    store(goal, x)
                    goal = goal + 2 * L
            else:
                mask = first_lanes(count - e, L)
                lines = [load_masked(here + min(i64(c), rows - r - 1) * row, W, mask) * by for c in unroll(L)]
                for x in transposed(lines):
                    store(goal, x)
                    goal = goal + 2 * L


@native
def row_products(S, a, a_row, b, b_row, rows, count, to):
    """to[r] = sum of a[r] * b[r] for each row, and something in the rest of the last register."""
    T, L = S.T, S.L
    W = vec(T, L)
    for r in range(0, rows, L, unroll=None):
        sums = local(W, L)
        for c in unroll(L):
            sums[c] = splat(T(0), L)
        for e in range(0, count, L, unroll=None):
            here, there = a + (r * a_row + e), b + (r * b_row + e)
            if min(rows - r, count - e) >= L:
                for c in unroll(L):
                    sums[c] = multiply_add(load(here + c * a_row, W), load(there + c * b_row, W), sums[c])
            else:
                mask = first_lanes(count - e, L)
                for c in unroll(L):
                    line = min(i64(c), rows - r - 1)
                    x, y = (
                        load_masked(here + line * a_row, W, mask),
                        load_masked(there + line * b_row, W, mask),
                    )
                    sums[c] = multiply_add(x, y, sums[c])
        store(to + r, sum_lanes([sums[c] for c in unroll(L)]))


@native
def rows_of_tile(S, left):
    """Rows of the next tile where so many are left, and the number of that choice."""
    rows, choice = i64(1), i64(len(S.ROW_COUNTS) - 1)
    for x in unroll(len(S.ROW_COUNTS) - 2, -1, -1):
        fits = left >= S.ROW_COUNTS[x]
        rows = select(fits, i64(S.ROW_COUNTS[x]), rows)
        choice = select(fits, i64(x), choice)
    return rows, choice


@native
def tile_at(params, KIND, choice):
    """Address of a tile."""
    return bitcast(params[TILES + KIND * ROW_CHOICES + choice], ptr(i8))


@native
def multiply_whole(S, params, choice, a, a_row, b, c, k, first, registers):
    """Rows of c, a block of scores, from rows of a and packed panels of b; registers before `first` are left out."""
    L = S.L
    panel = (k + L - 1) // L * L * 2 * L
    one = i64(1)
    v = max(first, i64(0))
    while v < registers:
        here, to = b + (v // 2 * panel + v % 2 * L), c + v * L
        pair = (v % 2 == 0) & (v + 1 < registers)
        fn = select(pair, tile_at(params, 0, choice), tile_at(params, 1, choice))
        count = select(pair, i64(2), one)
        call_pointer(fn, void, a, a_row, one, here, i64(2 * L), to, i64(QUERIES), k, count * L, i64(0))
        v += count


@native
def multiply_part(S, params, choice, a, a_row, a_k, b, b_row, c, c_row, k, columns, add):
    """Rows of c from a block of scores and rows of b."""
    W = 2 * S.L
    for j in range(0, columns, W, unroll=None):
        left = columns - j
        fn = select(left > S.L, tile_at(params, 2, choice), tile_at(params, 3, choice))
        fn = select(left >= W, tile_at(params, 0, choice), fn)
        call_pointer(fn, void, a, a_row, a_k, b + j, b_row, c + j, c_row, k, min(left, i64(W)), add)


@native
def multiply_scaled(S, params, choice, a, b, b_row, c, c_row, k, columns, add, scales):
    """Rows of c from a block of scores whose columns are those rows, and rows of b; see `scaled_tile`."""
    W = 2 * S.L
    for j in range(0, columns, W, unroll=None):
        left = columns - j
        fn = select(left > S.L, tile_at(params, 5, choice), tile_at(params, 6, choice))
        fn = select(left >= W, tile_at(params, 4, choice), fn)
        call_pointer(
            fn, void, a, i64(1), i64(QUERIES), b + j, b_row, c + j, c_row, k, min(left, i64(W)), add, scales
        )


@native
def offsets(params: ptr(i64), item: i64, moves: ptr(i64)):
    """Element offsets of each operand for batch entry `item`."""
    for x in unroll(len(OPERANDS)):
        moves[x] = 0
    left = item
    dims = params[at.dims]
    row = params + BATCH
    for d in range(dims, unroll=None):
        index = left
        if d + 1 < dims:
            left = index // row[0]
            index = index - left * row[0]
        for x in unroll(len(OPERANDS)):
            moves[x] += index * row[1 + x]
        row = row + (1 + len(OPERANDS))


@native
def few_scores(S, q, q_row, rows, key, key_row, keys, width, scores, factor):
    """Scores of so few queries that the lanes of a register serve better as places within a row."""
    T, L = S.T, S.L
    W = vec(T, L)
    found = local(T, L)
    for j in range(keys, unroll=None):
        store(scores + j * QUERIES, splat(T(0), L))
    for r in range(rows, unroll=None):
        for j in range(0, keys, L, unroll=None):
            sums = local(W, L)
            for c in unroll(L):
                sums[c] = splat(T(0), L)
            left = keys - j
            for e in range(0, width, L, unroll=None):
                line, here = q + (r * q_row + e), key + (j * key_row + e)
                if min(left, width - e) >= L:
                    x = load(line, W)
                    for c in unroll(L):
                        sums[c] = multiply_add(x, load(here + c * key_row, W), sums[c])
                else:
                    mask = first_lanes(width - e, L)
                    x = load_masked(line, W, mask)
                    for c in unroll(L):
                        there = here + min(i64(c), left - 1) * key_row
                        sums[c] = multiply_add(x, load_masked(there, W, mask), sums[c])
            store(found, sum_lanes([sums[c] for c in unroll(L)]) * factor)
            for c in range(min(left, i64(L)), unroll=None):
                scores[(j + c) * QUERIES + r] = found[c]


@native
def masked_scores(S, x, mask, mask_row, j, lanes):
    """Scores plus the mask's entries of key j."""
    if S.MASK == 1:
        return x + load_masked(mask + j * mask_row, vec(S.T, S.L), lanes)
    if S.MASK == 2:
        return x + splat(mask[j], S.L)
    return x
