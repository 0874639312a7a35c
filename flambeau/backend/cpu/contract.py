"""Schedules of matrix products: from layouts to the operands of gemm.product."""

from __future__ import annotations

from math import prod

from ...base.layout import Layout, broadcast_strides, view_strides
from . import gemm, reduce
from .gemm import Operand, Slot
from .schedule import SubCall


def matrix(word: int, where: Layout, batch, *, row: bool) -> Operand:
    """A tensor as a (batched) matrix; a vector is a row (`row`) or a column."""
    if where.ndim == 1:
        s = where.strides[0]
        return Operand(word, 0, (0,) * len(batch), 0 if row else s, s if row else 0)
    lead = broadcast_strides(where.shape[:-2], where.strides[:-2], batch)
    return Operand(word, 0, lead, where.strides[-2], where.strides[-1])


def product(call) -> None:
    """result = a @ b."""
    a, b = call.inputs[:2]
    out = call.outputs[0]
    m = a.shape[-2] if a.ndim > 1 else 1
    n = b.shape[-1] if b.ndim > 1 else 1
    rows = (a.ndim > 1) + (b.ndim > 1)
    batch = out.shape[: out.ndim - rows]
    step = n
    lead = out.strides[: len(batch)]
    target = Operand(call.out(0), 0, tuple(lead), step, 1)
    run(call, a.dtype.code, m, n, a.shape[-1], matrix(call.input(0), a, batch, row=True),
        matrix(call.input(1), b, batch, row=False), target, batch)  # fmt: skip


def run(call, code, m, n, k, a, b, out, batch=(), **more) -> None:
    """Add the steps of a product to a call, and note for the compiler how they can be made again."""
    found: list[tuple[int, int]] = []

    def scratch(nbytes: int) -> int:
        found.append((nbytes, call.scratch(nbytes)))
        return found[-1][1]

    given = dict(code=code, m=m, n=n, k=k, a=a, b=b, out=out, batch=tuple(batch), **more)
    steps = gemm.product(**given, scratch=scratch)
    if steps:
        call.known[len(call.steps)] = gemm.Known(given, tuple(found), len(steps))
    for one in steps:
        call.step(*one)


def added(call) -> None:
    """result = beta * input + alpha * a @ b; beta is the first scalar, alpha the second."""
    where, a, b = call.inputs
    out = call.outputs[0]
    batch = out.shape[:-2]
    strides = broadcast_strides(where.shape, where.strides, out.shape)
    bias = Operand(call.input(0), 0, tuple(strides[:-2]), strides[-2], strides[-1])
    target = Operand(call.out(0), 0, tuple(out.strides[:-2]), out.strides[-2], out.strides[-1])
    run(call, a.dtype.code, a.shape[-2], b.shape[-1], a.shape[-1], matrix(call.input(1), a, batch, row=True),
        matrix(call.input(2), b, batch, row=False), target, batch, bias=bias, beta=Slot(call.scalar(0)),
        alpha=Slot(call.scalar(1)))  # fmt: skip


def row_matrix(call, k: int) -> tuple[int, int, int, int]:
    """Input k as a matrix of its last dimension's rows: frame word, rows, stride of a row, of a column."""
    where = call.inputs[k]
    rows = prod(where.shape[:-1])
    lead = view_strides(where.shape[:-1], where.strides[:-1], (rows,)) if where.numel else (1,)
    if lead is None:
        return call.contiguous(k), rows, where.shape[-1], 1
    return call.input(k), rows, lead[0], where.strides[-1]


def linear_weight(call) -> None:
    """result = grad.T @ input, both as matrices of rows."""
    out = call.outputs[0]
    g, rows, g_row, g_column = row_matrix(call, 0)
    x, _, x_row, x_column = row_matrix(call, 1)
    a = Operand(g, 0, (), g_column, g_row)
    b = Operand(x, 0, (), x_row, x_column)
    target = Operand(call.out(0), 0, (), out.strides[0], 1)
    run(call, out.dtype.code, out.shape[0], out.shape[1], rows, a, b, target)


def linear_backward(call) -> None:
    """The wanted ones of grad @ weight, grad.T @ input and the sum of grad's rows, each of them an output."""
    out = iter(range(len(call.outputs)))
    g, rows, g_row, g_column = row_matrix(call, 0)
    where = call.inputs[0]
    n, code = where.shape[-1], where.dtype.code
    if call.values["need_input"]:
        k, weight = next(out), call.inputs[2]
        a, b = Operand(g, 0, (), g_row, g_column), Operand(call.input(2), 0, (), *weight.strides)
        run(call, code, rows, weight.shape[1], n, a, b, Operand(call.out(k), 0, (), weight.shape[1], 1))
    if call.values["need_weight"]:
        k, size = next(out), call.inputs[1].shape[-1]
        x, _, x_row, x_column = row_matrix(call, 1)
        a, b = Operand(g, 0, (), g_column, g_row), Operand(x, 0, (), x_row, x_column)
        run(call, code, n, size, rows, a, b, Operand(call.out(k), 0, (), size, 1))
    if call.values["need_bias"]:
        k = next(out)
        rules = call.rules.bias_sum
        computed, _ = rules.accumulate(where.dtype)
        part = SubCall(
            call, [0], [k], rules=rules, compute=computed, dims=tuple(range(where.ndim - 1)), scalar_names=[]
        )
        reduce.reduce(part)


def linear(call) -> None:
    """result = input @ weight.T + bias."""
    where, weight, bias = call.inputs
    out = call.outputs[0]
    k = where.shape[-1]
    n = weight.shape[0] if weight.ndim == 2 else 1
    w = Operand(call.input(1), 0, (), weight.strides[-1], weight.strides[0] if weight.ndim == 2 else 0)
    batch = where.shape[:-2]
    m = where.shape[-2] if where.ndim > 1 else 1
    lead = tuple(where.strides[:-2])
    x = Operand(call.input(0), 0, lead, where.strides[-2] if where.ndim > 1 else 0, where.strides[-1])
    w = w._replace(batch=(0,) * len(batch))
    step = n
    out_lead, size = [], m * n
    for length in reversed(batch):
        out_lead.insert(0, size)
        size *= length
    target = Operand(call.out(0), 0, tuple(out_lead), step, 1)
    more = {}
    if bias is not None:
        full = broadcast_strides(bias.shape, bias.strides, out.shape if weight.ndim == 2 else (*out.shape, 1))
        full = (0,) * (2 - len(full)) + tuple(full)
        more["bias"] = Operand(call.input(2), 0, tuple(full[:-2]), full[-2], full[-1])
    run(call, where.dtype.code, m, n, k, x, w, target, batch, **more)
