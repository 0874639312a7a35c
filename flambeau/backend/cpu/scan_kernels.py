"""The kernels of scans (cumulative operators): along rows in vectors, long rows in pieces, columns side by side.

The template is the reductions' (see reduce_kernels); MAP, COMBINE and FINISH mean the same, every prefix is
finished.
"""

from __future__ import annotations

from .conv_lanes import first_lanes, store_masked
from .native import bitcast, load, local, native, shuffle, store, unroll
from .reduce_kernels import fold, lanes_at, numbers_of, position, run, spread
from .types import i64, ptr, vec

WORD = ptr(i64)


@native
def put_lanes(R, frame, params, state, numbers, at, rest, masked):
    """Finish a vector of states and store it at element `at` of the outputs."""
    RESULTS = [spread(x, R.lanes) for x in R.finish(state + [i64(0)], numbers)]
    NEXT = 0
    for K in unroll(len(R.outs)):
        WIDE = R.outs[K][1]
        OUT = bitcast(frame[params[1 + K]], ptr(R.outs[K][0])) + at * WIDE
        FLAT = RESULTS[NEXT]
        if WIDE == 2:
            FLAT = shuffle(FLAT, RESULTS[NEXT + 1], [J // 2 + R.lanes * (J % 2) for J in range(2 * R.lanes)])
        if masked:
            store_masked(OUT, FLAT, first_lanes(rest * WIDE, WIDE * R.lanes))
        else:
            store(OUT, FLAT)
        NEXT = NEXT + WIDE


@native
def prefixes(R, state):
    """Combine each lane with all lanes before it, in as many steps as the lanes have bits."""
    for K in unroll(R.log_lanes):
        PLACES = [R.lanes if J < (1 << K) else J - (1 << K) for J in range(R.lanes)]
        MOVED = [
            shuffle(state[J], spread(R.types[J](R.identity[J]), R.lanes), PLACES) for J in range(len(R.types))
        ]
        state = [spread(x, R.lanes) for x in R.combine(MOVED + state)]
    return state


@native
def scan_vector(R, frame, params, carry, inputs, numbers, at, rest, masked):
    """Write the prefixes of one vector of elements that follow the `carry`."""
    STATE = prefixes(R, [spread(x, R.lanes) for x in R.map(inputs, numbers)])
    STATE = [spread(x, R.lanes) for x in R.combine([c[0] for c in carry] + STATE)]
    put_lanes(R, frame, params, STATE, numbers, at, rest, masked)
    for J in unroll(len(R.types)):
        carry[J][0] = spread(STATE[J][R.lanes - 1], R.lanes)


@native
def start(R, carry):
    for J in unroll(len(R.types)):
        carry[J][0] = spread(R.types[J](R.identity[J]), R.lanes)


@native
def scan_rows(frame: WORD, params: WORD, begin: i64, end: i64):
    """Geometry: row length, pieces a row, piece length. With several pieces each starts from its partial
    state.
    """
    source = bitcast(frame[params[0]], ptr(R.memory))
    numbers = numbers_of(frame, params, R.head - len(R.codes), R.codes)
    g = params + R.head
    length, pieces, size = g[0], g[1], g[2]
    carry = [local(vec(T, R.lanes)) for T in R.types]
    for item in range(begin, end, unroll=None):
        row = item // pieces
        first = (item - row * pieces) * size
        count = min(size, length - first)
        at = row * length + first
        start(R, carry)
        if pieces > 1:
            for J in unroll(len(R.types)):
                PARTIAL = bitcast(frame[params[1 + len(R.outs) + J]], ptr(R.types[J]))
                carry[J][0] = spread(PARTIAL[item], R.lanes)
        p = source + at * R.parts
        full = count - count % R.lanes
        for i in range(0, full, R.lanes, unroll=None):
            found = lanes_at(R, p + i * R.parts, 0, False) + position(R, first + i, i64(1))
            scan_vector(R, frame, params, carry, found, numbers, at + i, 0, False)
        rest = count - full
        if rest > 0:
            found = lanes_at(R, p + full * R.parts, rest, True) + position(R, first + full, i64(1))
            scan_vector(R, frame, params, carry, found, numbers, at + full, rest, True)


@native
def piece_totals(frame: WORD, params: WORD, begin: i64, end: i64):
    """The combined state of each piece, kept as a partial state. Geometry as for `scan_rows`."""
    source = bitcast(frame[params[0]], ptr(R.memory))
    numbers = numbers_of(frame, params, R.head - len(R.codes), R.codes)
    g = params + R.head
    length, pieces, size = g[0], g[1], g[2]
    states = [local(vec(T, R.lanes), R.flight) for T in R.types]
    for item in range(begin, end, unroll=None):
        row = item // pieces
        first = (item - row * pieces) * size
        for K in unroll(R.flight):
            for J in unroll(len(R.types)):
                states[J][K] = spread(R.types[J](R.identity[J]), R.lanes)
        p = source + (row * length + first) * R.parts
        run(R, states, p, min(size, length - first), first, i64(1), numbers)
        state = fold(R, states)
        for J in unroll(len(R.types)):
            PARTIAL = bitcast(frame[params[1 + len(R.outs) + J]], ptr(R.types[J]))
            PARTIAL[item] = state[J]


@native
def piece_starts(frame: WORD, params: WORD, begin: i64, end: i64):
    """Turn each row's piece totals into the states before the pieces."""
    g = params + R.head
    pieces = g[1]
    PARTIAL = [bitcast(frame[params[1 + len(R.outs) + J]], ptr(R.types[J])) for J in range(len(R.types))]
    before = [local(T) for T in R.types]
    for row in range(begin, end, unroll=None):
        for J in unroll(len(R.types)):
            before[J][0] = R.types[J](R.identity[J])
        for i in range(row * pieces, (row + 1) * pieces, unroll=None):
            OLD = [s[0] for s in before]
            NEW = R.combine(OLD + [s[i] for s in PARTIAL])
            for J in unroll(len(R.types)):
                PARTIAL[J][i] = OLD[J]
                before[J][0] = NEW[J]


@native
def column_vector(R, frame, params, states, c, inputs, numbers, at, rest, masked):
    STATE = [load(states[J] + c, vec(R.types[J], R.lanes)) for J in range(len(R.types))]
    STATE = [
        spread(x, R.lanes) for x in R.combine(STATE + [spread(x, R.lanes) for x in R.map(inputs, numbers)])
    ]
    for J in unroll(len(R.types)):
        store(states[J] + c, STATE[J])
    put_lanes(R, frame, params, STATE, numbers, at, rest, masked)


@native
def scan_columns(frame: WORD, params: WORD, begin: i64, end: i64):
    """Geometry: rows, row width, columns a block, blocks."""
    source = bitcast(frame[params[0]], ptr(R.memory))
    numbers = numbers_of(frame, params, R.head - len(R.codes), R.codes)
    g = params + R.head
    rows, width, block, blocks = g[0], g[1], g[2], g[3]
    states = [local(T, R.width + R.lanes) for T in R.types]
    for item in range(begin, end, unroll=None):
        outer = item // blocks
        left = (item - outer * blocks) * block
        wide = min(block, width - left)
        full = wide - wide % R.lanes
        rest = wide - full
        for c in range(0, wide, R.lanes, unroll=None):
            for J in unroll(len(R.types)):
                store(states[J] + c, spread(R.types[J](R.identity[J]), R.lanes))
        for r in range(rows, unroll=None):
            at = (outer * rows + r) * width + left
            p = source + at * R.parts
            INDEX = [r] if R.indexed else []
            for c in range(0, full, R.lanes, unroll=None):
                found = lanes_at(R, p + c * R.parts, 0, False) + INDEX
                column_vector(R, frame, params, states, c, found, numbers, at + c, 0, False)
            if rest > 0:
                found = lanes_at(R, p + full * R.parts, rest, True) + INDEX
                column_vector(R, frame, params, states, full, found, numbers, at + full, rest, True)
