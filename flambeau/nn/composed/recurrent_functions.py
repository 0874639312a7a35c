"""Recurrent networks as functions of their weights: ``torch.lstm``, ``torch.gru_cell`` and their kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.base.errors import require
from flambeau.tensor.tensor import Tensor

from .recurrent import cell, sequence


def _weights(params: Sequence[Tensor], has_biases: bool, projected: bool) -> list[list]:
    """The flat list of weights as w_ih, w_hh, b_ih, b_hh, w_hr of each layer and direction."""
    each = 2 + 2 * has_biases + projected
    require(len(params) % each == 0, f"got an incorrect number of RNN parameters: {len(params)}")
    found = []
    for start in range(0, len(params), each):
        w_ih, w_hh, *rest = params[start : start + each]
        biases = rest[:2] if has_biases else [None, None]
        found.append([w_ih, w_hh, *biases, rest[-1] if projected else None])
    return found


def _whole(mode: str) -> Callable:
    """The function over sequences of one kind of network, padded or packed."""

    def function(input: Tensor, *args: Any) -> tuple[Tensor, ...]:
        packed = isinstance(args[1], (Tensor, tuple, list)) and not isinstance(args[2], bool)
        sizes, args = (args[0], args[1:]) if packed else (None, args)
        hx, params, has_biases, _, dropout, train, bidirectional, *first = args
        hidden = tuple(hx) if mode == "LSTM" else hx
        projected = mode == "LSTM" and hidden[0].shape[2] != hidden[1].shape[2]
        output, last = sequence(
            mode, input, hidden, _weights(params, has_biases, projected), sizes,
            directions=2 if bidirectional else 1, dropout=dropout if train else 0.0,
            batch_first=bool(first and first[0]),
        )  # fmt: skip
        return (output, *last) if isinstance(last, tuple) else (output, last)

    function.__doc__ = (
        f"``{mode.lower()}(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, "
        "batch_first)``, or ``(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, "
        "bidirectional)``: a network over sequences, by its weights."
    )
    function.__name__ = function.__qualname__ = mode.lower()
    return function


lstm, gru, rnn_tanh, rnn_relu = (_whole(mode) for mode in ("LSTM", "GRU", "RNN_TANH", "RNN_RELU"))


def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM: the new state and cell."""
    return cell("LSTM", input, hx[0], hx[1], (w_ih, w_hh, b_ih, b_hh))


def _one(mode: str, name: str) -> Callable:
    def function(
        input: Tensor,
        hx: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Tensor:
        return cell(mode, input, hx, None, (w_ih, w_hh, b_ih, b_hh))[0]

    function.__doc__ = f"One step of a network of the kind {mode}: the new state."
    function.__name__ = function.__qualname__ = name
    return function


gru_cell = _one("GRU", "gru_cell")
rnn_tanh_cell, rnn_relu_cell = _one("RNN_TANH", "rnn_tanh_cell"), _one("RNN_RELU", "rnn_relu_cell")
