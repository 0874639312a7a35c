"""A recurrent layer over a whole sequence, backwards: the gradients of the gates, step by step.

What they give for the weights and the input are products over all steps, which follow. An item of work is the
same slice of the batch as forwards.
"""

from __future__ import annotations

from .conv_lanes import first_lanes, load_masked, store_masked
from .native import bitcast, load, local, native, select, splat, store, unroll
from .recurrent_kernels import (
    alive,
    at,
    blocks_of,
    buffer,
    read_rows,
    record,
    slice_of,
    table_of,
    turn,
    write_rows,
    zero,
)
from .recurrent_tiles import ROWS, sums
from .types import i64, ptr, vec

# -- gradients of the gates before their activation, for L units of one row ----------------------------------


@native
def lstm_deltas(S, x, hidden, mask, dh, kept, before, output, carry, product):
    """The four gates; `carry` holds the gradient of the cell."""
    T, L = S.T, S.L
    W = vec(T, L)
    enter, forget = load_masked(x, W, mask), load_masked(x + hidden, W, mask)
    new, leave = load_masked(x + 2 * hidden, W, mask), load_masked(x + 3 * hidden, W, mask)
    bent = S.TANH([load_masked(kept, W, mask)])[0]
    if S.PROJECTED:
        store_masked(product, leave * bent, mask)
    dc = load(carry, W) + dh * leave * (1.0 - bent * bent)
    store(carry, dc * forget)
    d_enter = dc * new * enter * (1.0 - enter)
    d_forget = dc * load_masked(before, W, mask) * forget * (1.0 - forget)
    return d_enter, d_forget, dc * enter * (1.0 - new * new), dh * bent * leave * (1.0 - leave)


@native
def gru_deltas(S, x, hidden, mask, dh, kept, before, output, carry, product):
    """The three gates, then the last as the state's share sees it; `carry`: what the state gets directly."""
    T, L = S.T, S.L
    W = vec(T, L)
    reset, update = load_masked(x, W, mask), load_masked(x + hidden, W, mask)
    new, inner = load_masked(x + 2 * hidden, W, mask), load_masked(kept, W, mask)
    d_new = dh * (1.0 - update) * (1.0 - new * new)
    d_update = dh * (load_masked(before, W, mask) - new) * update * (1.0 - update)
    store(carry, dh * update)
    return d_new * inner * reset * (1.0 - reset), d_update, d_new, d_new * reset


@native
def tanh_deltas(S, x, hidden, mask, dh, kept, before, output, carry, product):
    h = load_masked(output, vec(S.T, S.L), mask)
    return (dh * (1.0 - h * h),)


@native
def relu_deltas(S, x, hidden, mask, dh, kept, before, output, carry, product):
    h = load_masked(output, vec(S.T, S.L), mask)
    return (select(h > 0.0, dh, splat(S.T(0), S.L)),)


# -- one step ------------------------------------------------------------------------------------------------


@native
def padded(hidden):
    """The units of a gate with padding to whole pieces of `ROWS`."""
    return (hidden + (ROWS - 1)) // ROWS * ROWS


@native
def step_deltas(S, params, P, here, there, rows, had, dh, dh_row):
    """All units of one step: the gates' gradients where later products want them, transposed, and summed.

    Transposed, the last gate of a GRU as the state's share sees it comes first, then all as the input's does.
    """
    T, L = S.T, S.L
    W, SLOTS = vec(T, L), S.GATES + S.APART
    hidden, k, output_row, all_rows = (
        params[at.hidden],
        params[at.state],
        params[at.output_row],
        params[at.rows],
    )
    x_row = S.GATES * hidden
    found, total = local(T, SLOTS * ROWS * L), local(W, SLOTS)
    for unit in range(0, hidden, L, unroll=None):
        mask = first_lanes(hidden - unit, L)
        for g in unroll(SLOTS):
            total[g] = load(P.bias + (g * P.width + unit), W)
        place, row, slot = P.deltas + unit, SLOTS * hidden, hidden
        before, before_row = P.before + unit, k
        if params[at.paneled] != 0:
            place = P.deltas + (unit // ROWS * ROWS * all_rows + unit % ROWS)
            row, slot = i64(ROWS), padded(hidden) * all_rows
            before, before_row = P.before + unit * all_rows, i64(L)
        for r in range(rows, unroll=None):
            n = here + r
            g_h = load(dh + (r * dh_row + unit), W)
            if not S.PROJECTED:
                g_h = g_h + load_masked(P.gradient + (n * output_row + unit), W, mask)
            earlier = before + n * before_row
            if S.GATES == 4:
                kept_before = P.kept + (there + r) * hidden
                earlier = select(r < had, kept_before, P.first_cell + r * P.width) + unit
            DELTAS = S.DELTAS(
                S, P.gates + (n * x_row + unit), hidden, mask, g_h, P.kept + (n * hidden + unit), earlier,
                P.output + (n * output_row + unit), P.carry + (r * P.width + unit),
                P.product + (n * hidden + unit),
            )  # fmt: skip
            for g in unroll(SLOTS):
                total[g] = total[g] + DELTAS[g]
                store(found + (g * ROWS + r) * L, DELTAS[g])
                store_masked(place + (g * slot + n * row), DELTAS[g], mask)
        for g in unroll(SLOTS):
            store(P.bias + (g * P.width + unit), total[g])
            to = P.turned + ((g + S.APART) % SLOTS * hidden + unit) * ROWS
            turn(S, found + g * ROWS * L, i64(L), to, rows, min(hidden - unit, i64(L)))


@native
def through_projection(S, params, P, here, rows):
    """The gradient of a projected output: kept in rows, and taken back to the gates' product."""
    T, L = S.T, S.L
    k, output_row = params[at.state], params[at.output_row]
    for unit in range(0, k, L, unroll=None):
        mask = first_lanes(k - unit, L)
        for r in range(rows, unroll=None):
            place = P.dh + (r * P.wide + unit)
            from_output = load_masked(P.gradient + ((here + r) * output_row + unit), vec(T, L), mask)
            g_h = load(place, vec(T, L)) + from_output
            store(place, g_h)
            store_masked(P.projected + ((here + r) * k + unit), g_h, mask)
    turn(S, P.dh, P.wide, P.turned_state, rows, k)
    count = blocks_of(S, params[at.hidden])
    sums(S, table_of(params), P.turned_state, P.matrix, k * L, k, count, P.at_product, P.width, rows)


@native
def copy_before(S, params, P, here, there, rows, had):
    """The states before a step, as the weights' gradient wants them; at the beginning the first state."""
    W, k, output_row = vec(S.T, S.L), params[at.state], params[at.output_row]
    for c in range(0, k, S.L, unroll=None):
        mask = first_lanes(k - c, S.L)
        to, row = P.before + c, k
        if params[at.paneled] != 0:
            to, row = P.before + c * params[at.rows], i64(S.L)
        to = to + here * row
        for r in range(had, unroll=None):
            store_masked(to + r * row, load_masked(P.output + ((there + r) * output_row + c), W, mask), mask)
        for r in range(had, rows, unroll=None):
            value = splat(S.T(0), S.L)
            if params[at.first] != 0:
                value = load_masked(P.first + (r * k + c), W, mask)
            store_masked(to + r * row, value, mask)


@native
def step_back(S, params, P, here, rows, onward, AHEAD):
    """What the gates' gradients give to the state before the step (where `onward`), and to the input."""
    T, L = S.T, S.L
    hidden, features, tiles = params[at.hidden], params[at.features], table_of(params)
    k = S.GATES * hidden
    if onward:
        count = blocks_of(S, params[at.state])
        sums(S, tiles, P.turned, P.weights, k * L, k, count, P.dh, P.wide, rows, AHEAD)
        if S.APART:
            for r in range(rows, unroll=None):
                for c in range(0, P.width, L, unroll=None):
                    place = P.dh + (r * P.wide + c)
                    store(place, load(place, vec(T, L)) + load(P.carry + (r * P.width + c), vec(T, L)))
    if features > 0:
        GROUP = S.SHAPES[0] * L
        part = local(T, ROWS * GROUP)
        from_gates = P.turned + S.APART * hidden * ROWS
        for c in range(0, features, GROUP, unroll=None):
            columns = min(features - c, i64(GROUP))
            count = blocks_of(S, columns)
            sums(S, tiles, from_gates, P.input_weights + c * k, k * L, k, count, part, i64(GROUP), rows)
            write_rows(S, part, i64(GROUP), P.input_gradient + (here * features + c), features, rows, columns)


# -- the sequence --------------------------------------------------------------------------------------------


def scratch_backward(lanes: int, slots: int, hidden: int, state: int, projected: bool) -> int:
    """Elements of scratch memory of an item: as `backward_places` cuts them."""
    width, wide = -(-hidden // lanes) * lanes, -(-state // lanes) * lanes
    return ROWS * (wide + 2 * width + slots * hidden + ((width + wide) if projected else 0))


@native
def backward_places(S, frame, params, item):
    """Of an item: which rows it is for, and where its part of every buffer begins."""
    T, L = S.T, S.L
    SLOTS = S.GATES + S.APART
    side, back, n0, n1 = slice_of(params, item)
    hidden, k, rows, features = params[at.hidden], params[at.state], params[at.rows], params[at.features]
    width, wide = blocks_of(S, hidden) * L, blocks_of(S, k) * L
    room = ROWS * (wide + 2 * width + SLOTS * hidden + ((width + wide) if S.PROJECTED else i64(0)))
    dh = buffer(T, frame, params[at.scratch]) + item * room
    bias = buffer(T, frame, params[at.bias]) + item * SLOTS * width
    zero(T, dh, room)
    zero(T, bias, SLOTS * width)
    carry = dh + ROWS * wide
    turned = carry + 2 * ROWS * width
    at_product = turned + ROWS * SLOTS * hidden
    at_row = side * params[at.batch] + n0
    gates = bitcast(frame[params[at.gates]] + params[at.gates_offset], ptr(T))
    kept = bitcast(frame[params[at.kept]] + params[at.kept_offset], ptr(T))
    input_weights = buffer(T, frame, params[at.input_weights])
    input_gradient = buffer(T, frame, params[at.input_gradient])
    if back:
        input_gradient = buffer(T, frame, params[at.other_gradient])
    return record(
        back=back, n0=n0, n1=n1, width=width, wide=wide, sizes=buffer(i64, frame, params[at.sizes]), dh=dh,
        carry=carry, first_cell=carry + ROWS * width, turned=turned, at_product=at_product,
        turned_state=at_product + ROWS * width, bias=bias,
        first=buffer(T, frame, params[at.first]) + at_row * k,
        given_cell=buffer(T, frame, params[at.first_cell]) + at_row * hidden,
        last=buffer(T, frame, params[at.last_gradient]) + at_row * k,
        last_cell=buffer(T, frame, params[at.last_cell_gradient]) + at_row * hidden,
        first_gradient=buffer(T, frame, params[at.first_gradient]) + at_row * k,
        first_cell_gradient=buffer(T, frame, params[at.first_cell_gradient]) + at_row * hidden,
        gates=gates + side * rows * S.GATES * hidden,
        kept=kept + side * rows * hidden,
        weights=buffer(T, frame, params[at.weights]) + side * wide * S.GATES * hidden,
        input_weights=input_weights + side * blocks_of(S, features) * L * S.GATES * hidden,
        input_gradient=input_gradient,
        matrix=buffer(T, frame, params[at.projection]) + side * width * k,
        output=buffer(T, frame, params[at.output]) + side * k,
        gradient=buffer(T, frame, params[at.gradient]) + side * k,
        deltas=buffer(T, frame, params[at.deltas]) + side * rows * SLOTS * padded(hidden),
        before=buffer(T, frame, params[at.before]) + side * rows * wide,
        projected=buffer(T, frame, params[at.projected]) + side * rows * k,
        product=buffer(T, frame, params[at.unprojected]) + side * rows * hidden,
    )  # fmt: skip


@native
def take_last(S, params, P):
    """The gradients of the last states, and the first cells in padded rows."""
    hidden, k, count = params[at.hidden], params[at.state], P.n1 - P.n0
    read_rows(S, P.last, P.dh, P.wide, count, k)
    if S.GATES == 4:
        read_rows(S, P.last_cell, P.carry, P.width, count, hidden)
        if params[at.first_cell] != 0:
            read_rows(S, P.given_cell, P.first_cell, P.width, count, hidden)


@native
def give_first(S, params, P):
    """The gradients of the first states."""
    hidden, k, count = params[at.hidden], params[at.state], P.n1 - P.n0
    if params[at.first_gradient] != 0:
        write_rows(S, P.dh, P.wide, P.first_gradient, k, count, k)
    if params[at.first_cell_gradient] != 0:
        write_rows(S, P.carry, P.width, P.first_cell_gradient, hidden, count, hidden)


@native
def backward(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Program step: item ``direction * slices + slice`` of the batch from the last step to the first."""
    hidden, batch, steps, output_row = (
        params[at.hidden],
        params[at.batch],
        params[at.steps],
        params[at.output_row],
    )
    for item in range(begin, end, unroll=None):
        P = backward_places(S, frame, params, item)
        take_last(S, params, P)
        row = params[at.rows]
        if P.back:
            row = i64(0)
        for done in range(steps, unroll=None):
            t, earlier = steps - 1 - done, steps - 2 - done
            if P.back:
                t, earlier = done, done + 1
            rows, size = alive(S, P.sizes, t, P.n0, P.n1, batch)
            had, earlier_size = i64(0), i64(0)
            if done + 1 < steps:
                had, earlier_size = alive(S, P.sizes, earlier, P.n0, P.n1, batch)
            had = min(had, rows)
            if not P.back:
                row -= size
            here, there = row + P.n0, row + P.n0 - earlier_size
            if P.back:
                there = row + P.n0 + size
            if rows > 0:
                if params[at.before] != 0:
                    copy_before(S, params, P, here, there, rows, had)
                source, source_row = P.dh, P.wide
                if S.PROJECTED:
                    through_projection(S, params, P, here, rows)
                    source, source_row = P.at_product, P.width
                step_deltas(S, params, P, here, there, rows, had, source, source_row)
                AHEAD = [(P.gradient + there * output_row, output_row, S.L)]
                if S.GATES > 1:
                    x, x_row = P.gates + there * S.GATES * hidden, S.GATES * hidden
                    AHEAD = AHEAD + [(x + g * hidden, x_row, S.L) for g in unroll(S.GATES)]
                onward = had > 0 or params[at.first_gradient] != 0
                step_back(S, params, P, here, rows, onward, AHEAD)
            if P.back:
                row += size
        give_first(S, params, P)


@native
def fold_bias(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """The gradients of both biases of a direction, from the sums of its slices."""
    slices, hidden, width = params[3], params[4], params[5]
    size = (GATES + APART) * width
    source = bitcast(frame[params[2]], ptr(T)) + params[6]
    for g in range(GATES, unroll=None):
        for u in range(hidden, unroll=None):
            value, other = T(0), T(0)
            for s in range(slices, unroll=None):
                value += source[s * size + g * width + u]
                if APART:
                    row = g
                    if g == GATES - 1:
                        row = g + 1
                    other += source[s * size + row * width + u]
            if params[0] != 0:
                to = bitcast(frame[params[0]], ptr(T))
                to[g * hidden + u] = value
            if params[1] != 0:
                to_hidden = bitcast(frame[params[1]], ptr(T))
                to_hidden[g * hidden + u] = other if APART else value
