"""Schedules for stacks of small real matrices, by kernels of our own; LAPACK takes the large and the complex ones."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from ...base.errors import LinAlgError
from ...base.layout import Layout, contiguous_strides
from ...ir.expr import fabs, log
from . import lapack
from .small_kernels import (
    cholesky_each,
    determinants,
    factorise_each,
    first_failure,
    solve_each,
    triangles_left,
    triangles_right,
)  # fmt: skip
from .types import BY_CODE

LARGEST = (
    32  # up to here unblocked loops keep up with LAPACK, which costs some microseconds a call from Python
)
UNROLLED = 8  # sizes that get kernels of their own
WORK = 1 << 16  # multiplications that one thread takes at a time


def fits(where: Layout) -> bool:
    """Whether these kernels take a stack of square matrices: real, small, not empty."""
    return where.dtype.kind == 2 and where.shape[-1] == where.shape[-2] <= LARGEST and where.numel > 0


def or_lapack(schedule: Callable, other: Callable) -> Callable:
    """`schedule` where the first matrices suit it, else `other`."""

    def chosen(call):
        first = call.inputs[0]
        second = call.inputs[1] if len(call.inputs) > 1 else first
        return schedule(call) if fits(first) and second.numel else other(call)

    return chosen


def statics_of(where: Layout, **more) -> dict:
    n = where.shape[-1]
    return {"T": BY_CODE[where.dtype.code], "N": n if n <= UNROLLED else 0, **more}


def run(call, kernel, statics: dict, parameters, columns: int = 0) -> None:
    """One step over all matrices, shared between threads."""
    where = call.inputs[0]
    n = where.shape[-1]
    call.native(kernel, statics, parameters, prod(where.shape[:-2]), max(1, WORK // (n * n * (n + columns))))


def copy(call, k: int, target: int | None = None) -> int:
    """Frame word of a contiguous copy of input k, in `target` or in scratch memory."""
    where = call.inputs[k]
    code = where.dtype.code
    if target is None:
        return call.copy_in(call.input(k), where.shape, where.strides, code, code)
    out = [(code, contiguous_strides(where.shape), target)]
    call.pointwise(out, [(code, where.strides, call.input(k))], lambda x: x, where.shape)
    return target


def ints(call) -> int:
    """Frame word of scratch memory for a pivot of each row."""
    where = call.inputs[0]
    return call.scratch(4 * prod(where.shape[:-1]))


def refuse(call, codes: int, word: Callable) -> None:
    """Raise for the first matrix whose code is not 0; `word(code)` gives the text behind the batch element."""
    name, where = call.values["name"], call.inputs[0]
    if not name:
        return

    def how(_, code: int, number: int) -> Exception:
        return LinAlgError(f"{name}: {lapack.one_of(where.ndim - 2, number)}{word(code)}")

    call.native(first_failure, {}, [codes, prod(where.shape[:-2])], 1, 1)
    call.refuses = how


def _lu(call) -> None:
    where = call.inputs[0]
    made = copy(call, 0, call.out(0))
    run(call, factorise_each, statics_of(where), [made, call.out(1), call.out(2), where.shape[-1]])
    refuse(call, call.out(2), lapack.NO_PIVOT.format)


def _inverse(call) -> None:
    where = call.inputs[0]
    n = where.shape[-1]
    careful = int(bool(call.values["name"]))
    parameters = [copy(call, 0), ints(call), call.out(1), call.out(0), n, n, careful]
    run(call, solve_each, statics_of(where, IDENTITY=True), parameters, n)
    refuse(call, call.out(1), lapack.SINGULAR.format)


def _solve(call) -> None:
    where, columns = call.inputs[0], call.inputs[1].shape[-1]
    right = copy(call, 1, call.out(0))
    careful = int(bool(call.values["name"]))
    parameters = [copy(call, 0), ints(call), call.out(1), right, where.shape[-1], columns, careful]
    run(call, solve_each, statics_of(where, IDENTITY=False), parameters, columns)
    refuse(call, call.out(1), lambda code: lapack.UNSOLVED)


def _determinant(call) -> None:
    where = call.inputs[0]
    shape = where.shape[:-2]
    parts = [call.scratch(8 * prod(shape)) for _ in range(2)]
    parameters = [copy(call, 0), ints(call), call.out(0), call.out(1), *parts, where.shape[-1]]
    run(call, determinants, statics_of(where), parameters)
    strides = contiguous_strides(shape)
    call.pointwise([(where.dtype.code, strides, call.out(2))], [("f64", strides, p) for p in parts],
                   lambda mantissa, exponent: log(fabs(mantissa)) + exponent * 0.6931471805599453, shape)  # fmt: skip


def _cholesky(call) -> None:
    where, upper = call.inputs[0], bool(call.values["upper"])
    parameters = [call.contiguous(0), call.out(0), call.out(1), where.shape[-1]]
    run(call, cholesky_each, statics_of(where, UPPER=upper), parameters)
    refuse(call, call.out(1), lapack.NOT_POSITIVE.format)


def _triangular(call) -> None:
    values, where, right = call.values, call.inputs[0], call.inputs[1]
    left = values["left"]
    m = right.shape[-1] if left else right.shape[-2]
    statics = statics_of(where, UPPER=bool(values["upper"]), UNIT=bool(values["unitriangular"]))
    target = copy(call, 1, call.out(0))
    kernel = triangles_left if left else triangles_right
    run(call, kernel, statics, [call.contiguous(0), target, where.shape[-1], m], m)


lu, inverse = or_lapack(_lu, lapack.lu), or_lapack(_inverse, lapack.inverse)
solve, determinant = or_lapack(_solve, lapack.solve), or_lapack(_determinant, lapack.determinant)
cholesky, triangular = or_lapack(_cholesky, lapack.cholesky), or_lapack(_triangular, lapack.triangular)
