"""Attention in blocks: scores of 64 queries against some keys at a time, which stay in the caches.

`forward`: an item is a block of queries of one batch entry; the softmax runs along the keys, keeping maximum and
sum of each query so far and rescaling the result where the maximum grows (Dao et al. 2022). `backward`: an item is
all of one head of keys; it makes the weights again from the scores and the saved sums. Under a causal mask, tiles
of keys that no query of a register may see are left out.
"""

from __future__ import annotations

from .attention_tiles import (
    FEW,
    OPERANDS,
    QUERIES,
    at,
    few_scores,
    masked_scores,
    multiply_part,
    multiply_scaled,
    multiply_whole,
    offsets,
    pack_turned,
    power,
    row_products,
    rows_of_tile,
)
from .conv_lanes import first_lanes, lanes_between, load_masked, store_masked
from .native import bitcast, fill_bytes, load, local, native, select, splat, store, unroll
from .types import f64, i64, ptr, vec

MOVE = {name: position for position, name in enumerate(OPERANDS)}


@native
def place(S, frame, params, moves, WORD, NAME):
    """Where an operand's matrix of this batch entry begins."""
    return bitcast(frame[params[WORD]], ptr(S.T)) + moves[MOVE[NAME]]


@native
def bound(x, low, high):
    return max(min(x, high), low)


@native
def reach(S, first, i0, keys):
    """Of `keys` keys from `first` on, for the register of queries i0 ...: all queries may see so many, some so many."""
    if S.CAUSAL:
        all_see = bound(i0 + 1 - first, i64(0), keys)
        return all_see, bound(i0 + S.L - first, i64(0), keys)
    return keys, keys


@native
def seen(S, x, j, i0, other):
    """x in the lanes whose query may see key j, `other` elsewhere."""
    return select(lanes_between(j - i0, i64(S.L), S.L), x, other)


# -- forwards ------------------------------------------------------------------------------------------------


@native
def softmax_block(S, params, scores, mask, first, i0, keys, top, total, change):
    """Weights from a block of scores, register by register; `top`, `total` are brought up to date."""
    T, L = S.T, S.L
    W = vec(T, L)
    low = splat(T(-float("inf")), L)
    zero = splat(T(0.0), L)
    mask_row = params[at.mask_row]
    for v in range(0, min((params[at.length] - i0 + L - 1) // L * L, i64(QUERIES)), L, unroll=None):
        plain, some = reach(S, first, i0 + v, keys)
        lanes = first_lanes(params[at.length] - i0 - v, L)
        here = mask + (i0 + v) if S.MASK == 1 else mask
        x = scores + v
        best = load(top + v, W)
        most = best
        for j in range(0, plain, unroll=4):
            one = load(x + j * QUERIES, W)
            if S.MASK != 0:
                one = masked_scores(S, one, here, mask_row, first + j, lanes)
                store(x + j * QUERIES, one)
            most = select(one > most, one, most)
        for j in range(plain, some, unroll=None):
            one = masked_scores(S, load(x + j * QUERIES, W), here, mask_row, first + j, lanes)
            one = seen(S, one, first + j, i0 + v, low)
            store(x + j * QUERIES, one)
            most = select(one > most, one, most)
        store(top + v, most)
        safe = select(most == low, zero, most)
        factor = power(S, best - safe)
        store(change + v, factor)
        sum = load(total + v, W) * factor
        for j in range(0, some, unroll=2):
            one = power(S, load(x + j * QUERIES, W) - safe)
            store(x + j * QUERIES, one)
            sum = sum + one
        store(total + v, sum)
        for j in range(some, keys, unroll=None):
            store(x + j * QUERIES, zero)


@native
def score_block(S, params, source, row, packed, to, width, first, i0, keys, registers):
    """Products of keys [first, first + keys) (or values) with packed queries (or gradients)."""
    j = i64(0)
    while j < keys:
        tile, choice = rows_of_tile(S, keys - j)
        skip = (first + j - i0) // S.L if S.CAUSAL else i64(0)
        here = source + (first + j) * row
        multiply_whole(S, params, choice, here, row, packed, to + j * QUERIES, width, skip, registers)
        j += tile


@native
def value_block(S, params, scores, value, output, first, i0, rows, keys, scales):
    """Adds the values of a block of keys, by their weights, to the result."""
    value_row, output_row = params[at.value_row], params[at.output_row]
    i = i64(0)
    while i < rows:
        tile, choice = rows_of_tile(S, rows - i)
        k = keys
        if S.CAUSAL:
            k = bound(i0 + i + tile - first, i64(0), keys)
        multiply_scaled(S, params, choice, scores + i, value + first * value_row, value_row, output + i * output_row,
                        output_row, k, params[at.value_width], i64(first != 0), scales + i)  # fmt: skip
        i += tile


@native
def clear(S, top, total, scales):
    """Before the first block of keys; the second half of the scales is what the result is multiplied by."""
    for v in unroll(0, QUERIES, S.L):
        store(top + v, splat(S.T(-float("inf")), S.L))
        store(total + v, splat(S.T(0.0), S.L))
        store(scales + QUERIES + v, splat(S.T(1.0), S.L))


@native
def invert(S, total, scales):
    """With the last block of keys the result is divided by the sums; a query that sees nothing gets zeros."""
    for v in unroll(0, QUERIES, S.L):
        sum = load(total + v, vec(S.T, S.L))
        store(scales + QUERIES + v, select(sum == 0.0, sum, 1.0 / sum))


@native
def keep_sums(S, to, top, total, rows):
    """Logarithms of the sums, from which `backward` makes the weights again."""
    W = vec(S.T, S.L)
    for v in unroll(0, QUERIES, S.L):
        if v < rows:
            sum = load(total + v, W)
            found = load(top + v, W) + S.LOG([sum])[0]
            store_masked(to + v, select(sum == 0.0, sum, found), first_lanes(rows - v, S.L))


@native
def forward(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Program step: blocks of queries [begin, end), ``entry * blocks + block``."""
    T, L = S.T, S.L
    packed, scores = local(T, QUERIES * S.ROOM), local(T, QUERIES * S.KEYS)
    top, total, scales = local(T, QUERIES), local(T, QUERIES), local(T, 2 * QUERIES)
    moves = local(i64, len(OPERANDS))
    width, query_row, key_row = params[at.width], params[at.query_row], params[at.key_row]
    factor = T(bitcast(params[at.factor], f64))
    for item in range(begin, end, unroll=None):
        entry = item // params[at.blocks]
        block = item - entry * params[at.blocks]
        if S.CAUSAL:  # the most work first
            block = params[at.blocks] - 1 - block
        offsets(params, entry, moves)
        i0 = block * QUERIES
        rows = min(params[at.length] - i0, i64(QUERIES))
        q = place(S, frame, params, moves, at.query, "query") + i0 * query_row
        key = place(S, frame, params, moves, at.key, "key")
        value = place(S, frame, params, moves, at.value, "value")
        output = place(S, frame, params, moves, at.output, "output") + i0 * params[at.output_row]
        mask = place(S, frame, params, moves, at.mask, "mask")
        if rows > FEW:
            pack_turned(S, q, query_row, rows, width, packed, factor)
        clear(S, top, total, scales)
        count = params[at.source]
        if S.CAUSAL:
            count = min(count, i0 + rows)
        for first in range(0, count, S.KEYS, unroll=None):
            keys = min(count - first, i64(S.KEYS))
            if rows > FEW:
                score_block(
                    S, params, key, key_row, packed, scores, width, first, i0, keys, (rows + L - 1) // L
                )
            else:
                here = key + first * key_row
                few_scores(S, q, query_row, rows, here, key_row, keys, width, scores, factor)
            softmax_block(S, params, scores, mask, first, i0, keys, top, total, scales)
            if first + keys == count:
                invert(S, total, scales)
            value_block(S, params, scores, value, output, first, i0, rows, keys, scales)
        keep_sums(S, place(S, frame, params, moves, at.sums, "sums") + i0, top, total, rows)


# -- backwards -----------------------------------------------------------------------------------------------


@native
def weigh(S, scores, slopes, mask, mask_row, j, lanes, sums, along, scale):
    """The weight of a score, and the gradient of that score from the gradient of the weight."""
    W = vec(S.T, S.L)
    x = masked_scores(S, load(scores, W), mask, mask_row, j, lanes)
    weight = power(S, x - sums)
    return weight, weight * (load(slopes, W) - along) * scale


@native
def slope_block(S, params, scores, slopes, mask, first, i0, rows, keys, sums, along):
    """Scores become weights, gradients of weights become gradients of scores."""
    T, L = S.T, S.L
    W = vec(T, L)
    zero = splat(T(0.0), L)
    scale = splat(T(bitcast(params[at.scale], f64)), L)
    mask_row = params[at.mask_row]
    for v in range(0, rows, L, unroll=None):
        plain, some = reach(S, first, i0 + v, keys)
        lanes = first_lanes(rows - v, L)
        here = mask + (i0 + v) if S.MASK == 1 else mask
        x, y = scores + v, slopes + v
        less, mean = load(sums + v, W), load(along + v, W)
        for j in range(0, plain, unroll=2):
            weight, slope = weigh(S, x + j * QUERIES, y + j * QUERIES, here, mask_row, first + j, lanes, less, mean,
                                  scale)  # fmt: skip
            store(x + j * QUERIES, weight)
            store(y + j * QUERIES, slope)
        for j in range(plain, some, unroll=None):
            weight, slope = weigh(S, x + j * QUERIES, y + j * QUERIES, here, mask_row, first + j, lanes, less, mean,
                                  scale)  # fmt: skip
            store(x + j * QUERIES, seen(S, weight, first + j, i0 + v, zero))
            store(y + j * QUERIES, seen(S, slope, first + j, i0 + v, zero))
        for j in range(some, keys, unroll=None):
            store(x + j * QUERIES, zero)
            store(y + j * QUERIES, zero)


@native
def clear_unseen(S, params, to_key, to_value):
    """Gradients of the keys and values after the last query, which no query sees."""
    length = params[at.length]
    to_key, to_value = to_key + length * params[at.to_key_row], to_value + length * params[at.to_value_row]
    for _ in range(length, params[at.source], unroll=None):
        fill_bytes(to_key, 0, params[at.width] * S.T.bytes)
        fill_bytes(to_value, 0, params[at.value_width] * S.T.bytes)
        to_key, to_value = to_key + params[at.to_key_row], to_value + params[at.to_value_row]


@native
def add_to_keys(S, params, scores, slopes, q, gradient, to_key, to_value, first, i0, rows, keys, started):
    """Shares of a block of queries in the gradients of keys and values."""
    query_row, gradient_row = params[at.query_row], params[at.gradient_row]
    to_key_row, to_value_row = params[at.to_key_row], params[at.to_value_row]
    known = keys if started else i64(0)  # keys whose gradients have been begun
    if S.CAUSAL:
        known = max(known, bound(i0 - first, i64(0), keys))
    elif i0 > 0:
        known = keys
    j = i64(0)
    while j < keys:
        add = i64(j < known)
        tile, choice = rows_of_tile(S, select(j < known, known, keys) - j)
        skip = bound(first + j - i0, i64(0), rows) if S.CAUSAL else i64(0)
        a = j * QUERIES + skip
        multiply_part(S, params, choice, scores + a, i64(QUERIES), i64(1), gradient + skip * gradient_row, gradient_row,
                      to_value + (first + j) * to_value_row, to_value_row, rows - skip, params[at.value_width], add)  # fmt: skip
        multiply_part(S, params, choice, slopes + a, i64(QUERIES), i64(1), q + skip * query_row, query_row,
                      to_key + (first + j) * to_key_row, to_key_row, rows - skip, params[at.width], add)  # fmt: skip
        j += tile


@native
def add_to_queries(S, params, slopes, key, to_query, first, i0, rows, keys):
    """Share of a block of keys in the gradient of queries."""
    key_row, to_query_row = params[at.key_row], params[at.to_query_row]
    i = i64(0)
    while i < rows:
        tile, choice = rows_of_tile(S, rows - i)
        k = keys
        if S.CAUSAL:
            k = bound(i0 + i + tile - first, i64(0), keys)
        if k > 0:
            multiply_part(S, params, choice, slopes + i, i64(1), i64(QUERIES), key + first * key_row, key_row,
                          to_query + i * to_query_row, to_query_row, k, params[at.width], i64(first != 0))  # fmt: skip
        i += tile


@native
def backward(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Program step: heads of keys [begin, end), each with the `group` heads of queries that share it."""
    T, L = S.T, S.L
    packed, turned = local(T, QUERIES * S.ROOM), local(T, QUERIES * S.ROOM)
    scores, slopes = local(T, QUERIES * S.KEYS), local(T, QUERIES * S.KEYS)
    sums, along = local(T, QUERIES), local(T, QUERIES)
    moves = local(i64, len(OPERANDS))
    length, group = params[at.length], params[at.group]
    width, value_width = params[at.width], params[at.value_width]
    query_row, key_row, value_row = params[at.query_row], params[at.key_row], params[at.value_row]
    gradient_row, output_row = params[at.gradient_row], params[at.output_row]
    factor = T(bitcast(params[at.factor], f64))
    for item in range(begin * group, end * group, unroll=None):
        offsets(params, item, moves)
        key = place(S, frame, params, moves, at.key, "key")
        value = place(S, frame, params, moves, at.value, "value")
        mask = place(S, frame, params, moves, at.mask, "mask")
        to_key = place(S, frame, params, moves, at.to_key, "to_key")
        to_value = place(S, frame, params, moves, at.to_value, "to_value")
        if S.CAUSAL:
            clear_unseen(S, params, to_key, to_value)
        for i0 in range(0, length, QUERIES, unroll=None):
            rows = min(length - i0, i64(QUERIES))
            registers = (rows + L - 1) // L
            q = place(S, frame, params, moves, at.query, "query") + i0 * query_row
            gradient = place(S, frame, params, moves, at.gradient, "gradient") + i0 * gradient_row
            output = place(S, frame, params, moves, at.output, "output") + i0 * output_row
            to_query = place(S, frame, params, moves, at.to_query, "to_query") + i0 * params[at.to_query_row]
            pack_turned(S, q, query_row, rows, width, packed, factor)
            pack_turned(S, gradient, gradient_row, rows, value_width, turned, T(1.0))
            row_products(S, gradient, gradient_row, output, output_row, rows, value_width, along)
            read_sums(S, place(S, frame, params, moves, at.sums, "sums") + i0, sums, rows)
            count = params[at.source]
            if S.CAUSAL:
                count = min(count, i0 + rows)
            for first in range(0, count, S.KEYS, unroll=None):
                keys = min(count - first, i64(S.KEYS))
                score_block(S, params, key, key_row, packed, scores, width, first, i0, keys, registers)
                score_block(
                    S, params, value, value_row, turned, slopes, value_width, first, i0, keys, registers
                )
                slope_block(S, params, scores, slopes, mask, first, i0, rows, keys, sums, along)
                started = item % group != 0
                add_to_keys(S, params, scores, slopes, q, gradient, to_key, to_value, first, i0, rows, keys,
                            started)  # fmt: skip
                add_to_queries(S, params, slopes, key, to_query, first, i0, rows, keys)


@native
def read_sums(S, source, to, rows):
    for v in unroll(0, QUERIES, S.L):
        if v < rows:
            store(to + v, load_masked(source + v, vec(S.T, S.L), first_lanes(rows - v, S.L)))
