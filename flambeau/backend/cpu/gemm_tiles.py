"""The heart of the matrix product: register tiles, and the loop over the tiles of one block of the result.

A tile keeps ``rows x 2`` vectors of the result in registers while it walks along k: each step loads two
vectors of b and multiplies them by one broadcast element of a per row. Strides of a and the step of b are
run-time values, so one tile serves a transposed a and packed operands. The last columns are masked.

`multiply` is a program step. One item is one block of the result: it goes through k in slices that fit the
first-level cache, through rows in tiles, through columns in panels of two vectors. The sum over k runs in the
same order for every way to cut the result into blocks, so neither threads nor block sizes change a bit of it.
"""

from __future__ import annotations

import platform
from types import SimpleNamespace

from .conv_lanes import first_lanes, load_masked, store_masked
from .native import (
    address_of,
    bitcast,
    call_pointer,
    independent,
    load,
    local,
    native,
    select,
    splat,
    static,
    store,
    unroll,
)
from .types import i8, i64, ptr, vec, void

#: words of the parameters of `multiply`, and of every step that shares its description of the product
WORDS = (
    "m", "n", "k", "a_address", "a_offset", "a_row", "a_k", "a_bytes", "b_address", "b_offset", "b_panel",
    "b_k", "raw_address", "raw_offset", "raw_row", "add", "slice", "copy", "copy_row", "copy_k", "finish",
    "block_rows", "block_columns", "row_blocks", "column_blocks", "down", "splits", "split_k", "split_a",
    "split_b", "split_raw", "c_address", "c_offset", "c_row", "c_column", "alpha_slot", "alpha", "alpha_im", "beta_slot",
    "beta", "beta_im", "dims", "operands", "wide",
)  # fmt: skip
at = SimpleNamespace(**{name: position for position, name in enumerate(WORDS)})
#: after the words: per operand that `finish` reads or writes its address slot, byte offset, row and column stride ...
READS = len(WORDS)
READ_LIMIT = 12
#: ... then the slots of the epilogue's scalars, then per batch dimension its size and each operand's stride
SCALARS = READS + 4 * READ_LIMIT
SCALAR_LIMIT = 8
BATCH = SCALARS + SCALAR_LIMIT
#: batch strides in order: a, b, raw, c, then the reads
MOVES = 4 + READ_LIMIT
#: room for a slice of one row tile of a, in bytes
COPY_BYTES = 16 * 1600
SLICE_BYTES = 1536


def tile_rows(vector_bytes: int) -> tuple[int, ...]:
    """Rows of the tiles, tallest first: what fits the registers beside two vectors of b and a broadcast."""
    wide = vector_bytes == 64 or platform.machine().lower() in ("aarch64", "arm64")
    return (14, 8, 4, 2, 1) if wide else (6, 4, 2, 1)


@static
def multiply_add(b, x, y, z):
    """x * y + z; fused for floats."""
    if b.value(x).type.kind == "float":
        return b.intrinsic("fma", x, y, z)
    return b.binary("add", b.binary("mul", x, y), z)


@native
def tile(a: ptr(T), a_row: i64, a_k: i64, b: ptr(T), b_k: i64, c: ptr(T), c_row: i64, k: i64, columns: i64,
         add: i64):  # fmt: skip
    """c[ROWS, columns] = a @ b, or += when `add` is not 0; columns <= V * L, and == when WHOLE."""
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
            for j in unroll(V):
                old = (
                    load(c + (i * c_row + j * L), W)
                    if WHOLE
                    else load_masked(c + (i * c_row + j * L), W, mask[j])
                )
                acc[i * V + j] = acc[i * V + j] + old
    for i in unroll(ROWS):
        for j in unroll(V):
            if WHOLE:
                store(c + (i * c_row + j * L), acc[i * V + j])
            else:
                store_masked(c + (i * c_row + j * L), acc[i * V + j], mask[j])


@native
def batch_moves(params: ptr(i64), item: i64, moves: ptr(i64)):
    """Element offsets of batch entry `item` for the operands a, b, raw, c, reads."""
    count = params[at.operands]
    for x in range(count, unroll=None):
        moves[x] = 0
    left = item
    dims = params[at.dims]
    row = params + BATCH
    for d in range(dims, unroll=None):
        index = left
        if d + 1 < dims:
            left = index // row[0]
            index = index - left * row[0]
        for x in range(count, unroll=None):
            moves[x] += index * row[1 + x]
        row = row + (1 + MOVES)


@native
def run_tiles(T, L, ROW_COUNTS, UNMASKED, frame, params, a, b, raw, k, i0, i1, j0, j1, add, last, buffer,
              spare, moves):  # fmt: skip
    """One slice of k of one block: all its row tiles and panels."""
    WIDTH = 2 * L
    a_row, a_k = params[at.a_row], params[at.a_k]
    b_panel, b_k = params[at.b_panel], params[at.b_k]
    raw_row = params[at.raw_row]
    copy, finish = params[at.copy], params[at.finish]
    wide = params[at.wide] != 0  # whether a tile's rows are finished over all columns of the block at once
    i = i0
    while i < i1:
        left = i1 - i
        rows = i64(1)
        two = address_of("tile_1_2")
        one = address_of("tile_1_1")
        full = address_of("full_1" if UNMASKED else "tile_1_2")
        for r in ROW_COUNTS[::-1]:
            if r > 1:
                fits = left >= r
                rows = select(fits, i64(r), rows)
                two = select(fits, address_of(f"tile_{r}_2"), two)
                one = select(fits, address_of(f"tile_{r}_1"), one)
                if UNMASKED:
                    full = select(fits, address_of(f"full_{r}"), full)
        here = a + i * a_row * params[at.a_bytes]
        tile_a, tile_row, tile_k = bitcast(here, ptr(T)), a_row, a_k
        if copy != 0:
            call_pointer(bitcast(copy, ptr(i8)), void, here, a_row, a_k, rows, k, buffer, params[at.copy_row])
            tile_a, tile_row, tile_k = buffer, params[at.copy_row], params[at.copy_k]
        j = j0
        while j < j1:
            columns = min(j1 - j, i64(WIDTH))
            to, to_row = raw + (i * raw_row + j), raw_row
            if raw_row == 0:
                to, to_row = spare, i64(WIDTH)
            fn = select(columns > L, two, one)
            if UNMASKED:
                fn = select(columns == WIDTH, full, fn)
            panel = b + (j // WIDTH) * b_panel
            call_pointer(fn, void, tile_a, tile_row, tile_k, panel, b_k, to, to_row, k, columns, add)
            if last and finish != 0 and not wide:
                done = bitcast(finish, ptr(i8))
                call_pointer(done, void, frame, params, to, to_row, i, j, rows, columns, moves)
            j += WIDTH
        if last and finish != 0 and wide:
            done, to = bitcast(finish, ptr(i8)), raw + (i * raw_row + j0)
            call_pointer(done, void, frame, params, to, raw_row, i, j0, rows, j1 - j0, moves)
        i += rows


@native
def locate(params: ptr(i64), item: i64, moves: ptr(i64)):
    """The block of item: first and last row, first and last column, its piece of k; `moves` gets offsets."""
    column_blocks, row_blocks, splits = params[at.column_blocks], params[at.row_blocks], params[at.splits]
    rest, jb, ib, split = item, i64(0), i64(0), i64(0)
    down = params[at.down] != 0
    if down:
        ib = item % row_blocks
        rest = item // row_blocks
    if column_blocks > 1:
        jb = rest % column_blocks
        rest = rest // column_blocks
    if row_blocks > 1 and not down:
        ib = rest % row_blocks
        rest = rest // row_blocks
    if splits > 1:
        split = rest % splits
        rest = rest // splits
    batch_moves(params, rest, moves)
    moves[0] += split * params[at.split_a]
    moves[1] += split * params[at.split_b]
    moves[2] += split * params[at.split_raw]
    i0, j0 = ib * params[at.block_rows], jb * params[at.block_columns]
    i1, j1 = min(i0 + params[at.block_rows], params[at.m]), min(j0 + params[at.block_columns], params[at.n])
    return i0, i1, j0, j1, min(params[at.k] - split * params[at.split_k], params[at.split_k])


@native
def multiply(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Program step: the blocks [begin, end) of a (batched) product."""
    buffer = local(T, COPY_BYTES // T.bytes)
    spare = local(T, ROW_COUNTS[0] * 2 * L)
    moves = local(i64, MOVES)
    a_bytes = params[at.a_bytes]
    a_base = frame[params[at.a_address]] + params[at.a_offset]
    b_base = bitcast(frame[params[at.b_address]] + params[at.b_offset], ptr(T))
    raw_base = bitcast(frame[params[at.raw_address]] + params[at.raw_offset], ptr(T))
    for item in range(begin, end, unroll=None):
        i0, i1, j0, j1, k = locate(params, item, moves)
        a, b, raw = a_base + moves[0] * a_bytes, b_base + moves[1], raw_base + moves[2]
        p = i64(0)
        go_on = True
        while go_on:  # once even where k is 0: the sum of nothing is stored too
            count = min(k - p, params[at.slice])
            last = p + count >= k
            add = params[at.add] if p == 0 else i64(1)
            from_a, from_b = a + p * params[at.a_k] * a_bytes, b + p * params[at.b_k]
            run_tiles(T, L, ROW_COUNTS, UNMASKED, frame, params, from_a, from_b, raw, count, i0, i1, j0, j1,
                      add, last, buffer, spare, moves)  # fmt: skip
            p += count
            go_on = not last


FOLD = 1024  # elements of one row that are summed at a time


@native
def fold(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Program step after a product whose k was cut: sum the parts of rows [begin, end) in order."""
    total = local(T, FOLD)
    moves = local(i64, MOVES)
    m, n, splits, plane = params[at.m], params[at.n], params[at.splits], params[at.split_raw]
    raw = bitcast(frame[params[at.raw_address]] + params[at.raw_offset], ptr(T))
    for row in range(begin, end, unroll=None):
        batch = row // m
        i = row - batch * m
        batch_moves(params, batch, moves)
        here = raw + (moves[2] + i * params[at.raw_row])
        for j in range(0, n, FOLD, unroll=None):
            count = min(n - j, i64(FOLD))
            for c in independent(0, count):
                total[c] = here[j + c]
            for s in range(1, splits, unroll=None):
                part = here + (s * plane + j)
                for c in independent(0, count):
                    total[c] = total[c] + part[c]
            call_pointer(
                bitcast(params[at.finish], ptr(i8)),
                void,
                frame,
                params,
                total,
                i64(FOLD),
                i,
                j,
                i64(1),
                count,
                moves,
            )
