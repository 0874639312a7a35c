"""Recurrent layers over whole sequences, as one operator."""

from __future__ import annotations

from ..base import dtype as types
from ..base.layout import contiguous_layout
from . import define
from .define import op, ops
from .kinds import Opaque

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
#: gradients(incoming, inputs, wanted, sizes, mode, batch) in differentiable operators, for gradients of
#: gradients; set where the composed network is
COMPOSED: list = []
_WEIGHTS = (
    "Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor? w_hr, Tensor? w_ih_reverse, "
    "Tensor? w_hh_reverse, Tensor? b_ih_reverse, Tensor? b_hh_reverse, Tensor? w_hr_reverse"
)


@op(
    f"recurrent_layer(Tensor input, Tensor? sizes, Tensor? hidden, Tensor? cell, {_WEIGHTS}, str mode, "
    "int batch, bool save) -> (Tensor, Tensor, Tensor, Tensor)",
    function=False, method=False,
)  # fmt: skip
class RecurrentLayer(Opaque):
    """One layer of an RNN, LSTM or GRU, in one or both directions, over all steps.

    Gives the output, the last state and cell of each direction, and what the backward pass needs (`save`).
    sizes: how many sequences reach each step, for packed ones. batch: the number of sequences.
    Shape: input ``(L, N, H_in)``, or ``(rows, H_in)`` with `sizes`; states ``(D, N, H)``.
    """

    algorithm = "recurrent.forward"
    nondifferentiable = (3,)

    def layouts(input, w_ih, w_hh, w_ih_reverse, mode, batch, save):
        directions = 1 if w_ih_reverse is None else 2
        gates = GATES[mode]
        hidden, state = w_ih.shape[0] // gates, w_hh.shape[1]
        rows = input.numel // input.shape[-1]

        def made(*shape):
            return contiguous_layout(shape, input.dtype, input.device)

        kept = (gates + 1) * hidden * rows * directions if save and gates > 1 else 0
        return [
            made(*input.shape[:-1], directions * state),
            made(directions, batch, state),
            made(directions, batch, hidden) if mode == "LSTM" else made(0),
            # bytes, so that no gradient is ever made for it
            contiguous_layout((kept * input.dtype.itemsize,), types.uint8, input.device),
        ]

    def d_all(g0, g1, g2, input, sizes, hidden, cell, w_ih, w_hh, b_ih, b_hh, w_hr, w_ih_reverse,
              w_hh_reverse, b_ih_reverse, b_hh_reverse, w_hr_reverse, mode, batch, result0, result3,
              needs):  # fmt: skip
        weights = (
            w_ih,
            w_hh,
            b_ih,
            b_hh,
            w_hr,
            w_ih_reverse,
            w_hh_reverse,
            b_ih_reverse,
            b_hh_reverse,
            w_hr_reverse,
        )
        wanted = tuple(needed for name, needed in needs.items() if name != "sizes")
        if define.RECORDING[0]():
            found = iter(
                COMPOSED[0]((g0, g1, g2), (input, hidden, cell, *weights), wanted, sizes, mode, batch)
            )
        else:
            found = ops.recurrent_layer_backward(
                g0, g1, g2 if mode == "LSTM" else None, input, sizes, hidden, cell, w_ih, w_hh, w_hr,
                w_ih_reverse, w_hh_reverse, w_hr_reverse, result0, result3, mode, batch, wanted,
            )  # fmt: skip
            found = iter(found if isinstance(found, tuple) else (found,))
        all_found = [next(found) if one else None for one in wanted]
        return (all_found[0], None, *all_found[1:])


@op(
    "recurrent_layer_backward(Tensor grad, Tensor grad_hidden, Tensor? grad_cell, Tensor input, "
    "Tensor? sizes, Tensor? hidden, Tensor? cell, Tensor w_ih, Tensor w_hh, Tensor? w_hr, "
    "Tensor? w_ih_reverse, Tensor? w_hh_reverse, Tensor? w_hr_reverse, Tensor output, Tensor reserve, "
    "str mode, int batch, any wanted) -> "
    f"({', '.join(['Tensor'] * 13)})",
    function=False, method=False,
)  # fmt: skip
class RecurrentLayerBackward(Opaque):
    """Gradients of a recurrent layer for what is `wanted` of input, hidden, cell and the ten weights."""

    algorithm = "recurrent.backward"

    def layouts(input, hidden, cell, w_ih, w_hh, w_hr, w_ih_reverse, w_hh_reverse, w_hr_reverse, wanted):
        bias, bias_reverse = (
            None if w is None else contiguous_layout(w.shape[:1], w.dtype, w.device)
            for w in (w_ih, w_ih_reverse)
        )
        all_of = [input, hidden, cell, w_ih, w_hh, bias, bias, w_hr]
        all_of += [w_ih_reverse, w_hh_reverse, bias_reverse, bias_reverse, w_hr_reverse]
        return [
            contiguous_layout(one.shape, one.dtype, one.device)
            for one, needed in zip(all_of, wanted, strict=True)
            if needed
        ]
