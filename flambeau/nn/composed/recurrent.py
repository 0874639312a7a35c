"""Recurrent networks in terms of operators: a step of each kind, and whole sequences of them."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.nn import functional as F
from flambeau.nn.parameter import Parameter
from flambeau.ops.define import ops
from flambeau.ops.recurrent import COMPOSED
from flambeau.tensor.tensor import Tensor


def _rnn_step(x: Tensor, hidden: Tensor, w_hh: Tensor, b_hh, nonlinearity: str) -> Tensor:
    total = x + F.linear(hidden, w_hh, b_hh)
    return total.tanh() if nonlinearity == "tanh" else total.relu()


def _lstm_step(x: Tensor, state: tuple[Tensor, Tensor], w_hh: Tensor, b_hh, w_hr) -> tuple[Tensor, Tensor]:
    hidden, cell = state
    enter, forget, new, leave = (x + F.linear(hidden, w_hh, b_hh)).chunk(4, 1)
    cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
    hidden = leave.sigmoid() * cell.tanh()
    return (hidden if w_hr is None else F.linear(hidden, w_hr)), cell


def _gru_step(x: Tensor, hidden: Tensor, w_hh: Tensor, b_hh) -> Tensor:
    reset_x, update_x, new_x = x.chunk(3, 1)
    reset_h, update_h, new_h = F.linear(hidden, w_hh, b_hh).chunk(3, 1)
    reset = (reset_x + reset_h).sigmoid()
    update = (update_x + update_h).sigmoid()
    new = (new_x + reset * new_h).tanh()
    return (hidden - new) * update + new


class _Layer:
    """One layer in one direction of a network, with its weights."""

    def __init__(self, mode: str, weights: list) -> None:
        self.mode = mode
        self.w_ih, self.w_hh, self.b_ih, self.b_hh, self.w_hr = weights

    def begin(self, x: Tensor, batch: int, hidden: Tensor | None, cell: Tensor | None, direction: int) -> Any:
        """The first state: the given one, or zeros."""
        like = {"dtype": x.dtype, "device": x.device}
        state = flambeau.zeros(batch, self.w_hh.shape[1], **like) if hidden is None else hidden[direction]
        if self.mode != "LSTM":
            return state
        width = self.w_ih.shape[0] // 4
        return state, flambeau.zeros(batch, width, **like) if cell is None else cell[direction]

    def step(self, x: Tensor, state: Any) -> Any:
        """The state after the input `x`, which is already multiplied by the input weights."""
        if self.mode == "LSTM":
            return _lstm_step(x, state, self.w_hh, self.b_hh, self.w_hr)
        if self.mode == "GRU":
            return _gru_step(x, state, self.w_hh, self.b_hh)
        return _rnn_step(x, state, self.w_hh, self.b_hh, "tanh" if self.mode == "RNN_TANH" else "relu")


def _hidden_of(state: Any) -> Tensor:
    return state[0] if isinstance(state, tuple) else state


def _narrow(state: Any, start: int, stop: int) -> Any:
    if isinstance(state, tuple):
        return tuple(part[start:stop] for part in state)
    return state[start:stop]


def _join(states: list) -> Any:
    if isinstance(states[0], tuple):
        return tuple(flambeau.cat(parts) for parts in zip(*states))
    return flambeau.cat(states)


def _scan(layer: _Layer, x: Tensor, state: Any, reverse: bool) -> tuple[Tensor, Any]:
    """A layer over a sequence ``(L, N, H)`` of equal lengths."""
    steps = list(F.linear(x, layer.w_ih, layer.b_ih).unbind(0))  # the input's product in one go
    outputs = []
    for step in reversed(steps) if reverse else steps:
        state = layer.step(step, state)
        outputs.append(_hidden_of(state))
    if reverse:
        outputs.reverse()
    return flambeau.stack(outputs), state


def _scan_packed(layer: _Layer, x: Tensor, state: Any, sizes: list[int], reverse: bool) -> tuple[Tensor, Any]:
    """A layer over packed sequences of falling lengths: ``sizes[t]`` of them reach step t."""
    steps = list(F.linear(x, layer.w_ih, layer.b_ih).split(sizes))
    outputs = []
    if reverse:
        begin = state
        state = _narrow(begin, 0, sizes[-1])
        for step, size in zip(reversed(steps), reversed(sizes)):
            have = _hidden_of(state).shape[0]
            if size > have:
                state = _join([state, _narrow(begin, have, size)])
            state = layer.step(step, state)
            outputs.append(_hidden_of(state))
        outputs.reverse()
        return flambeau.cat(outputs), state
    ended = []
    for step, size in zip(steps, sizes):
        have = _hidden_of(state).shape[0]
        if size < have:
            ended.append(_narrow(state, size, have))
            state = _narrow(state, 0, size)
        state = layer.step(step, state)
        outputs.append(_hidden_of(state))
    ended.append(state)
    return flambeau.cat(outputs), _join(ended[::-1])


# -- layers ------------------------------------------------------------------------------------------------

#: weights of one direction in the order of the operator; absent ones are None
_OWN = 5


def _own_weights(network: Any, names: list[str]) -> list[Tensor | None]:
    """The weights of one direction of one layer: w_ih, w_hh, b_ih, b_hh, w_hr."""
    w_ih, w_hh, *rest = (getattr(network, name) for name in names)
    biases = (rest[0], rest[1]) if network.bias else (None, None)
    return [w_ih, w_hh, *biases, rest[-1] if network.proj_size > 0 else None]


def _composed_layer(
    mode: str, x: Tensor, hidden: Tensor | None, cell: Tensor | None, weights: list, batch: int, sizes: Any
) -> tuple[Tensor, Tensor, Tensor | None]:
    """A layer in one or both directions in terms of operators: output, last states, last cells."""
    outputs, last = [], []
    for direction in range(len(weights) // _OWN):
        layer = _Layer(mode, weights[direction * _OWN : (direction + 1) * _OWN])
        begin = layer.begin(x, batch, hidden, cell, direction)
        if sizes is None:
            output, end = _scan(layer, x, begin, direction == 1)
        else:
            output, end = _scan_packed(layer, x, begin, sizes, direction == 1)
        outputs.append(output)
        last.append(end if isinstance(end, tuple) else (end,))
    parts = [flambeau.stack(list(part)) for part in zip(*last)]
    joined = outputs[0] if len(outputs) == 1 else flambeau.cat(outputs, -1)
    return joined, parts[0], parts[1] if mode == "LSTM" else None


def _gradients(
    incoming: tuple, inputs: tuple, wanted: tuple[bool, ...], sizes: Tensor | None, mode: str, batch: int
) -> list:
    """Gradients of a layer as part of a graph: of its composed form, run again."""
    x, hidden, cell, *weights = inputs
    present = weights if weights[_OWN] is not None else weights[:_OWN]
    steps = None if sizes is None else sizes.tolist()
    results = _composed_layer(mode, x, hidden, cell, present, batch, steps)
    pairs = [(r, g) for r, g in zip(results, incoming) if r is not None]
    targets = [one for one, needed in zip(inputs, wanted, strict=True) if needed]
    return list(
        flambeau.autograd.grad([r for r, _ in pairs], targets, [g for _, g in pairs], create_graph=True)
    )


COMPOSED.append(_gradients)
_PLAIN = (Tensor, Parameter)


def _one_call(x: Tensor, others: list[Tensor | None]) -> bool:
    """Whether the operator of a whole layer serves these."""
    where = x._layout
    if where.dtype.name not in ("float32", "float64") or where.device.type != "cpu" or where.numel == 0:
        return False
    return type(x) in _PLAIN and all(
        w is None or type(w) in _PLAIN and w._layout.dtype is where.dtype for w in others
    )


def _layer(
    mode: str, x: Tensor, hidden: Tensor | None, cell: Tensor | None, weights: list, batch: int, sizes: Any
) -> tuple:
    """One layer: by one native call where there is one for its types."""
    given = [hidden, cell, *weights]
    if not _one_call(x, given):
        steps = None if sizes is None else sizes.tolist()
        return _composed_layer(mode, x, hidden, cell, weights, batch, steps)
    save = flambeau.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, *given))
    padding = [None] * (2 * _OWN - len(weights))
    return ops.recurrent_layer(x, sizes, hidden, cell, *weights, *padding, mode, batch, save)[:3]


def _part(state: Tensor | None, start: int, stop: int) -> Tensor | None:
    """The states of some directions of layers."""
    return state if state is None or state.shape[0] == stop - start else state[start:stop]


def sequence(
    mode: str, x: Tensor, hidden: Any, weights: list[list], batch_sizes: Tensor | None, *, directions: int,
    dropout: float, batch_first: bool,
) -> tuple[Tensor, Any]:  # fmt: skip
    """All layers and directions of a network over a batch of sequences.

    hidden: the first states (and cells); None stands for zeros. weights: of each layer and direction in turn
    w_ih, w_hh, b_ih, b_hh, w_hr. dropout: share zeroed between layers.

    Returns:
        The outputs of the last layer and the last states of all layers.
    """
    turn = batch_first and batch_sizes is None
    x = x.transpose(0, 1) if turn else x
    if x.shape[0] == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    batch = x.shape[1] if batch_sizes is None else int(batch_sizes[0])
    states, cells = hidden if isinstance(hidden, tuple) else (hidden, None)
    ends: list = []
    for start in range(0, len(weights), directions):
        stop = start + directions
        own = [w for one in weights[start:stop] for w in one]
        x, *last = _layer(
            mode, x, _part(states, start, stop), _part(cells, start, stop), own, batch, batch_sizes
        )
        ends.append(last)
        if dropout > 0 and stop < len(weights):
            x = F.dropout(x, dropout, True)
    final = [
        parts[0] if len(parts) == 1 else flambeau.cat(list(parts))
        for parts in zip(*ends)
        if parts[0] is not None
    ]
    return (x.transpose(0, 1) if turn else x), (tuple(final[:2]) if mode == "LSTM" else final[0])


def run(network: Any, x: Tensor, hidden: Any, batch_sizes: Tensor | None) -> tuple[Tensor, Any]:
    """`sequence` with the weights and options of an `RNNBase`."""
    weights = [_own_weights(network, names) for names in network._all_weights]
    dropout = network.dropout if network.training else 0.0
    directions = 2 if network.bidirectional else 1
    return sequence(
        network.mode, x, hidden, weights, batch_sizes, directions=directions, dropout=dropout,
        batch_first=network.batch_first,
    )  # fmt: skip


def cell(mode: str, x: Tensor, hidden: Tensor | None, state: Tensor | None, weights: tuple) -> tuple:
    """One step of a network: the new state and cell of ``(N, H)`` inputs, as a sequence of length one."""
    first = None if hidden is None else hidden.unsqueeze(0)
    inner = None if state is None else state.unsqueeze(0)
    output, _, last = _layer(mode, x.unsqueeze(0), first, inner, [*weights, None], x.shape[0], None)
    return output.squeeze(0), last.squeeze(0) if mode == "LSTM" else None
