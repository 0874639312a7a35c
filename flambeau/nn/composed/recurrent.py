"""Recurrent networks in terms of operators: a step of each kind, and whole sequences of them."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.nn import functional as F
from flambeau.nn.parameter import Parameter
from flambeau.ops.define import ops
from flambeau.tensor.tensor import Tensor


def rnn_cell(
    x: Tensor, hidden: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih=None, b_hh=None, nonlinearity: str = "tanh"
) -> Tensor:
    """One step of a plain recurrent network."""
    return _rnn_step(F.linear(x, w_ih, b_ih), hidden, w_hh, b_hh, nonlinearity)


def lstm_cell(x: Tensor, state: tuple[Tensor, Tensor], w_ih: Tensor, w_hh: Tensor, b_ih=None, b_hh=None):
    """One step of an LSTM; returns the new hidden state and cell."""
    return _lstm_step(F.linear(x, w_ih, b_ih), state, w_hh, b_hh, None)


def gru_cell(x: Tensor, hidden: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih=None, b_hh=None) -> Tensor:
    """One step of a GRU."""
    return _gru_step(F.linear(x, w_ih, b_ih), hidden, w_hh, b_hh)


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

    def __init__(self, mode: str, weights: list[Tensor], bias: bool, projected: bool) -> None:
        rest = list(weights)
        self.mode = mode
        self.w_ih, self.w_hh = rest.pop(0), rest.pop(0)
        self.b_ih, self.b_hh = (rest.pop(0), rest.pop(0)) if bias else (None, None)
        self.w_hr = rest.pop(0) if projected else None

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


def _state_at(hidden: Any, start: int, stop: int) -> tuple[Tensor | None, Tensor | None]:
    """The states and cells of some directions of layers."""
    if hidden is None:
        return None, None
    if isinstance(hidden, tuple):
        return tuple(part if part.shape[0] == stop - start else part[start:stop] for part in hidden)
    return (hidden if hidden.shape[0] == stop - start else hidden[start:stop]), None


def _composed_layer(
    mode: str, x: Tensor, state: tuple, weights: list[list[Tensor]], bias: bool, projected: bool, sizes: Any
) -> tuple[Tensor, list]:
    """A layer in both directions in terms of operators; gives the last state of each direction."""
    outputs, last = [], []
    for direction, own in enumerate(weights):
        layer = _Layer(mode, own, bias, projected)
        hidden, cell = (None if part is None else part[direction] for part in state)
        begin = hidden if cell is None else (hidden, cell)
        if sizes is None:
            output, end = _scan(layer, x, begin, direction == 1)
        else:
            output, end = _scan_packed(layer, x, begin, sizes, direction == 1)
        outputs.append(output)
        last.append(end)
    return (outputs[0] if len(outputs) == 1 else flambeau.cat(outputs, -1)), last


def _one_call(x: Tensor, weights: list[Tensor]) -> bool:
    """Whether the operator of a whole layer serves these."""
    where = x._layout
    if where.dtype.name not in ("float32", "float64") or where.device.type != "cpu" or where.numel == 0:
        return False
    return all(type(w) in _PLAIN and w._layout.dtype is where.dtype for w in weights)


_PLAIN = (Tensor, Parameter)


def run(network: Any, x: Tensor, hidden: Any, batch_sizes: Tensor | None) -> tuple[Tensor, Any]:
    """All layers and directions of an `RNNBase` over a batch of sequences.

    Returns:
        The outputs of the last layer and the last states of all layers.
    """
    turn = network.batch_first and batch_sizes is None
    x = x.transpose(0, 1) if turn else x
    directions = 2 if network.bidirectional else 1
    weights = network.all_weights
    save = flambeau.is_grad_enabled()
    batch = x.shape[1] if batch_sizes is None else int(batch_sizes[0])
    last: list = []
    for number in range(network.num_layers):
        own = weights[number * directions : (number + 1) * directions]
        state = _state_at(hidden, number * directions, (number + 1) * directions)
        flat = []
        for one in own:
            w_ih, w_hh, *rest = one
            b_ih, b_hh = (rest[0], rest[1]) if network.bias else (None, None)
            flat += [w_ih, w_hh, b_ih, b_hh, rest[-1] if network.proj_size > 0 else None]
        flat += [None] * (10 - len(flat))
        found = ops.recurrent_layer(x, batch_sizes, *state, *flat, network.mode, batch, save)
        x = found[0]
        last.append(found[1:3])
        if network.dropout > 0 and network.training and number < network.num_layers - 1:
            x = F.dropout(x, network.dropout, True)
    def final(k: int) -> Tensor:
        return last[0][k] if len(last) == 1 else flambeau.cat([one[k] for one in last])
    return (x.transpose(0, 1) if turn else x), ((final(0), final(1)) if network.mode == "LSTM" else final(0))
