"""Schedules of the convolution operators: from layouts to the steps that conv.py plans."""

from __future__ import annotations

from . import conv, winograd
from .pieces import Cuts, Pieces
from .winograd import Geometry, Planes


def _options(call) -> dict:
    values = call.values
    return {k: values[k] for k in ("stride", "padding", "dilation", "groups")}


def _add(call, place: int, schedule) -> None:
    call.scratches[place] = max(64, schedule.scratch_bytes)
    for one in schedule.steps:
        call.step(*one)


def convolution(call) -> None:
    where, weight, bias = call.inputs
    out = call.outputs[0]
    if out.numel == 0:
        return
    w = call.contiguous(1)
    b = call.contiguous(2) if bias is not None else None
    geometry = tiled(call, where, out, weight)
    if geometry is not None:
        finished = winograd.convolve(call, geometry, planes(call.input(0), where), w, planes(call.out(0), out), b,
                                     bool(call.values["transposed"]))  # fmt: skip
        note(call, out, finished)
        return
    scratch = call.scratch(64)
    place = len(call.scratches) - 1
    common = {"bias_slot": b, "out_slot": call.out(0), "weight_slot": w, "scratch_slot": scratch,
              "out_strides": out.strides, **_options(call)}  # fmt: skip
    if call.values["transposed"]:
        made = conv.backward_input(where.dtype, out.shape, weight.shape, grad_slot=call.input(0), grad_shape=where.shape,
                                   grad_strides=where.strides, **common)  # fmt: skip
    else:
        made = conv.forward(where.dtype, where.shape, weight.shape, input_slot=call.input(0), input_strides=where.strides,
                            **common)  # fmt: skip
    _add(call, place, made)
    note(call, out, [(len(call.steps) - 1, made.cuts)] if made.cuts else [])


def note(call, out, finished: list[tuple[int, Cuts]]) -> None:
    """Tell a compiler by which steps the result is finished, and how their tasks share it."""
    if finished and out.contiguous:
        first = finished[0][0]
        steps = tuple((step - first, cuts) for step, cuts in finished)
        call.known[first] = Pieces(call.out(0), out.dtype.code, out.shape, steps)


def tiled(call, where, out, weight, gradient: bool = False) -> Geometry | None:
    """The geometry of a convolution that Winograd's filtering does faster; None for the others."""
    values = call.values
    stride, padding, dilation = values["stride"], values["padding"], values["dilation"]
    plain = where.ndim == 4 and tuple(weight.shape[2:]) == (3, 3) and values["groups"] == 1
    if not plain or where.dtype.code != "f32" or any(x != 1 for x in (*stride, *dilation)):
        return None
    if where.strides[3] != 1 or out.strides[3] != 1 or any(values.get("output_padding") or ()):
        return None
    sides = tuple(2 - p for p in padding) if values.get("transposed") else tuple(padding)
    if min(sides) < 0:
        return None
    g = Geometry(where.shape[0], where.shape[1], out.shape[1], *where.shape[2:], sides, *out.shape[2:])
    return g if winograd.pays(g, gradient) else None


def planes(word: int, where) -> Planes:
    return Planes(word, *where.strides[:3])


def weight(call) -> None:
    where, grad = call.inputs
    geometry = tiled(call, where, grad, call.outputs[0], True)
    if geometry is not None:
        winograd.weight_gradient(
            call, geometry, planes(call.input(0), where), planes(call.input(1), grad), call.out(0)
        )
        return
    scratch = call.scratch(64)
    place = len(call.scratches) - 1
    made = conv.backward_weight(
        where.dtype, where.shape, call.outputs[0].shape, out_slot=call.out(0), grad_slot=call.input(1),
        input_slot=call.input(0), scratch_slot=scratch, grad_shape=grad.shape, input_strides=where.strides,
        grad_strides=grad.strides, **_options(call),
    )  # fmt: skip
    _add(call, place, made)
