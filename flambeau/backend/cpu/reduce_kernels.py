"""The kernels of reductions: rows (reduced elements are neighbours), columns (kept ones are), the final step.

A state is a tuple of components, such as (value, index) or (count, mean, squares). Each kernel keeps a fixed
number of partial states in vector lanes, over pieces whose bounds depend on the sizes only, so the result
does not depend on the number of threads, and rounding errors grow with the length of a piece, not of the
whole.

`R` is the template (see `Template`).

Parameters: frame words of the input, the outputs, the partial states, the scalars; then the geometry. A table
of dimensions has three words each, from the innermost: size, and two strides.

Where a template has a part `before`, the input is not in memory: a loop makes it, some elements at a time, in a buffer
that stays in the first-level cache. The words of that loop's operands and scalars stand before the geometry, and a table
has a further stride for each operand.
"""

from __future__ import annotations

from dataclasses import dataclass

from .builder import Value
from .conv_lanes import first_lanes, load_masked
from .emit import ScalarFunction
from .gemm_finish import load_lanes, spread, store_lanes
from .native import bitcast, independent, load, local, native, select, shuffle, static, store, unroll
from .types import BY_CODE, Type, f32, f64, i64, ptr, vec

WORD = ptr(i64)
PART_TYPES = {"c64": f32, "c128": f64}


@dataclass(frozen=True, slots=True)
class Before:
    """A loop that makes the input of a reduction. Operands are (type, stride 0 or 1 between neighbours)."""

    function: ScalarFunction  # gives the element, then those that are written besides
    reads: tuple[tuple[Type, int], ...]
    writes: tuple[tuple[Type, int], ...]
    codes: tuple[str, ...]  # of the scalars
    lanes: int
    room: int  # elements that are made at a time: a multiple of what the reduction takes at once

    @property
    def operands(self) -> tuple[tuple[Type, int], ...]:
        return self.reads + self.writes

    @property
    def words(self) -> int:
        return len(self.operands) + len(self.codes)

    def __repr__(self) -> str:
        plain = (self.reads, self.writes, self.codes, self.lanes, self.room)
        return repr((self.function.fingerprint(), plain))


@dataclass(frozen=True, slots=True)
class Template:
    """What is compiled into the kernels of one reduction."""

    memory: Type  # an element of the input in memory
    parts: int  # 2 for complex elements
    lanes: int
    log_lanes: int
    flight: int  # vectors in flight
    types: tuple[Type, ...]  # of the state's components
    identity: tuple
    map: ScalarFunction
    combine: ScalarFunction
    finish: ScalarFunction
    indexed: bool  # whether `map` takes the position
    outs: tuple[tuple[Type, int], ...]  # type and parts of the outputs
    codes: tuple[str, ...]  # of the scalars
    head: int  # parameters before the geometry
    width: int  # columns that a block may have
    before: Before | None = None

    @property
    def further(self) -> int:
        """Words of the loop before."""
        return self.before.words if self.before else 0

    @property
    def operands(self) -> int:
        """Operands of the loop before."""
        return len(self.before.operands) if self.before else 0

    def __repr__(self) -> str:
        functions = [f.fingerprint() for f in (self.map, self.combine, self.finish)]
        plain = (self.memory, self.parts, self.lanes, self.flight, self.types, self.identity, self.indexed, self.outs,
                 self.codes, self.head, self.width)  # fmt: skip
        return repr((functions, plain, self.before) if self.before else (functions, plain))


@static
def numbers_of(b, frame, params, at, codes):
    """The call's scalars as values; `at` is the place of the first one's frame word."""
    found = []
    for k, code in enumerate(codes):
        slot = b.load(b.offset(params, at + k))
        word = b.load(b.offset(frame, slot))
        if code in PART_TYPES:
            more = b.load(b.offset(frame, b.binary("add", slot, 1)))
            found += [b.convert(b.bitcast(w, f64), PART_TYPES[code]) for w in (word, more)]
        else:
            t = BY_CODE[code].register
            found.append(b.convert(b.bitcast(word, f64), t) if t.kind == "float" else b.convert(word, t))
    return found


@static
def iota(b, lanes):
    """The vector 0, 1, 2, ..."""
    return Value(vec(i64, lanes), "<" + ", ".join(f"i64 {k}" for k in range(lanes)) + ">")


@native
def lanes_at(R, p, rest, masked):
    """L elements from p on, a vector a part; where `masked`, only the first `rest` are read."""
    if R.parts == 1:
        if masked:
            return [load_masked(p, vec(R.memory, R.lanes), first_lanes(rest, R.lanes))]
        return [load(p, vec(R.memory, R.lanes))]
    if masked:
        PAIRS = load_masked(p, vec(R.memory, 2 * R.lanes), first_lanes(rest * 2, 2 * R.lanes))
        return [shuffle(PAIRS, PAIRS, [2 * J + K for J in range(R.lanes)]) for K in range(2)]
    PAIRS = load(p, vec(R.memory, 2 * R.lanes))
    return [shuffle(PAIRS, PAIRS, [2 * J + K for J in range(R.lanes)]) for K in range(2)]


@native
def place(W, table, n, index):
    """The two offsets of a flat index into the dimensions of a table with W words each."""
    first = i64(0)
    second = i64(0)
    rest = index
    last = n - 1
    for d in range(last, unroll=None):
        quotient = rest // table[W * d]
        at = rest - quotient * table[W * d]
        first += at * table[W * d + 1]
        second += at * table[W * d + 2]
        rest = quotient
    if n > 0:
        first += rest * table[W * last + 1]
        second += rest * table[W * last + 2]
    return first, second


# -- the loop before -----------------------------------------------------------------------------------------


@native
def places_of(R, frame, params):
    """Addresses of the operands of the loop before; no list where there is none."""
    return [
        bitcast(frame[params[R.head - R.further + k]], ptr(R.before.operands[k][0]))
        for k in range(R.operands)
    ]


@native
def numbers_before(R, frame, params):
    if R.before is None:
        return []
    return numbers_of(frame, params, R.head - len(R.before.codes), R.before.codes)


@native
def moved(R, PLACES, table, n, index):
    """The operands' addresses at a flat index into the dimensions of a table."""
    HERE = PLACES
    if R.operands > 0:
        moves = local(i64, R.operands)
        for K in unroll(R.operands):
            moves[K] = 0
        rest = index
        for d in range(n, unroll=None):
            row = table + (3 + R.operands) * d
            at = rest
            if d + 1 < n:
                rest = rest // row[0]
                at = at - rest * row[0]
            for K in unroll(R.operands):
                moves[K] = moves[K] + at * row[3 + K]
        HERE = [PLACES[K] + moves[K] for K in range(R.operands)]
    return HERE


@native
def make(R, buffer, PLACES, begin, count, numbers):
    """Make the elements [begin, begin + count) of a row in the buffer, which has room for a vector more."""
    B = R.before
    whole = count - count % B.lanes
    for MASKED in unroll(2):  # whole vectors, then the rest
        for c in range(whole * MASKED, count if MASKED else whole, B.lanes, unroll=None):
            MASK = first_lanes(count - c, B.lanes) if MASKED else True
            found = [
                load_lanes(PLACES[k] + (begin + c), vec(B.reads[k][0], B.lanes), MASK)
                if B.reads[k][1]
                else load(PLACES[k])
                for k in range(len(B.reads))
            ]
            MADE = B.function(found, numbers)
            store(buffer + c, spread(MADE[0], B.lanes))  # whole: what is read at once must be stored at once
            for K in unroll(len(B.writes)):
                TO = PLACES[len(B.reads) + K] + (begin + c)
                store_lanes(TO, spread(MADE[1 + K], B.lanes), MASK)


@native
def run_made(R, states, buffer, PLACES, begin, length, index, step, numbers, further):
    """`run` over elements that the loop before makes."""
    for c in range(0, length, R.before.room, unroll=None):
        count = min(length - c, i64(R.before.room))
        make(R, buffer, PLACES, begin + c, count, further)
        run(R, states, buffer, count, index + c * step, step, numbers)


@native
def write_result(R, frame, params, state, count, numbers, at):
    """Finish one state and store it at element `at` of the outputs."""
    RESULTS = R.finish(state + [count], numbers)
    NEXT = 0
    for K in unroll(len(R.outs)):
        WIDE = R.outs[K][1]
        OUT = bitcast(frame[params[1 + K]], ptr(R.outs[K][0]))
        for J in unroll(WIDE):
            OUT[at * WIDE + J] = RESULTS[NEXT + J]
        NEXT = NEXT + WIDE


@native
def write_partial(R, frame, params, state, at):
    for K in unroll(len(R.types)):
        PARTIAL = bitcast(frame[params[1 + len(R.outs) + K]], ptr(R.types[K]))
        PARTIAL[at] = state[K]


# -- rows ----------------------------------------------------------------------------------------------------


@native
def accumulate(R, states, K, inputs, numbers, rest, masked):
    """Combine one vector of elements into the K-th state of each lane."""
    OLD = [s[K] for s in states]
    NEW = R.combine(OLD + [spread(x, R.lanes) for x in R.map(inputs, numbers)])
    for J in unroll(len(R.types)):
        if masked:
            states[J][K] = select(first_lanes(rest, R.lanes), spread(NEW[J], R.lanes), OLD[J])
        else:
            states[J][K] = spread(NEW[J], R.lanes)


@native
def position(R, index, step):
    if R.indexed:
        return [spread(index, R.lanes) + iota(R.lanes) * step]
    return []


@native
def run(R, states, p, length, index, step, numbers):
    """Combine `length` neighbours from p on; `index` is the first one's position, `step` goes between."""
    whole = length - length % (R.lanes * R.flight)
    for i in range(0, whole, R.lanes * R.flight, unroll=None):
        for K in unroll(R.flight):
            at = i + K * R.lanes
            accumulate(
                R,
                states,
                K,
                lanes_at(R, p + at * R.parts, 0, False) + position(R, index + at * step, step),
                numbers,
                0,
                False,
            )
    full = length - length % R.lanes
    for i in range(whole, full, R.lanes, unroll=None):
        accumulate(
            R,
            states,
            0,
            lanes_at(R, p + i * R.parts, 0, False) + position(R, index + i * step, step),
            numbers,
            0,
            False,
        )
    rest = length - full
    if rest > 0:
        tail = lanes_at(R, p + full * R.parts, rest, True) + position(R, index + full * step, step)
        accumulate(R, states, 0, tail, numbers, rest, True)


@native
def fold(R, states):
    """All lanes of all vectors combined into one state."""
    STATE = [s[0] for s in states]
    for K in unroll(1, R.flight):
        STATE = list(R.combine(STATE + [s[K] for s in states]))
    return fold_lanes(R, STATE)


@native
def fold_lanes(R, STATE):
    """The lanes of a vector of states combined into one, by halves."""
    for K in unroll(R.log_lanes):
        WIDE = R.lanes >> (K + 1)
        LOW = [shuffle(x, x, [J for J in range(WIDE)]) for x in STATE]
        HIGH = [shuffle(x, x, [WIDE + J for J in range(WIDE)]) for x in STATE]
        STATE = list(R.combine(LOW + HIGH))
    return [x[0] for x in STATE]


@native
def short_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Rows that fit into one vector. Geometry: count, stride between rows."""
    source = bitcast(frame[params[0]], ptr(R.memory))
    numbers = numbers_of(frame, params, R.head - R.further - len(R.codes), R.codes)
    g = params + R.head
    count, stride = g[0], g[1]
    if R.before is not None:
        further = numbers_before(R, frame, params)
        PLACES = places_of(R, frame, params)
        buffer = local(R.memory, R.before.room + 64)
    ready = begin  # rows that are made so far
    made = begin
    FIRST = [spread(R.types[J](R.identity[J]), R.lanes) for J in range(len(R.types))]
    for row in range(begin, end):
        MASK = first_lanes(count, R.lanes)
        if R.before is not None:
            if row == ready:  # these rows lie end to end
                made = row
                ready = min(end, row + i64(R.before.room) // count)
                make(R, buffer, PLACES, row * count, (ready - row) * count, further)
            HERE = buffer + (row - made) * count
        else:
            HERE = source + row * stride * R.parts
        found = lanes_at(R, HERE, count, True) + position(R, i64(0), i64(1))
        STATE = [spread(x, R.lanes) for x in R.map(found, numbers)]
        STATE = [select(MASK, STATE[J], FIRST[J]) for J in range(len(R.types))]
        write_result(R, frame, params, fold_lanes(R, STATE), count, numbers, row)


@native
def rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Geometry: count, pieces, inner length, inner index step, inner pieces, inner piece, outer group, outer
    total, kept dimensions, outer reduced dimensions, kept total where pieces come first (else 0); the tables
    (input stride, output stride) and (input stride, index stride).
    """
    source = bitcast(frame[params[0]], ptr(R.memory))
    numbers = numbers_of(frame, params, R.head - R.further - len(R.codes), R.codes)
    g = params + R.head
    count, pieces, length, step = g[0], g[1], g[2], g[3]
    n_kept, n_outer = g[8], g[9]
    kept_table = g + 11
    outer_table = kept_table + (3 + R.operands) * n_kept
    if R.before is not None:
        further = numbers_before(R, frame, params)
        PLACES = places_of(R, frame, params)
        buffer = local(R.memory, R.before.room + 64)
    states = [local(vec(T, R.lanes), R.flight) for T in R.types]
    for item in range(begin, end, unroll=None):
        for K in unroll(R.flight):
            for J in unroll(len(R.types)):
                states[J][K] = spread(R.types[J](R.identity[J]), R.lanes)
        kept = item
        first = i64(0)
        last = g[7]
        left = i64(0)
        size = length
        if pieces != 1:
            piece = i64(0)
            if g[10] == 0:
                kept = item // pieces
                piece = item - kept * pieces
            else:
                piece = item // g[10]
                kept = item - piece * g[10]
            if g[4] == 1:
                first = piece * g[6]
                last = min(first + g[6], last)
            else:
                first = piece // g[4]
                last = first + 1
                left = (piece - first * g[4]) * g[5]
                size = min(g[5], length - left)
        start, target = place(3 + R.operands, kept_table, n_kept, kept)
        if R.before is not None:
            STARTS = moved(R, PLACES, kept_table, n_kept, kept)
        for o in range(first, last, unroll=None):
            move, index = place(3 + R.operands, outer_table, n_outer, o)
            if R.before is None:
                p = source + (start + move + left) * R.parts
                run(R, states, p, size, index + left * step, step, numbers)
            else:
                HERE = moved(R, STARTS, outer_table, n_outer, o)
                run_made(R, states, buffer, HERE, left, size, index + left * step, step, numbers, further)
        state = fold(R, states)
        if pieces == 1:
            write_result(R, frame, params, state, count, numbers, target)
        else:
            write_partial(R, frame, params, state, item)


# -- columns -------------------------------------------------------------------------------------------------


@native
def add_rows(R, states, c, inputs, numbers, rest, masked):
    """Combine vectors of several rows (1, 2 or 4) into the states of columns c, c + 1, ... as a tree."""
    NEW = [[spread(x, R.lanes) for x in R.map(ONE, numbers)] for ONE in inputs]
    for _K in unroll(2):
        if len(NEW) > 1:
            NEW = [list(R.combine(NEW[2 * J] + NEW[2 * J + 1])) for J in range(len(NEW) // 2)]
    OLD = [load(states[J] + c, vec(R.types[J], R.lanes)) for J in range(len(R.types))]
    FOUND = R.combine(OLD + NEW[0])
    for J in unroll(len(R.types)):
        if masked:
            store(states[J] + c, select(first_lanes(rest, R.lanes), spread(FOUND[J], R.lanes), OLD[J]))
        else:
            store(states[J] + c, spread(FOUND[J], R.lanes))


@native
def row_group(R, states, sources, indices, width, numbers):
    """Combine `width` elements of each of a few rows into the states of a block of columns."""
    INDEX = [[x] if R.indexed else [] for x in indices]
    full = width - width % R.lanes
    for c in range(0, full, R.lanes, unroll=None):
        found = [lanes_at(R, sources[J] + c * R.parts, 0, False) + INDEX[J] for J in range(len(sources))]
        add_rows(R, states, c, found, numbers, 0, False)
    rest = width - full
    if rest > 0:
        found = [lanes_at(R, sources[J] + full * R.parts, rest, True) + INDEX[J] for J in range(len(sources))]
        add_rows(R, states, full, found, numbers, rest, True)


@native
def walk_rows(R, states, p, first, whole, stop, width, last_width, reduced_table, n_reduced, numbers, MADE):
    """Combine rows [first, stop) of a block of columns, four at a time; from `whole` on they are narrower.

    MADE: buffer, first column, addresses and numbers of the loop before.
    """
    W = 3 + R.operands
    r = first
    while r + 4 <= whole:
        P0, I0 = place(W, reduced_table, n_reduced, r)
        P1, I1 = place(W, reduced_table, n_reduced, r + 1)
        P2, I2 = place(W, reduced_table, n_reduced, r + 2)
        P3, I3 = place(W, reduced_table, n_reduced, r + 3)
        if R.before is None:
            SOURCES = [p + P0 * R.parts, p + P1 * R.parts, p + P2 * R.parts, p + P3 * R.parts]
        else:
            for k in range(4, unroll=None):
                HERE = moved(R, MADE[2], reduced_table, n_reduced, r + k)
                make(R, MADE[0] + k * (R.width + 64), HERE, MADE[1], width, MADE[3])
            SOURCES = [MADE[0] + K * (R.width + 64) for K in range(4)]
        row_group(R, states, SOURCES, [I0, I1, I2, I3], width, numbers)
        r += 4
    while r < stop:
        P0, I0 = place(W, reduced_table, n_reduced, r)
        wide = width if r < whole else last_width
        if R.before is None:
            row_group(R, states, [p + P0 * R.parts], [I0], wide, numbers)
        else:
            HERE = moved(R, MADE[2], reduced_table, n_reduced, r)
            make(R, MADE[0], HERE, MADE[1], wide, MADE[3])
            row_group(R, states, [MADE[0]], [I0], wide, numbers)
        r += 1


@native
def columns(frame: WORD, params: WORD, begin: i64, end: i64):
    """Geometry: count, pieces, row width, block width, blocks, rows, rows a piece, width of the last row,
    columns kept, kept total, output stride, outer kept dimensions, reduced dimensions; the tables as for
    `rows`.

    A row wider than the kept columns holds several reduced rows side by side.
    """
    source = bitcast(frame[params[0]], ptr(R.memory))
    numbers = numbers_of(frame, params, R.head - R.further - len(R.codes), R.codes)
    g = params + R.head
    count, pieces, width, block, blocks, kept = g[0], g[1], g[2], g[3], g[4], g[8]
    n_kept, n_reduced = g[11], g[12]
    kept_table = g + 13
    reduced_table = kept_table + (3 + R.operands) * n_kept
    further = []
    PLACES = []
    buffer = []
    if R.before is not None:
        further = numbers_before(R, frame, params)
        PLACES = places_of(R, frame, params)
        buffer = local(R.memory, 4 * (R.width + 64))
    states = [local(T, R.width + R.lanes) for T in R.types]
    for item in range(begin, end, unroll=None):
        outer = item // (blocks * pieces)
        rest = item - outer * (blocks * pieces)
        piece = rest // blocks
        left = (rest - piece * blocks) * block
        wide = min(block, width - left)
        for c in range(0, wide, R.lanes, unroll=None):
            for J in unroll(len(R.types)):
                store(states[J] + c, spread(R.types[J](R.identity[J]), R.lanes))
        start, target = place(3 + R.operands, kept_table, n_kept, outer)
        p = source + (start + left) * R.parts
        MADE = [buffer, left, moved(R, PLACES, kept_table, n_kept, outer), further]
        r = piece * g[6]
        stop = min(r + g[6], g[5])
        whole = stop
        if stop == g[5]:
            if g[7] != width:
                whole = stop - 1
        walk_rows(R, states, p, r, whole, stop, wide, g[7], reduced_table, n_reduced, numbers, MADE)
        if pieces * width == kept:
            for c in independent(0, wide):
                write_result(
                    R, frame, params, [s[c] for s in states], count, numbers, target + (left + c) * g[10]
                )
        else:
            for c in independent(0, wide):
                at = left + c
                side = at // kept
                write_partial(
                    R,
                    frame,
                    params,
                    [s[c] for s in states],
                    (piece * (width // kept) + side) * g[9] + outer * kept + at - side * kept,
                )


# -- the last step -------------------------------------------------------------------------------------------


@native
def final(frame: WORD, params: WORD, begin: i64, end: i64):
    """Combine the partial states of each kept place pairwise, and finish.

    Geometry: count, partial states a place, their stride, stride between places, dimensions; table (-, output
    stride).
    """
    numbers = numbers_of(frame, params, R.head - R.further - len(R.codes), R.codes)
    g = params + R.head
    count, n, along, between = g[0], g[1], g[2], g[3]
    PARTIAL = [bitcast(frame[params[1 + len(R.outs) + K]], ptr(R.types[K])) for K in range(len(R.types))]
    while n > 1:
        half = n // 2
        for i in range(0, half, unroll=None):
            for k in independent(begin, end):
                to = i * along + k * between
                a = 2 * i * along + k * between
                b = a + along
                FOUND = R.combine([s[a] for s in PARTIAL] + [s[b] for s in PARTIAL])
                for J in unroll(len(R.types)):
                    PARTIAL[J][to] = FOUND[J]
        if n % 2 == 1:
            for k in range(begin, end, unroll=-1):  # seldom, and little: left as it is, it takes LLVM no time
                for J in unroll(len(R.types)):
                    PARTIAL[J][half * along + k * between] = PARTIAL[J][(n - 1) * along + k * between]
        n = n - half
    for k in range(begin, end, unroll=-1):
        _, at = place(3, g + 5, g[4], k)
        write_result(R, frame, params, [s[k * between] for s in PARTIAL], count, numbers, at)
