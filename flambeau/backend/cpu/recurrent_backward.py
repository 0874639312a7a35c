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
    slice_of,
    table_of,
    turn,
    write_rows,
    zero,
)
from .recurrent_tiles import ROWS, sums
from .types import i64, ptr, vec

# -- gradients of the gates before their activation, for L units of one row ------------------------------------


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
    """The three gates, then the last as the state's share sees it; `carry` gets what reaches the state directly."""
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
def step_deltas(S, params, here, rows, had, x, dh, dh_row, gradient, output, output_row, kept, kept_before,
                first_cell, before, carry, product, deltas, turned, bias):  # fmt: skip
    """All units of one step: the gates' gradients where products over all steps want them, transposed, and summed.

    Transposed, the last gate of a GRU as the state's share sees it comes first, then all as the input's does.
    """
    T, L = S.T, S.L
    W, SLOTS = vec(T, L), S.GATES + S.APART
    hidden = params[at.hidden]
    x_row, width = S.GATES * hidden, blocks_of(S, hidden) * L
    found, total = local(T, SLOTS * ROWS * L), local(W, SLOTS)
    paneled = params[at.paneled] != 0
    for unit in range(0, hidden, L, unroll=None):
        mask = first_lanes(hidden - unit, L)
        for g in unroll(SLOTS):
            total[g] = load(bias + (g * width + unit), W)
        place, delta_row, slot_step = deltas + unit, SLOTS * hidden, hidden
        earlier_states, before_row = before + unit, params[at.state]
        if paneled:
            place = deltas + (unit // ROWS * ROWS * params[at.rows] + unit % ROWS)
            delta_row, slot_step = i64(ROWS), padded(hidden) * params[at.rows]
            earlier_states, before_row = before + unit * params[at.rows], i64(L)
        place = place + here * delta_row
        earlier_states = earlier_states + here * before_row
        for r in range(rows, unroll=None):
            g_h = load(dh + (r * dh_row + unit), W)
            if not S.PROJECTED:
                g_h = g_h + load_masked(gradient + (r * output_row + unit), W, mask)
            earlier = earlier_states + r * before_row
            if S.GATES == 4:
                earlier = select(r < had, kept_before + r * hidden, first_cell + r * width) + unit
            DELTAS = S.DELTAS(
                S, x + (r * x_row + unit), hidden, mask, g_h, kept + (r * hidden + unit), earlier,
                output + (r * output_row + unit), carry + (r * width + unit), product + (r * hidden + unit),
            )  # fmt: skip
            for g in unroll(SLOTS):
                total[g] = total[g] + DELTAS[g]
                store(found + (g * ROWS + r) * L, DELTAS[g])
                store_masked(place + (g * slot_step + r * delta_row), DELTAS[g], mask)
        for g in unroll(SLOTS):
            store(bias + (g * width + unit), total[g])
            to = turned + ((g + S.APART) % SLOTS * hidden + unit) * ROWS
            turn(S, found + g * ROWS * L, i64(L), to, rows, min(hidden - unit, i64(L)))


@native
def through_projection(
    S, params, matrix, dh, dh_row, gradient, output_row, projected, turned, to, to_row, rows
):
    """The gradient of a projected output: kept in rows, and taken back to the gates' product."""
    T, L = S.T, S.L
    k = params[at.state]
    for unit in range(0, k, L, unroll=None):
        mask = first_lanes(k - unit, L)
        for r in range(rows, unroll=None):
            g_h = load(dh + (r * dh_row + unit), vec(T, L))
            g_h = g_h + load_masked(gradient + (r * output_row + unit), vec(T, L), mask)
            store(dh + (r * dh_row + unit), g_h)
            store_masked(projected + (r * k + unit), g_h, mask)
    turn(S, dh, dh_row, turned, rows, k)
    sums(S, table_of(params), turned, matrix, k * L, k, blocks_of(S, params[at.hidden]), to, to_row, rows)


@native
def copy_before(S, params, output, had, first, before, here, rows):
    """The states before a step, as the weights' gradient wants them; a sequence begins with the first state."""
    W, k, output_row = vec(S.T, S.L), params[at.state], params[at.output_row]
    for c in range(0, k, S.L, unroll=None):
        mask = first_lanes(k - c, S.L)
        to, row = before + c, k
        if params[at.paneled] != 0:
            to, row = before + c * params[at.rows], i64(S.L)
        to = to + here * row
        for r in range(had, unroll=None):
            store_masked(to + r * row, load_masked(output + (r * output_row + c), W, mask), mask)
        for r in range(had, rows, unroll=None):
            value = splat(S.T(0), S.L)
            if bitcast(first, i64) != 0:
                value = load_masked(first + (r * k + c), W, mask)
            store_masked(to + r * row, value, mask)


@native
def step_back(S, params, weights, input_weights, turned, dh, wide, carry, width, input_gradient, here, rows,
              onward, AHEAD):  # fmt: skip
    """What the gates' gradients give to the state before the step (where `onward`), and to the input."""
    T, L = S.T, S.L
    hidden, features = params[at.hidden], params[at.features]
    k = S.GATES * hidden
    if onward:
        sums(
            S,
            table_of(params),
            turned,
            weights,
            k * L,
            k,
            blocks_of(S, params[at.state]),
            dh,
            wide,
            rows,
            AHEAD,
        )
        if S.APART:
            for r in range(rows, unroll=None):
                for c in range(0, width, L, unroll=None):
                    place = dh + (r * wide + c)
                    store(place, load(place, vec(T, L)) + load(carry + (r * width + c), vec(T, L)))
    if features > 0:
        GROUP = S.SHAPES[0] * L
        part = local(T, ROWS * GROUP)
        from_gates = turned + S.APART * hidden * ROWS
        for c in range(0, features, GROUP, unroll=None):
            columns = min(features - c, i64(GROUP))
            panels = input_weights + c * k
            sums(
                S,
                table_of(params),
                from_gates,
                panels,
                k * L,
                k,
                blocks_of(S, columns),
                part,
                i64(GROUP),
                rows,
            )
            write_rows(S, part, i64(GROUP), input_gradient + (here * features + c), features, rows, columns)


# -- the sequence --------------------------------------------------------------------------------------------


def scratch_backward(lanes: int, slots: int, hidden: int, state: int, projected: bool) -> int:
    """Elements of scratch memory of an item: as `backward` cuts them."""
    width, wide = -(-hidden // lanes) * lanes, -(-state // lanes) * lanes
    return ROWS * (wide + 2 * width + slots * hidden + ((width + wide) if projected else 0))


@native
def backward(frame: ptr(i64), params: ptr(i64), begin: i64, end: i64):
    """Program step: item ``direction * slices + slice`` of the batch from the last step to the first."""
    T, L = S.T, S.L
    SLOTS = S.GATES + S.APART
    hidden, k, batch, steps = params[at.hidden], params[at.state], params[at.batch], params[at.steps]
    width, wide = blocks_of(S, hidden) * L, blocks_of(S, k) * L
    room = ROWS * (wide + 2 * width + SLOTS * hidden + ((width + wide) if S.PROJECTED else i64(0)))
    sizes = buffer(i64, frame, params[at.sizes])
    output_row, total_rows, features = params[at.output_row], params[at.rows], params[at.features]
    for item in range(begin, end, unroll=None):
        side, back, n0, n1 = slice_of(params, item)
        dh = buffer(T, frame, params[at.scratch]) + item * room
        carry = dh + ROWS * wide
        first_cell = carry + ROWS * width
        turned = first_cell + ROWS * width
        at_product = turned + ROWS * SLOTS * hidden
        turned_state = at_product + ROWS * width
        zero(T, dh, room)
        bias = buffer(T, frame, params[at.bias]) + item * SLOTS * width
        zero(T, bias, SLOTS * width)
        at_row = side * batch + n0
        last = buffer(T, frame, params[at.last_gradient]) + at_row * k
        read_rows(S, last, dh, wide, n1 - n0, k)
        if S.GATES == 4:
            last_cell = buffer(T, frame, params[at.last_cell_gradient]) + at_row * hidden
            read_rows(S, last_cell, carry, width, n1 - n0, hidden)
            if params[at.first_cell] != 0:
                given = buffer(T, frame, params[at.first_cell]) + at_row * hidden
                read_rows(S, given, first_cell, width, n1 - n0, hidden)
        first = bitcast(i64(0), ptr(T))
        if params[at.first] != 0:
            first = buffer(T, frame, params[at.first]) + at_row * k
        gates = bitcast(frame[params[at.gates]] + params[at.gates_offset], ptr(T))
        gates = gates + side * total_rows * S.GATES * hidden
        kept = bitcast(frame[params[at.kept]] + params[at.kept_offset], ptr(T)) + side * total_rows * hidden
        weights = buffer(T, frame, params[at.weights]) + side * wide * S.GATES * hidden
        input_weights = buffer(T, frame, params[at.input_weights])
        input_weights = input_weights + side * blocks_of(S, features) * L * S.GATES * hidden
        input_gradient = buffer(T, frame, params[at.input_gradient])
        if back:
            input_gradient = buffer(T, frame, params[at.other_gradient])
        matrix = buffer(T, frame, params[at.projection]) + side * width * k
        output = buffer(T, frame, params[at.output]) + side * k
        gradient = buffer(T, frame, params[at.gradient]) + side * k
        deltas = buffer(T, frame, params[at.deltas]) + side * total_rows * SLOTS * padded(hidden)
        before = buffer(T, frame, params[at.before]) + side * total_rows * wide
        projected = buffer(T, frame, params[at.projected]) + side * total_rows * k
        product = buffer(T, frame, params[at.unprojected]) + side * total_rows * hidden
        row = total_rows
        if back:
            row = i64(0)
        for done in range(steps, unroll=None):
            t = steps - 1 - done
            earlier = t - 1
            if back:
                t, earlier = done, done + 1
            rows, size = alive(S, sizes, t, n0, n1, batch)
            had, earlier_size = i64(0), i64(0)
            if done + 1 < steps:
                had, earlier_size = alive(S, sizes, earlier, n0, n1, batch)
            had = min(had, rows)
            if not back:
                row -= size
            here, there = row + n0, row + n0 - earlier_size
            if back:
                there = row + n0 + size
            if rows > 0:
                if params[at.before] != 0:
                    copy_before(S, params, output + there * output_row, had, first, before, here, rows)
                source, source_row = dh, wide
                if S.PROJECTED:
                    through_projection(S, params, matrix, dh, wide, gradient + here * output_row, output_row,
                                       projected + here * k, turned_state, at_product, width, rows)  # fmt: skip
                    source, source_row = at_product, width
                step_deltas(
                    S, params, here, rows, had, gates + here * S.GATES * hidden, source, source_row,
                    gradient + here * output_row, output + here * output_row, output_row, kept + here * hidden,
                    kept + there * hidden, first_cell, before, carry, product + here * hidden, deltas, turned, bias,
                )  # fmt: skip
                AHEAD = [(gradient + there * output_row, output_row, L)]
                if S.GATES > 1:
                    x_row = S.GATES * hidden
                    AHEAD = AHEAD + [
                        (gates + (there * x_row + g * hidden), x_row, L) for g in unroll(S.GATES)
                    ]
                onward = had > 0 or params[at.first_gradient] != 0
                step_back(S, params, weights, input_weights, turned, dh, wide, carry, width, input_gradient, here,
                          rows, onward, AHEAD)  # fmt: skip
            if back:
                row += size
        if params[at.first_gradient] != 0:
            to = buffer(T, frame, params[at.first_gradient]) + at_row * k
            write_rows(S, dh, wide, to, k, n1 - n0, k)
        if params[at.first_cell_gradient] != 0:
            to = buffer(T, frame, params[at.first_cell_gradient]) + at_row * hidden
            write_rows(S, carry, width, to, hidden, n1 - n0, hidden)


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
