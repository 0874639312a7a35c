"""Schedules of Fourier transforms: by kernels of our own where a length has no other factors than 2, 3 and 5, else by
`numpy.fft`."""

from __future__ import annotations

import math
import struct

from ...base.layout import contiguous_strides
from . import fft_numpy as with_numpy
from .fft_kernels import ANY, NEIGHBOURS, OUTER, ROWS, at, from_pairs, to_pairs, transform
from .types import f32, f64

LONGEST = 2048  # a block of longer transforms leaves the second cache: they are done in two halves
TASKS = 32  # areas of scratch memory, and shares of the work
WORK = 1 << 15  # elements below which one task does it all


def radices(n: int) -> list[int] | None:
    """The steps of a transform of length n; None where another prime divides it."""
    found = []
    for radix in (4, 2, 3, 5):
        while n % radix == 0:
            found.append(radix)
            n //= radix
    return found if n == 1 else None


def halves(n: int) -> tuple[int, int] | None:
    """Two factors of about the same size, each short enough; None where there are none."""
    for first in range(math.isqrt(n), 0, -1):
        if n % first == 0:
            second = n // first
            return (first, second) if second <= LONGEST else None
    return None


def direct(n: int) -> bool:
    """Whether the kernels do this length."""
    return n > 0 and radices(n) is not None and (n <= LONGEST or halves(n) is not None)


# -- tables ----------------------------------------------------------------------------------------------------------------


def packed(values, kind) -> list[int]:
    """Reals in the kernel's type, as words of the parameters."""
    values = list(values)
    if kind is f64:
        return [struct.unpack("q", struct.pack("d", v))[0] for v in values]
    values += [0.0] * (len(values) % 2)
    data = struct.pack(f"{len(values)}f", *values)
    return list(struct.unpack(f"{len(values) // 2}q", data))


def roots(numbers, n: int):
    """Real and imaginary parts of ``exp(-2 pi i k / n)``, one after the other."""
    import numpy as np

    angles = (np.asarray(numbers, dtype=np.int64) % n) * (-2 * math.pi / n)
    return np.stack([np.cos(angles), np.sin(angles)], -1).reshape(-1).tolist()


def stages(n: int) -> tuple[list[int], list[float]]:
    """Radix, length, stride and place of the factors of each step; the factors."""
    table: list[int] = []
    factors: list[float] = []
    left, stride = n, 1
    for radix in radices(n) or []:
        m = left // radix
        table += [radix, m, stride, len(factors)]
        factors += roots([p * k for p in range(m) for k in range(1, radix)], left)
        left, stride = m, stride * radix
    return table, factors


# -- one dimension -----------------------------------------------------------------------------------------------------


def merged(dims):
    """Dimensions (size, source stride, target stride) with neighbours joined where both memories allow it."""
    found: list = []
    for size, source, target in dims:
        if size == 1:
            continue
        if found and found[-1][1] == size * source and found[-1][2] == size * target:
            found[-1] = (found[-1][0] * size, source, target)
        else:
            found.append((size, source, target))
    return found


def lanes_first(dims):
    """The dimension that the lanes run over, neighbours in memory if there are enough, else the largest; the others."""
    dims = merged(dims)
    if not dims:
        return (1, 0, 0), []
    near = [k for k, (size, source, target) in enumerate(dims) if source == 1 and target == 1 and size >= 8]
    chosen = near[0] if near else max(range(len(dims)), key=lambda k: (min(dims[k][0], 16), k))
    return dims[chosen], dims[:chosen] + dims[chosen + 1 :]


def mode(lane: int, step: int) -> int:
    return NEIGHBOURS if lane == 1 else ROWS if step == 1 else ANY


def along(call, kind, n: int, steps, lane, dims, words, flip: bool, scale: float, turned: int = 0) -> None:
    """One step of the program: transforms of length n.

    steps: distance of elements in source and target. lane, dims: (size, source stride, target stride) of the dimension
    that the lanes run over, and of the others. words: frame words of source and target. turned: length of the whole
    transform of which this is the first half.
    """
    wide = 16 if kind is f32 else 8
    blocks = -(-lane[0] // wide)
    total = blocks * math.prod(d[0] for d in dims)
    tasks = min(total, TASKS if total * n * wide > WORK else 1)
    table, factors = stages(n)
    parameters = [0] * OUTER + [w for d in dims for w in d]
    places = {}

    def append(name: str, values: list[int]) -> None:
        places[name] = len(parameters)
        parameters.extend(values)

    append("stage_table", table)
    append("factors", packed(factors, kind))
    if turned:
        append("turns", packed(roots([j * b * wide for b in range(blocks) for j in range(n)], turned), kind))
        pairs = [roots([j * k for k in range(wide)], turned) for j in range(n)]
        append("turn_lanes", packed([x for p in pairs for x in (*p[::2], *p[1::2])], kind))
    known = places | {
        "source": words[0], "target": words[1], "scratch": call.scratch(tasks * n * 4 * wide * kind.bytes), "n": n,
        "lanes": lane[0], "source_lane": lane[1], "target_lane": lane[2], "source_step": steps[0],
        "target_step": steps[1], "stages": len(table) // 4, "flip": int(flip), "scale": float(scale), "tasks": tasks,
        "blocks": blocks, "total": total, "dims": len(dims),
    }  # fmt: skip
    for name, value in known.items():
        parameters[getattr(at, name)] = value
    statics = {"T": kind, "L": wide, "TURN": bool(turned), "LOAD": mode(lane[1], steps[0]),
               "STORE": mode(lane[2], steps[1])}  # fmt: skip
    call.native(transform, statics, parameters, tasks, 1)


def one_dimension(call, kind, shape, strides, targets, dim: int, words, flip: bool, scale: float) -> None:
    """Transforms along one dimension of any length that `direct` allows; strides of source and target."""
    n, step, to = shape[dim], strides[dim], targets[dim]
    rest = [d for d in range(len(shape)) if d != dim]
    first, second = halves(n) or (1, n)
    # Too few transforms to fill the lanes: those of the halves do.
    few = math.prod(shape) < 8 * n and first >= 8
    if n <= LONGEST and not few:
        lane, dims = lanes_first([(shape[d], strides[d], targets[d]) for d in rest])
        along(call, kind, n, (step, to), lane, dims, words, flip, scale)
        return
    between = call.scratch(math.prod(shape) * 2 * kind.bytes)
    own = contiguous_strides((*[shape[d] for d in rest], n))
    dims = merged([(shape[d], strides[d], o) for d, o in zip(rest, own)])
    along(
        call, kind, first, (step * second, second), (second, step, 1), dims, (words[0], between), flip, 1.0, n
    )
    dims = merged([(shape[d], o, targets[d]) for d, o in zip(rest, own)])
    along(call, kind, second, (1, to * first), (first, second, to), dims, (between, words[1]), flip, scale)


# -- schedules -----------------------------------------------------------------------------------------------------------


def kernel_type(code: str):
    return f64 if code in ("c128", "f64") else f32


def complex_to_complex(call) -> None:
    """Along each dimension in turn, the first from the input and the others in place."""
    values, where, out = call.values, call.inputs[0], call.outputs[0]
    dims = list(values["dim"])
    if not dims or not where.numel or not all(direct(where.shape[d]) for d in dims):
        return with_numpy.complex_to_complex(call)
    kind, flip = kernel_type(where.dtype.code), not values["forward"]
    source, word = where.strides, call.input(0)
    for dim in sorted(dims, reverse=True):
        scale = values["scale"] if dim == min(dims) else 1.0
        one_dimension(call, kind, where.shape, source, out.strides, dim, (word, call.out(0)), flip, scale)
        source, word = out.strides, call.out(0)


def paired(n: int) -> bool:
    """Whether real rows of this length are done as complex ones of half of it."""
    return n >= 2 and n % 2 == 0 and direct(n // 2)


def dim_last(shape, dim: int):
    """A shape with one dimension moved to the end, and the strides of the original's order in such memory."""
    order = [*(d for d in range(len(shape)) if d != dim), dim]
    own = contiguous_strides([shape[d] for d in order])
    strides = [0] * len(shape)
    for d, stride in zip(order, own):
        strides[d] = stride
    return tuple(shape[d] for d in order), tuple(strides)


def pair_step(call, kernel, kind, words, shape, m: int, scale: float = 1.0) -> None:
    """One step over rows of a real transform of length 2 m."""
    parameters = [*words, m, float(scale), 5, *packed(roots(list(range(m)), 2 * m), kind)]
    call.native(kernel, {"T": kind}, parameters, math.prod(shape) // shape[-1], max(1, WORK // m))


def real_to_complex(call) -> None:
    """The last dimension by pairs, then the others."""
    values, where, out = call.values, call.inputs[0], call.outputs[0]
    *others, last = values["dim"]
    n = where.shape[last]
    if not where.numel or not paired(n) or not all(direct(where.shape[d]) for d in others):
        return with_numpy.real_to_complex(call)
    kind, code, m = kernel_type(where.dtype.code), out.dtype.code, n // 2
    shape, strides = dim_last(where.shape, last)
    real = call.input(0)
    if where.strides != strides:
        real = call.scratch(kind.bytes * where.numel)
        call.pointwise([(where.dtype.code, strides, real)], [(where.dtype.code, where.strides, call.input(0))],
                       lambda x: x, where.shape)  # fmt: skip
    halved = (*shape[:-1], m)
    own = contiguous_strides(halved)
    pairs = call.scratch(kind.bytes * where.numel)
    one_dimension(call, kind, halved, own, own, len(shape) - 1, (real, pairs), False, 1.0)
    there = last == len(shape) - 1
    target = call.out(0) if there else call.scratch(out.nbytes)
    pair_step(call, from_pairs, kind, (pairs, target), halved, m, values["scale"])
    if not there:
        rows = dim_last(out.shape, last)[1]
        call.pointwise([(code, out.strides, call.out(0))], [(code, rows, target)], lambda x: x, out.shape)
    for dim in others:
        words = (call.out(0), call.out(0))
        one_dimension(call, kind, out.shape, out.strides, out.strides, dim, words, False, 1.0)


def complex_to_real(call) -> None:
    """The other dimensions first, then the last by pairs."""
    values, where, out = call.values, call.inputs[0], call.outputs[0]
    *others, last = values["dim"]
    n = values["size"]
    fits = where.shape[last] == n // 2 + 1 and paired(n)
    if not where.numel or not fits or not all(direct(where.shape[d]) for d in others):
        return with_numpy.complex_to_real(call)
    kind, code, m = kernel_type(where.dtype.code), where.dtype.code, n // 2
    shape, strides = dim_last(where.shape, last)
    word, source = call.input(0), where.strides
    if others or source != strides:
        made = call.scratch(where.nbytes)
        for dim in others:
            one_dimension(call, kind, where.shape, source, strides, dim, (word, made), True, 1.0)
            word, source = made, strides
        if not others:
            call.pointwise([(code, strides, made)], [(code, source, word)], lambda x: x, where.shape)
        word = made
    halved = (*shape[:-1], m)
    own = contiguous_strides(halved)
    pairs = call.scratch(math.prod(halved) * 2 * kind.bytes)
    pair_step(call, to_pairs, kind, (word, pairs), halved, m)
    there = last == len(shape) - 1
    target = call.out(0) if there else call.scratch(out.nbytes)
    one_dimension(call, kind, halved, own, own, len(shape) - 1, (pairs, target), True, values["scale"])
    if not there:
        rows = dim_last(out.shape, last)[1]
        kinds = out.dtype.code
        call.pointwise([(kinds, out.strides, call.out(0))], [(kinds, rows, target)], lambda x: x, out.shape)
