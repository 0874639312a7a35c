"""Schedules of the pooling operators: from layouts to the steps that pool.py plans."""

from __future__ import annotations

from . import pool


def _add(call, schedule, place: int | None = None) -> None:
    if place is not None:
        call.scratches[place] = max(64, schedule.scratch_bytes)
    for one in schedule.steps:
        call.step(*one)


def _window(call) -> dict:
    v = call.values
    return {
        "kernel": v["kernel_size"],
        "stride": v["stride"],
        "padding": v["padding"],
        "ceil_mode": v["ceil_mode"],
    }


def _average(call) -> dict:
    v = call.values
    return {"count_include_pad": v["count_include_pad"], "divisor_override": v["divisor_override"]}


def _ends(call) -> dict:
    where = call.inputs[0]
    return {"out_slot": call.out(0), "input_slot": call.input(0), "input_strides": where.strides,
            "out_strides": call.outputs[0].strides}  # fmt: skip


def max_pool(call) -> None:
    where = call.inputs[0]
    _add(call, pool.max_pool(where.dtype, where.shape, dilation=call.values["dilation"], index_slot=call.out(1),
                             **_window(call), **_ends(call)))  # fmt: skip


def adaptive_max_pool(call) -> None:
    where = call.inputs[0]
    _add(
        call,
        pool.adaptive_max_pool(
            where.dtype, where.shape, call.values["output_size"], index_slot=call.out(1), **_ends(call)
        ),
    )


def avg_pool(call) -> None:
    where = call.inputs[0]
    _add(call, pool.avg_pool(where.dtype, where.shape, **_window(call), **_average(call), **_ends(call)))


def adaptive_avg_pool(call) -> None:
    where = call.inputs[0]
    _add(call, pool.adaptive_avg_pool(where.dtype, where.shape, call.values["output_size"], **_ends(call)))


def max_pool_gradient(call) -> None:
    grad = call.inputs[0]
    call.refuses = True
    _add(call, pool.max_pool_backward(grad.dtype, call.values["shape"], grad.shape, out_slot=call.out(0),
                                      grad_slot=call.input(0), index_slot=call.contiguous(1), grad_strides=grad.strides))  # fmt: skip


def _gradient(call) -> tuple[dict, int]:
    grad = call.inputs[0]
    scratch = call.scratch(64)
    slots = {
        "out_slot": call.out(0),
        "grad_slot": call.input(0),
        "scratch_slot": scratch,
        "grad_strides": grad.strides,
    }
    return slots, len(call.scratches) - 1


def avg_pool_gradient(call) -> None:
    slots, place = _gradient(call)
    shape = call.values["shape"]
    _add(
        call,
        pool.avg_pool_backward(call.inputs[0].dtype, shape, **_window(call), **_average(call), **slots),
        place,
    )


def adaptive_avg_pool_gradient(call) -> None:
    slots, place = _gradient(call)
    v = call.values
    _add(
        call,
        pool.adaptive_avg_pool_backward(call.inputs[0].dtype, v["shape"], v["output_size"], **slots),
        place,
    )
