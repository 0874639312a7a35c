"""Schedules of the convolution operators: from layouts to the steps that conv.py plans."""

from __future__ import annotations

from . import conv


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


def weight(call) -> None:
    where, grad = call.inputs
    scratch = call.scratch(64)
    place = len(call.scratches) - 1
    made = conv.backward_weight(
        where.dtype, where.shape, call.outputs[0].shape, out_slot=call.out(0), grad_slot=call.input(1),
        input_slot=call.input(0), scratch_slot=scratch, grad_shape=grad.shape, input_strides=where.strides,
        grad_strides=grad.strides, **_options(call),
    )  # fmt: skip
    _add(call, place, made)
