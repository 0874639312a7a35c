"""A recurrent layer over a whole sequence, forwards: one item of work is up to `ROWS` rows of the batch.

The input's share of the gates is already in `gates` (one product for all steps). Each step adds the state's
share, applies the gates, and leaves them there for the backward pass.
"""

from __future__ import annotations

from types import SimpleNamespace

from .conv_lanes import first_lanes, load_masked, store_masked
from .gemm_pack import transpose_block
from .native import bitcast, fill_bytes, load, local, native, static, store, unroll
from .recurrent_tiles import ROWS, sums
from .types import i64, ptr, vec

#: words of the parameters: frame words of buffers (0 where there is none), and sizes in elements; the buffers
#: of the reserve, which share one output, come with an offset in bytes
WORDS = (
    "steps", "batch", "rows", "slices", "hidden", "state", "weights", "projection", "gates",
    "gates_offset", "bias", "first", "first_cell", "output", "output_row", "last", "last_cell", "kept",
    "kept_offset", "sizes", "scratch", "tiles", "input", "features", "input_weights",
    # backwards only
    "gradient", "last_gradient", "last_cell_gradient", "deltas", "before", "first_gradient",
    "first_cell_gradient", "projected", "unprojected", "input_gradient", "other_gradient", "paneled",
)  # fmt: skip
at = SimpleNamespace(**{name: position for position, name in enumerate(WORDS)})
#: error code of sizes that cannot be
BAD_SIZES = 4


@static
def record(b, **values):
    """Values under names, to hand on together."""
    return SimpleNamespace(**{name: b.value(value) for name, value in values.items()})


@native
def table_of(params):
    """The table of tiles."""
    return bitcast(params[at.tiles], ptr(i64))


@native
def check_sizes(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Refuse sizes of steps that do not fall from the batch size, or do not add up to the rows."""
    sizes = bitcast(frame[params[0]], ptr(i64))
    steps, batch, rows = params[1], params[2], params[3]
    total, above, bad = i64(0), batch, i64(-1)
    for t in range(steps, unroll=None):
        size = sizes[t]
        if size > above or size < 1 or (t == 0 and size != batch):
            bad = t
        total += size
        above = size
    if total != rows:
        bad = steps
    if bad >= 0:
        frame[0] = BAD_SIZES
        frame[1] = bad
        frame[2] = total


@native
def gather_bias(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """The biases of one direction as padded rows: the sums of both; the one that stays apart comes last."""
    hidden, width = params[3], params[4]
    goal = bitcast(frame[params[2]], ptr(T)) + params[5]
    for g in range(GATES + APART, unroll=None):
        for u in range(width, unroll=None):
            value = T(0)
            if params[0] != 0 and u < hidden:
                first, second = bitcast(frame[params[0]], ptr(T)), bitcast(frame[params[1]], ptr(T))
                if g == GATES:
                    value = second[(GATES - 1) * hidden + u]
                elif APART and g == GATES - 1:
                    value = first[g * hidden + u]
                else:
                    value = first[g * hidden + u] + second[g * hidden + u]
            goal[g * width + u] = value


@native
def alive(S, sizes, t, n0, n1, batch):
    """How many rows of the slice have an element at step t, and how many elements the step has."""
    size = batch
    if S.PACKED:
        size = sizes[t]
    return max(min(n1, size) - n0, i64(0)), size


@native
def read_rows(S, source, to, to_row, rows, width):
    """Copy consecutive rows of `width` elements into padded ones."""
    for r in range(rows, unroll=None):
        for c in range(0, width, S.L, unroll=None):
            got = load_masked(source + (r * width + c), vec(S.T, S.L), first_lanes(width - c, S.L))
            store(to + (r * to_row + c), got)


@native
def write_rows(S, source, source_row, to, to_row, rows, width):
    """Copy rows of `width` elements."""
    for r in range(rows, unroll=None):
        for c in range(0, width, S.L, unroll=None):
            mask = first_lanes(width - c, S.L)
            got = load_masked(source + (r * source_row + c), vec(S.T, S.L), mask)
            store_masked(to + (r * to_row + c), got, mask)


@native
def turn(S, source, source_row, to, rows, width):
    """Padded rows to the transposed form ``[column][ROWS]``; rows that are not there become zeros."""
    for c in range(0, width, S.L, unroll=None):
        for r in unroll(0, ROWS, S.L):
            transpose_block(
                S.T, S.L, ROWS, source + (r * source_row + c), source_row, to + (c * ROWS + r), rows - r,
                min(width - c, i64(S.L))
            )  # fmt: skip


# -- gates of L units of one row -----------------------------------------------------------------------------
#
# share: what the state gives to the gates; given: what the input gives, `step` from gate to gate; x,
# kept_here: where gates and cells are kept for the backward pass, if they are.


@native
def lstm_units(S, share, given, step, x, hidden, mask, bias, cell, kept, kept_here):
    """The new output of an LSTM; `cell` is updated."""
    T, L = S.T, S.L
    W = vec(T, L)
    total = [load(share + g * L, W) + load_masked(given + g * step, W, mask) + bias[g] for g in unroll(4)]
    enter, forget = S.SIGMOID([total[0]])[0], S.SIGMOID([total[1]])[0]
    new, leave = S.TANH([total[2]])[0], S.SIGMOID([total[3]])[0]
    c = forget * load(cell, W) + enter * new
    store(cell, c)
    if kept:
        store_masked(x, enter, mask)
        store_masked(x + hidden, forget, mask)
        store_masked(x + 2 * hidden, new, mask)
        store_masked(x + 3 * hidden, leave, mask)
        store_masked(kept_here, c, mask)
    return leave * S.TANH([c])[0]


@native
def gru_units(S, share, given, step, x, hidden, mask, bias, state, kept, kept_here):
    """The new output of gated units; `state` is updated to it."""
    T, L = S.T, S.L
    W = vec(T, L)
    total = [load_masked(given + g * step, W, mask) + bias[g] for g in unroll(3)]
    reset = S.SIGMOID([total[0] + load(share, W)])[0]
    update = S.SIGMOID([total[1] + load(share + L, W)])[0]
    inner = load(share + 2 * L, W) + bias[3]
    new = S.TANH([total[2] + reset * inner])[0]
    h = (load(state, W) - new) * update + new
    store(state, h)
    if kept:
        store_masked(x, reset, mask)
        store_masked(x + hidden, update, mask)
        store_masked(x + 2 * hidden, new, mask)
        store_masked(kept_here, inner, mask)
    return h


@native
def plain_units(S, share, given, step, x, hidden, mask, bias, state, kept, kept_here):
    """The new output of a plain network."""
    W = vec(S.T, S.L)
    return S.ACTIVATION([load(share, W) + load_masked(given, W, mask) + bias[0]])[0]


# -- the sequence --------------------------------------------------------------------------------------------


@native
def blocks_of(S, count):
    """Vectors that hold so many elements."""
    return (count + (S.L - 1)) // S.L


@native
def unit_products(S, params, P, state, share, input_share, rows, x, first, count, empty):
    """What the state (unless it is `empty`) and the input give to the gates of some blocks of units."""
    L, row = S.L, i64(S.GATES * S.GROUP * S.L)
    hidden, k, features = params[at.hidden], params[at.state], params[at.features]
    if params[at.input_weights] != 0:
        panels = P.input_weights + first * S.GATES * features * L
        sums(
            S,
            table_of(params),
            P.inputs,
            panels,
            features * L,
            features,
            count * S.GATES,
            input_share,
            row,
            rows,
        )
    if not empty:
        ahead = ((x + first * L, S.GATES * hidden, hidden if S.GATES > 1 else i64(L)),)
        panels = P.weights + first * S.GATES * k * L
        sums(S, table_of(params), state, panels, k * L, k, count * S.GATES, share, row, rows, ahead)


@native
def step_units(S, params, P, state, next_state, share, rows, here, empty):
    """All units of one step: products, gates, and the new state in rows (output) and transposed."""
    T, L = S.T, S.L
    hidden, output_row = params[at.hidden], params[at.output_row]
    blocks = blocks_of(S, hidden)
    x_row, width, share_row = S.GATES * hidden, blocks * L, S.GATES * S.GROUP * L
    found, input_share = local(T, ROWS * L), local(T, S.SHARE)
    x, kept, output = P.gates + here * x_row, P.kept + here * hidden, P.output + here * output_row
    for first in range(0, blocks, S.GROUP, unroll=None):
        count = min(blocks - first, i64(S.GROUP))
        unit_products(S, params, P, state, share, input_share, rows, x, first, count, empty)
        for block in range(first, first + count, unroll=None):
            unit = block * L
            mask = first_lanes(hidden - unit, L)
            offsets = [load(P.bias + (g * width + unit), vec(T, L)) for g in unroll(S.GATES + S.APART)]
            within = (block - first) * S.GATES * L
            given, given_row, step = x + unit, x_row, hidden
            if params[at.input_weights] != 0:
                given, given_row, step = input_share + within, i64(share_row), i64(L)
            for r in range(rows, unroll=None):
                h = S.UNITS(
                    S, share + (within + r * share_row), given + r * given_row, step, x + (r * x_row + unit),
                    hidden, mask, offsets, P.carry + (r * width + unit), params[at.kept] != 0,
                    kept + (r * hidden + unit),
                )  # fmt: skip
                store(found + r * L, h)
                if not S.PROJECTED:
                    store_masked(output + (r * output_row + unit), h, mask)
            turn(S, found, i64(L), next_state + unit * ROWS, rows, min(hidden - unit, i64(L)))


@native
def project_rows(S, params, P, share, rows, here, next_state):
    """The output of a projected LSTM, from the transposed product of gates."""
    k, width, output_row = params[at.hidden], params[at.state], params[at.output_row]
    WIDE = S.SHAPES[0] * S.L
    for unit in range(0, width, WIDE, unroll=None):
        columns = min(width - unit, i64(WIDE))
        panels, count = P.matrix + unit * k, blocks_of(S, columns)
        sums(S, table_of(params), P.product, panels, k * S.L, k, count, share, i64(WIDE), rows)
        write_rows(S, share, i64(WIDE), P.output + (here * output_row + unit), output_row, rows, columns)
        turn(S, share, i64(WIDE), next_state + unit * ROWS, rows, columns)


@native
def buffer(T, frame, word):
    """A buffer by its frame word."""
    return bitcast(frame[word], ptr(T))


@native
def zero(T, to, count):
    fill_bytes(to, 0, count * T.bytes)


@native
def slice_of(params, item):
    """Of an item: its direction, whether that runs backwards, its first and last row of the batch."""
    turned = item // params[at.slices]
    per = (params[at.batch] + params[at.slices] - 1) // params[at.slices]
    n0 = (item - turned * params[at.slices]) * per
    return turned, turned != 0, n0, min(n0 + per, params[at.batch])


@native
def begin_rows(S, first, state, k, had, rows):
    """The first state of the rows that join, transposed."""
    for r in range(had, rows, unroll=None):
        for c in range(k, unroll=None):
            state[c * ROWS + r] = first[r * k + c]


def scratch_forward(lanes: int, hidden: int, state: int, features: int, projected: bool) -> int:
    """Elements of scratch memory of an item: as `forward_places` cuts them."""
    width = -(-hidden // lanes) * lanes
    return ROWS * (2 * state + features + width + (hidden if projected else 0))


@native
def forward_places(S, frame, params, item):
    """Of an item: which rows it is for, and where its part of every buffer begins."""
    T, L = S.T, S.L
    side, back, n0, n1 = slice_of(params, item)
    hidden, k, rows, features = params[at.hidden], params[at.state], params[at.rows], params[at.features]
    width = blocks_of(S, hidden) * L
    room = ROWS * (2 * k + features + width + (hidden if S.PROJECTED else i64(0)))
    state = buffer(T, frame, params[at.scratch]) + item * room
    zero(T, state, room)
    carry = state + 2 * ROWS * k
    inputs = carry + ROWS * width
    at_row = side * params[at.batch] + n0  # of what has a row for each direction and sequence
    gates = bitcast(frame[params[at.gates]] + params[at.gates_offset], ptr(T))
    kept = bitcast(frame[params[at.kept]] + params[at.kept_offset], ptr(T))
    return record(
        back=back, n0=n0, n1=n1, width=width, sizes=buffer(i64, frame, params[at.sizes]), state=state,
        carry=carry, inputs=inputs, product=inputs + ROWS * features,
        first=buffer(T, frame, params[at.first]) + at_row * k,
        first_cell=buffer(T, frame, params[at.first_cell]) + at_row * hidden,
        last=buffer(T, frame, params[at.last]) + at_row * k,
        last_cell=buffer(T, frame, params[at.last_cell]) + at_row * hidden,
        gates=gates + side * rows * S.GATES * hidden,
        kept=kept + side * rows * hidden,
        weights=buffer(T, frame, params[at.weights]) + side * S.GATES * width * k,
        input=buffer(T, frame, params[at.input]),
        input_weights=buffer(T, frame, params[at.input_weights]) + side * S.GATES * width * features,
        matrix=buffer(T, frame, params[at.projection]) + side * blocks_of(S, k) * L * hidden,
        bias=buffer(T, frame, params[at.bias]) + side * (S.GATES + S.APART) * width,
        output=buffer(T, frame, params[at.output]) + side * k,
    )  # fmt: skip


@native
def finish_rows(S, params, P, here, left, rows):
    """Write the last states of rows [left, rows) of the slice."""
    hidden, k, output_row = params[at.hidden], params[at.state], params[at.output_row]
    source = P.output + (here + left) * output_row
    write_rows(S, source, output_row, P.last + left * k, k, rows - left, k)
    if S.GATES == 4:
        to = P.last_cell + left * hidden
        write_rows(S, P.carry + left * P.width, P.width, to, hidden, rows - left, hidden)


@native
def forward(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Program step: item ``direction * slices + slice`` of the batch through all steps."""
    T = S.T
    hidden, k, batch, steps = params[at.hidden], params[at.state], params[at.batch], params[at.steps]
    features = params[at.features]
    share = local(T, S.SHARE)
    for item in range(begin, end, unroll=None):
        P = forward_places(S, frame, params, item)
        if S.GATES == 3 and params[at.first] != 0:
            read_rows(S, P.first, P.carry, P.width, P.n1 - P.n0, hidden)
        if params[at.first_cell] != 0:
            read_rows(S, P.first_cell, P.carry, P.width, P.n1 - P.n0, hidden)
        state, next_state = P.state, P.state + ROWS * k
        row, had = i64(0), i64(0)
        if P.back:
            row = params[at.rows]
        for step in range(steps, unroll=None):
            t, following = step, step + 1
            if P.back:
                t, following = steps - 1 - step, steps - 2 - step
            rows, size = alive(S, P.sizes, t, P.n0, P.n1, batch)
            if P.back:
                row -= size
            if rows > 0:
                here = row + P.n0
                empty = params[at.first] == 0 and step == 0
                if empty:
                    zero(T, share, S.SHARE)
                if params[at.first] != 0:
                    begin_rows(S, P.first, state, k, had, rows)
                had = max(had, rows)
                if params[at.input_weights] != 0:
                    turn(S, P.input + here * features, features, P.inputs, rows, features)
                target = P.product if S.PROJECTED else next_state
                step_units(S, params, P, state, target, share, rows, here, empty)
                if S.PROJECTED:
                    project_rows(S, params, P, share, rows, here, next_state)
                left = i64(0)
                if step + 1 < steps:
                    left, _ = alive(S, P.sizes, following, P.n0, P.n1, batch)
                if left < rows:
                    finish_rows(S, params, P, here, left, rows)
                state, next_state = next_state, state
            if not P.back:
                row += size
