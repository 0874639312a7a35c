"""Products with few rows, where fetching b costs more than multiplying: b is read once, as it lies.

`inner_product` serves a transposed b, whose columns are consecutive in memory: vectors run along k, and a
small tile of sums is folded into single numbers at the end. `outer_product` serves one row times a b whose
rows are consecutive: the result's row stays in the first-level cache while a few rows of b at a time are
added to it.

Both are program steps with the parameters of `gemm_tiles.multiply`; b_panel is b's column stride, b_k its row
stride.
"""

from __future__ import annotations

from .conv_lanes import first_lanes, load_masked
from .gemm_tiles import MOVES, at, locate, multiply_add
from .native import bitcast, call_pointer, load, local, native, shuffle, splat, static, store, unroll
from .types import i8, i64, ptr, vec, void

#: rows, columns of a block of `inner_product`; bytes of a row that it takes at a time
INNER_ROWS, INNER_COLUMNS, INNER_BYTES = 16, 64, 4096
#: columns of a block of `outer_product` at most, and rows of b that it adds together
OUTER_COLUMNS, OUTER_ROWS = 1024, 8


@static
def sums(b, rows):
    """Vectors whose lanes are, in order, the sums of the lanes of the given vectors."""
    lanes = rows[0].type.lanes
    rows = list(rows)
    while len(rows) % lanes:
        rows.append(b.constant(0, rows[0].type))
    found = []
    for start in range(0, len(rows), lanes):
        group, half = rows[start : start + lanes], lanes // 2
        while half:
            first = [k if not k & half else lanes + k - half for k in range(lanes)]
            second = [k + half if not k & half else lanes + k for k in range(lanes)]
            group = [
                b.binary("add", shuffle.run(b, x, y, first), shuffle.run(b, x, y, second))
                for x, y in zip(group[:half], group[half:])
            ]
            half //= 2
        found.append(group[0])
    return found


@static
def part(b, vectors, begin, count):
    """`count` lanes from lane `begin` on, of vectors laid end to end; they must lie in one vector."""
    lanes = vectors[0].type.lanes
    x = vectors[begin // lanes]
    return shuffle.run(b, x, x, [begin % lanes + k for k in range(count)])


@native
def inner_tile(M, T, L, R, C, a, a_row, rows, b, b_row, columns, k, total, total_row):
    """Add R x C sums over k to `total`; rows and columns beyond the given numbers repeat the last one."""
    W = vec(T, L)
    acc = local(W, R * C)
    for x in unroll(R * C):
        acc[x] = splat(T(0), L)
    from_a = [a + min(i64(i), rows - 1) * a_row for i in unroll(R)]
    from_b = [b + min(i64(j), columns - 1) * b_row for j in unroll(C)]
    whole = k - k % L
    for p in range(0, whole, L, unroll=None):
        y = [W(load(from_b[j] + p, vec(M, L))) for j in unroll(C)]
        for i in unroll(R):
            x = W(load(from_a[i] + p, vec(M, L)))
            for j in unroll(C):
                acc[i * C + j] = multiply_add(x, y[j], acc[i * C + j])
    if whole < k:
        mask = first_lanes(k - whole, L)
        y = [W(load_masked(from_b[j] + whole, vec(M, L), mask)) for j in unroll(C)]
        for i in unroll(R):
            x = W(load_masked(from_a[i] + whole, vec(M, L), mask))
            for j in unroll(C):
                acc[i * C + j] = multiply_add(x, y[j], acc[i * C + j])
    found = sums([acc[x] for x in unroll(R * C)])
    WIDE = min(L, C)
    for x in unroll(0, R * C, WIDE):
        to = total + ((x // C) * total_row + x % C)
        store(to, load(to, vec(T, WIDE)) + part(found, x, WIDE))


@native
def give(T, frame, params, total, total_row, raw, i0, i1, j0, j1, moves):
    """Pass on a block of sums: finish it, or keep it as one part of a product whose k was cut."""
    if params[at.finish] != 0:
        finish = bitcast(params[at.finish], ptr(i8))
        call_pointer(finish, void, frame, params, total, i64(total_row), i0, j0, i1 - i0, j1 - j0, moves)
    else:
        for i in range(i1 - i0, unroll=None):
            to = raw + ((i0 + i) * params[at.raw_row] + j0)
            for j in range(j1 - j0, unroll=None):
                to[j] = total[i * total_row + j]


@native
def inner_product(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Program step: blocks of the product where k is consecutive in a and in b."""
    ROOM = INNER_COLUMNS + 8
    SLICE = INNER_BYTES // T.bytes
    gathered = local(M, INNER_ROWS * SLICE)
    total = local(T, (INNER_ROWS + 4) * ROOM)
    moves = local(i64, MOVES)
    a_base = bitcast(frame[params[at.a_address]] + params[at.a_offset], ptr(M))
    b_base = bitcast(frame[params[at.b_address]] + params[at.b_offset], ptr(M))
    raw = bitcast(frame[params[at.raw_address]] + params[at.raw_offset], ptr(T))
    a_k, b_row = params[at.a_k], params[at.b_panel]
    for item in range(begin, end, unroll=None):
        i0, i1, j0, j1, k = locate(params, item, moves)
        rows, columns = i1 - i0, j1 - j0
        a_row = params[at.a_row]
        a, b = a_base + (moves[0] + i0 * a_row), b_base + (moves[1] + j0 * b_row)
        for x in range(0, rows * ROOM, L, unroll=None):
            store(total + x, splat(T(0), L))
        for p in range(0, k, SLICE, unroll=None):
            count = min(k - p, i64(SLICE))
            from_a, step = a + p * a_k, a_row
            if a_k != 1:
                for i in range(rows, unroll=None):
                    for q in range(count, unroll=None):
                        gathered[i * SLICE + q] = from_a[i * a_row + q * a_k]
                from_a, step = gathered, i64(SLICE)
            if rows == 1:
                for j in range(0, columns, 8, unroll=None):
                    here = b + (j * b_row + p)
                    inner_tile(
                        M, T, L, 1, 8, from_a, step, rows, here, b_row, columns - j, count, total + j, ROOM
                    )
            else:
                for j in range(0, columns, C, unroll=None):
                    here = b + (j * b_row + p)
                    for i in range(0, rows, R, unroll=None):
                        inner_tile(M, T, L, R, C, from_a + i * step, step, rows - i, here, b_row, columns - j,
                                   count, total + (i * ROOM + j), ROOM)  # fmt: skip
        give(T, frame, params, total, ROOM, raw + moves[2], i0, i1, j0, j1, moves)


@native
def outer_rows(M, T, L, COUNT, a, a_k, b, b_k, columns, total):
    """total[columns] += the sum of COUNT rows of b, each times its element of a."""
    W = vec(T, L)
    x = [splat(T(a[q * a_k]), L) for q in unroll(COUNT)]
    from_b = [b + q * b_k for q in unroll(COUNT)]
    whole = columns - columns % L
    for c in range(0, whole, L, unroll=None):
        y = load(total + c, W)
        for q in unroll(COUNT):
            y = multiply_add(x[q], W(load(from_b[q] + c, vec(M, L))), y)
        store(total + c, y)
    if whole < columns:
        mask = first_lanes(columns - whole, L)
        y = load(total + whole, W)
        for q in unroll(COUNT):
            y = multiply_add(x[q], W(load_masked(from_b[q] + whole, vec(M, L), mask)), y)
        store(total + whole, y)


@native
def outer_product(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Program step: pieces of one row times b, where the columns of b are consecutive."""
    total = local(T, OUTER_COLUMNS + 64)
    moves = local(i64, MOVES)
    a_base = bitcast(frame[params[at.a_address]] + params[at.a_offset], ptr(M))
    b_base = bitcast(frame[params[at.b_address]] + params[at.b_offset], ptr(M))
    raw = bitcast(frame[params[at.raw_address]] + params[at.raw_offset], ptr(T))
    a_k, b_k = params[at.a_k], params[at.b_k]
    for item in range(begin, end, unroll=None):
        i0, i1, j0, j1, k = locate(params, item, moves)
        columns = j1 - j0
        a, b = a_base + (moves[0] + i0 * params[at.a_row]), b_base + (moves[1] + j0)
        for c in range(0, columns, L, unroll=None):
            store(total + c, splat(T(0), L))
        whole = k - k % OUTER_ROWS
        for p in range(0, whole, OUTER_ROWS, unroll=None):
            outer_rows(M, T, L, OUTER_ROWS, a + p * a_k, a_k, b + p * b_k, b_k, columns, total)
        for p in range(whole, k, unroll=None):
            outer_rows(M, T, L, 1, a + p * a_k, a_k, b + p * b_k, b_k, columns, total)
        give(T, frame, params, total, OUTER_COLUMNS, raw + moves[2], i0, i1, j0, j1, moves)
