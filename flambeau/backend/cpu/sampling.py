"""Schedules of `grid_sample`: which points or channels make an item of work."""

from __future__ import annotations

from types import SimpleNamespace

from . import jit
from .builder import Module
from .native import define
from .sampling_kernels import sample, sample_grid_gradient, sample_input_gradient
from .types import BY_CODE

TAPS = {"nearest": 1, "bilinear": 2, "bicubic": 4}
#: points of an item, and items that channels are cut into at least
POINTS, PIECES = 512, 16


def _kernel(kernel, call, code: str, dims: int) -> int:
    """Address of a kernel for this kind of sampling."""
    mode, padding, align = (call.values[name] for name in ("mode", "padding_mode", "align_corners"))
    t = BY_CODE[code]
    lanes = jit.vector_bytes() // t.bytes
    slopes = kernel is sample_grid_gradient
    shape = SimpleNamespace(T=t, L=lanes, DIMS=dims, MODE=mode, PADDING=padding, ALIGN=align,
                            TAPS=TAPS[mode] ** dims, SLOPES=slopes)  # fmt: skip
    name = kernel.__name__
    key = f"{name} {kernel.fingerprint()} {(code, dims, mode, padding, align, lanes)!r}"
    found = _made.get(key)
    if found is None:

        def text() -> str:
            module = Module()
            define(module, name, kernel, {"S": shape})
            return module.text()

        (found,) = jit.build(key, text, [name])
        _made[key] = found
    return found


_made: dict[str, int] = {}


def _real(code: str) -> str:
    return "f64" if code == "f64" else "f32"


def _finish(call, k: int, code: str, inner: str, place: int) -> None:
    """Round a result that was computed in a wider type."""
    if place != call.out(k):
        count = call.outputs[k].numel
        call.pointwise([(code, (1,), call.out(k))], [(inner, (1,), place)], lambda x: x, (count,))


def _place(call, k: int, code: str, inner: str) -> int:
    return call.out(k) if code == inner else call.scratch(call.outputs[k].numel * BY_CODE[inner].bytes)


def _points(grid) -> int:
    count = 1
    for n in grid.shape[1:-1]:
        count *= n
    return count


def grid_sample(call) -> None:
    """The result (N, C, *points)."""
    where, grid = call.inputs
    code, dims = where.dtype.code, where.ndim - 2
    inner = _real(code)
    points = _points(grid)
    place = _place(call, 0, code, inner)
    words = [call.contiguous(0, inner), call.contiguous(1, inner), 0, place, where.shape[1], points,
             -(-points // POINTS), POINTS, where.shape[0], *where.shape[2:]]  # fmt: skip
    call.step(_kernel(sample, call, inner, dims), words, where.shape[0] * -(-points // POINTS), 1)
    _finish(call, 0, code, inner, place)


def grid_sample_backward(call) -> None:
    """The gradients that `wanted` names, of the input and of the grid."""
    _, where, grid = call.inputs
    code, dims = where.dtype.code, where.ndim - 2
    inner = _real(code)
    points, (batch, channels) = _points(grid), where.shape[:2]
    g, x, q = (call.contiguous(k, inner) for k in range(3))
    wanted = call.values["wanted"]
    k = 0
    if wanted[0]:
        place = _place(call, k, code, inner)
        step = max(1, -(-channels * batch // PIECES))
        step = min(channels, max(step, 4))
        chunks = -(-channels // step)
        words = [x, q, g, place, channels, points, chunks, step, batch, *where.shape[2:]]
        call.step(_kernel(sample_input_gradient, call, inner, dims), words, batch * chunks, 1)
        _finish(call, k, code, inner, place)
        k += 1
    if wanted[1]:
        place = _place(call, k, code, inner)
        if call.values["mode"] == "nearest":
            count = call.outputs[k].numel
            call.pointwise([(inner, (1,), place)], [(inner, (0,), q)], lambda v: 0.0, (count,))
        else:
            chunks = -(-points // POINTS)
            words = [x, q, g, place, channels, points, chunks, POINTS, batch, *where.shape[2:]]
            call.step(_kernel(sample_grid_gradient, call, inner, dims), words, batch * chunks, 1)
        _finish(call, k, code, inner, place)
