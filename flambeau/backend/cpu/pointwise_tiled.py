"""The pointwise schedule for transposed operands: square tiles, transposed in registers.

Where an operand's unit stride lies along another dimension than the output's, a plain loop touches one element of a
cache line at a time. Here a tile of LANES x LANES elements is loaded in full vectors along that other dimension,
transposed by shuffles, and computed and stored row by row in full vectors. Tiles cut by an edge run element by element.

Parameters: the frame words of the operands and of the scalars; the number of outer dimensions, rows, columns; for each
operand its strides along rows and columns; for each outer dimension from the innermost: size, stride of each operand.
"""

from __future__ import annotations

from collections.abc import Sequence

from .builder import Builder, Module, Value
from .emit import nodes_of
from .native import shuffle
from .types import BY_CODE, f64, i64, ptr, vec

#: how an operand is read along a row of the output
ROW, SAME, COLUMN = "row", "same", "column"
#: a tile's side must fit this often, and a line of a transposed operand be skipped by at least so many elements
SMALLEST = 8
#: operations that emit loops or branches of their own, which have no vector form
SCALAR_ONLY = {"gcd", "ipow", "refuse"}


def plan(sizes: Sequence[int], steps: Sequence[Sequence[int]], codes: Sequence[str], n_out: int):
    """(dimension of the tile's rows, kind of each operand), or None where tiles do not fit.

    sizes and steps: as `pointwise.merge` gives them, the output's unit stride innermost.
    """
    if len(sizes) < 2 or sizes[-1] < SMALLEST or any(c in ("c64", "c128") for c in codes):
        return None
    columns = [k for k, s in enumerate(steps) if s[-1] not in (0, 1)]
    if not columns or columns[0] < n_out:
        return None
    rows = next(
        (d for d in range(len(sizes) - 1) if sizes[d] >= SMALLEST and all(steps[k][d] == 1 for k in columns)),
        None,
    )
    if (
        rows is None
        or any(steps[k][-1] < SMALLEST for k in columns)
        or any(s[-1] != 1 for s in steps[:n_out])
    ):
        return None
    return rows, tuple(COLUMN if k in columns else SAME if s[-1] == 0 else ROW for k, s in enumerate(steps))


def lanes_of(codes: Sequence[str]) -> int:
    return 8 if any(BY_CODE[c].bytes == 8 for c in codes) else 16


def parameters(sizes, steps, rows: int, lanes: int) -> tuple[list[int], int]:
    """The words after the operands and scalars, and the number of tiles."""
    outer = [d for d in range(len(sizes) - 1) if d != rows]
    words = [len(outer), sizes[rows], sizes[-1]]
    for s in steps:
        words += [s[rows], s[-1]]
    count = -(-sizes[rows] // lanes) * -(-sizes[-1] // lanes)
    for d in reversed(outer):
        words.append(sizes[d])
        words.extend(s[d] for s in steps)
        count *= sizes[d]
    return words, count


def transpose(b: Builder, rows: list[Value]) -> list[Value]:
    """Columns of a square of vectors: halves exchanged between vectors ever nearer to one another."""
    n = len(rows)
    step = n // 2
    while step:
        fresh = list(rows)
        for i in range(n):
            if i & step:
                continue
            low = [lane if not lane & step else n + lane - step for lane in range(n)]
            high = [lane + step if not lane & step else n + lane for lane in range(n)]
            fresh[i] = shuffle.run(b, rows[i], rows[i + step], low)
            fresh[i + step] = shuffle.run(b, rows[i], rows[i + step], high)
        rows = fresh
        step //= 2
    return rows


class Writer:
    """Writes one tiled kernel."""

    def __init__(self, function, codes, n_out: int, kinds, scalars, lanes: int):
        self.function, self.codes, self.n_out, self.kinds, self.lanes = function, codes, n_out, kinds, lanes
        self.types = [BY_CODE[c] for c in codes]
        self.module = Module()
        self.b = Builder(
            self.module, "kernel", [("frame", ptr(i64)), ("params", ptr(i64)), ("begin", i64), ("end", i64)]
        )
        b = self.b
        frame, params, self.begin, self.end = b.params
        n = len(codes)
        self.bases = [
            b.convert(b.load(b.offset(frame, b.load(b.offset(params, k)))), ptr(t))
            for k, t in enumerate(self.types)
        ]
        self.numbers = []
        for k, code in enumerate(scalars):
            word = b.load(b.offset(frame, b.load(b.offset(params, n + k))))
            t = BY_CODE[code].register
            self.numbers.append(
                b.convert(b.bitcast(word, f64), t) if t.kind == "float" else b.convert(word, t)
            )
        block = b.offset(params, n + len(scalars))
        self.outer, self.rows, self.columns = (b.load(b.offset(block, k)) for k in range(3))
        self.strides = [[b.load(b.offset(block, 3 + 2 * k + d)) for d in range(2)] for k in range(n)]
        self.block = b.offset(block, 3 + 2 * n)

    def text(self) -> str:
        b, lanes = self.b, self.lanes
        down = b.binary("div", b.binary("add", self.rows, lanes - 1), lanes)
        across = b.binary("div", b.binary("add", self.columns, lanes - 1), lanes)
        tiles = b.binary("mul", down, across)

        def tile(t):
            rest = b.binary("div", t, tiles)
            inside = b.binary("sub", t, b.binary("mul", rest, tiles))
            column = b.binary("div", inside, down)
            row = b.binary("sub", inside, b.binary("mul", column, down))
            self.tile(rest, b.binary("mul", row, lanes), b.binary("mul", column, lanes))

        b.loop(self.begin, self.end, 1, tile, unroll=None)
        b.finish()
        return self.module.text()

    def tile(self, outer_index, row, column) -> None:
        """One tile: its operands' places, then the fast or the careful way."""
        b, lanes = self.b, self.lanes
        places = self.places(outer_index, row, column)
        height, width = b.binary("sub", self.rows, row), b.binary("sub", self.columns, column)
        whole, cut, done = b.label("whole"), b.label("cut"), b.label("tiled")
        fits = b.binary("and", b.compare("ge", height, lanes), b.compare("ge", width, lanes))
        b.branch(fits, whole, cut)
        b.place(whole)
        self.whole(places)
        b.jump(done)
        b.place(cut)
        self.cut(places, height, width)
        b.begin(done)

    def places(self, outer_index, row, column) -> list[Value]:
        b, n = self.b, len(self.codes)
        rest = b.variable(i64)
        b.assign(rest, outer_index)
        moves = [b.variable(i64) for _ in range(n)]
        for k, (down, across) in enumerate(self.strides):
            b.assign(moves[k], b.binary("add", b.binary("mul", row, down), b.binary("mul", column, across)))

        def dimension(d):
            at = b.offset(self.block, b.binary("mul", d, 1 + n))
            size, left = b.load(at), b.value(rest)
            quotient = b.binary("div", left, size)
            index = b.binary("sub", left, b.binary("mul", quotient, size))
            b.assign(rest, quotient)
            for k in range(n):
                b.assign(
                    moves[k], b.binary("add", moves[k], b.binary("mul", index, b.load(b.offset(at, 1 + k))))
                )

        b.loop(0, self.outer, 1, dimension, unroll=None)
        return [b.offset(base, b.value(move)) for base, move in zip(self.bases, moves)]

    def whole(self, places) -> None:
        b, lanes, inputs = self.b, self.lanes, range(self.n_out, len(self.codes))
        squares = {}
        for k in inputs:
            if self.kinds[k] == COLUMN:
                t = vec(self.types[k], lanes)
                lines = [
                    b.load(b.offset(places[k], b.binary("mul", self.strides[k][1], j)), t)
                    for j in range(lanes)
                ]
                squares[k] = transpose(b, lines)
        # all loads before all stores: rows lie a page apart, where a load after a store at the same place of another
        # page waits for it
        given = [[self.row_value(k, squares, places, i) for k in inputs] for i in range(lanes)]
        for i, values in enumerate(given):
            for k, x in enumerate(self.function(b, values, self.numbers)):
                x = x if x.type.lanes else b.splat(x, lanes)
                b.store(b.offset(places[k], b.binary("mul", self.strides[k][0], i)), x)

    def row_value(self, k: int, squares, places, i: int) -> Value:
        """Row i of an input's tile."""
        b, lanes = self.b, self.lanes
        if k in squares:
            return squares[k][i]
        at = b.offset(places[k], b.binary("mul", self.strides[k][0], i))
        return b.splat(b.load(at), lanes) if self.kinds[k] == SAME else b.load(at, vec(self.types[k], lanes))

    def cut(self, places, height, width) -> None:
        b, lanes = self.b, self.lanes
        rows = b.select(b.compare("lt", height, lanes), height, lanes)
        columns = b.select(b.compare("lt", width, lanes), width, lanes)

        def element(i, j):
            here = [
                b.offset(p, b.binary("add", b.binary("mul", i, down), b.binary("mul", j, across)))
                for p, (down, across) in zip(places, self.strides)
            ]
            found = self.function(b, [b.load(p) for p in here[self.n_out :]], self.numbers)
            for p, x in zip(here, found):
                b.store(p, x)

        b.loop(0, rows, 1, lambda i: b.loop(0, columns, 1, lambda j: element(i, j)), unroll=None)


def write(function, codes, n_out, kinds, scalars, lanes) -> str:
    """The kernel's LLVM text."""
    return Writer(function, codes, n_out, kinds, scalars, lanes).text()


def vectorises(function, without=frozenset()) -> bool:
    """Whether every operation of the function has a vector form; those named in `without` count as having none."""
    found = function.facts.get(("vectorises", without))
    if found is None:
        found = function.facts["vectorises", without] = not any(
            e.op in SCALAR_ONLY or e.op in without or e.op == "div" and without and e.type[0] in "iu"
            for e in nodes_of(function.outputs)
        )
    return found
