"""The pointwise schedule: one loop over any number of strided operands, with a scalar function inside.

Dimensions are ordered by the output's strides and merged where every operand allows it, so a dense call is one flat
loop. Kernels take sizes and strides at run time; only the kind of each operand's innermost stride (0, 1 or any) and
the types are compiled in.

Parameters: the frame words of the operands and of the scalars; a strided kernel goes on with the number of outer
dimensions, the inner size, the inner stride of each operand, then for each outer dimension from the innermost: size,
stride of each operand. Strides count elements.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import jit
from . import pointwise_dense as dense
from . import pointwise_tiled as tiled
from .builder import Builder, Module, Value
from .emit import ScalarFunction
from .types import BY_CODE, f32, f64, i64, ptr

_kernels: dict[tuple, int] = {}

#: above this cost an element's arithmetic hides its scattered loads, and a tile's kernel would be long
TILED_COST = 60
PARTS = {"c64": f32, "c128": f64}


def merge(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """Order dimensions by the first operand's strides (then the others') and merge what can be one loop.

    Gives sizes and per-operand strides from the outermost to the innermost; at least one dimension.
    """
    dims = [d for d in range(len(shape)) if shape[d] != 1]
    dims.sort(key=lambda d: tuple(-abs(s[d]) for s in strides))
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for d in dims:
        if sizes and all(s[-1] == o[d] * shape[d] for s, o in zip(steps, strides)):
            sizes[-1] *= shape[d]
            for s, o in zip(steps, strides):
                s[-1] = o[d]
        else:
            sizes.append(shape[d])
            for s, o in zip(steps, strides):
                s.append(o[d])
    if not sizes:
        sizes = [1]
        for s in steps:
            s.append(1)
    return sizes, steps


def step(
    function: ScalarFunction,
    shape: Sequence[int],
    operands: Sequence[tuple[str, Sequence[int], int]],
    n_out: int,
    scalars: Sequence[tuple[str, int]] = (),
    cost: int = 1,
    hot: bool = False,
) -> tuple[int, list[int], int, int]:
    """A program step. operands: (type code, strides, frame word), outputs first; scalars: (type code, frame word).

    hot: that it runs over what is in the cache already, piece by piece.
    """
    sizes, steps = merge(shape, [o[1] for o in operands])
    total = 1
    for n in sizes:
        total *= n
    codes = tuple(o[0] for o in operands)
    parameters = [o[2] for o in operands] + [s[1] for s in scalars]
    inner = tuple(s[-1] for s in steps)
    flat = len(sizes) == 1
    tiles = None if flat or cost > TILED_COST else tiled.plan(sizes, steps, codes, n_out)
    if tiles and all(c not in PARTS for c, _ in scalars) and tiled.vectorises(function):
        rows, kinds = tiles
        lanes = tiled.lanes_of(codes)
        words, count = tiled.parameters(sizes, steps, rows, lanes)
        address = tiled_kernel(function, codes, n_out, kinds, tuple(s[0] for s in scalars), lanes)
        return address, parameters + words, count, max(1, 16384 // lanes**2)
    kinds = tuple(x if x in (0, 1) else 2 for x in inner)
    flat = flat and 2 not in kinds
    streamed = flat and not hot and dense.streams(function, codes, n_out, kinds, total)
    address = kernel(function, codes, n_out, kinds, flat, tuple(s[0] for s in scalars), streamed)
    chunk = max(1024, 32768 // max(1, cost // 4))
    if flat:
        return address, parameters, total, chunk
    parameters += [len(sizes) - 1, sizes[-1], *inner]
    for d in range(len(sizes) - 2, -1, -1):
        parameters.append(sizes[d])
        parameters.extend(s[d] for s in steps)
    if sizes[-1] < chunk:
        chunk = max(1, chunk // sizes[-1]) * sizes[-1]
    return address, parameters, total, chunk


def kernel(function, codes, n_out, kinds, flat, scalars, streamed=False) -> int:
    """Address of the compiled kernel."""
    key = (function.fingerprint(), codes, n_out, kinds, flat, scalars, streamed)
    found = _kernels.get(key)
    if found is None:

        def text() -> str:
            return write(function, codes, n_out, kinds, flat, scalars, streamed)

        found = _kernels[key] = jit.later("pointwise8" + repr(key), text, ["kernel"])[0]
    return found


def tiled_kernel(function, codes, n_out, kinds, scalars, lanes) -> int:
    """Address of a compiled kernel of the tiled schedule."""
    key = ("tiled", function.fingerprint(), codes, n_out, kinds, scalars, lanes)
    found = _kernels.get(key)
    if found is None:

        def text() -> str:
            return tiled.write(function, codes, n_out, kinds, scalars, lanes)

        found = _kernels[key] = jit.later("pointwise-tiled2" + repr(key), text, ["kernel"])[0]
    return found


def write(function, codes, n_out, kinds, flat, scalars, streamed=False) -> str:
    """The kernel's LLVM text."""
    module = Module()
    b = Builder(module, "kernel", [("frame", ptr(i64)), ("params", ptr(i64)), ("begin", i64), ("end", i64)])
    frame, params, begin, end = b.params
    refuse = b.variable(i64)
    b.assign(refuse, 0)
    bases = []
    for k, code in enumerate(codes):
        t = PARTS.get(code) or BY_CODE[code]
        bases.append(b.convert(b.load(b.offset(frame, b.load(b.offset(params, k)))), ptr(t)))
    numbers: list[Value] = []
    for k, code in enumerate(scalars):
        slot = b.load(b.offset(params, len(codes) + k))
        word = b.load(b.offset(frame, slot))
        if code in PARTS:
            part = b.convert(b.bitcast(word, f64), PARTS[code])
            more = b.load(b.offset(frame, b.binary("add", slot, 1)))
            numbers += [part, b.convert(b.bitcast(more, f64), PARTS[code])]
        else:
            t = BY_CODE[code].register
            numbers.append(b.convert(b.bitcast(word, f64), t) if t.kind == "float" else b.convert(word, t))

    def element(i):
        _element(b, function, codes, n_out, kinds, bases, None, i, numbers, refuse)

    if streamed:
        dense.streamed(b, function, codes, n_out, kinds, bases, begin, end, numbers, element)
    elif flat and dense.in_vectors(function, codes, n_out, kinds):
        dense.vectors(b, function, codes, n_out, kinds, bases, begin, end, numbers)
    elif flat:
        b.loop(begin, end, 1, element, independent=True)
    else:
        block = b.offset(params, len(codes) + len(scalars))
        _strided(b, function, codes, n_out, kinds, bases, block, begin, end, numbers, refuse)
    seen = b.value(refuse)
    bad, done = b.label("refused"), b.label("done")
    b.branch(b.compare("ne", seen, 0), bad, done)
    b.place(bad)
    b.store(frame, seen)
    b.begin(done)
    b.finish()
    return module.text()


def _element(b, function, codes, n_out, kinds, bases, strides, i, numbers, refuse) -> None:
    """Load one element of every input, apply the function, store the outputs."""

    def place(k):
        at = b.constant(0, i64) if kinds[k] == 0 else i if kinds[k] == 1 else b.binary("mul", i, strides[k])
        if codes[k] in PARTS:
            first = b.offset(bases[k], b.binary("mul", at, 2))
            return [first, b.offset(first, 1)]
        return [b.offset(bases[k], at)]

    inputs = [b.load(p) for k in range(n_out, len(codes)) for p in place(k)]
    values = iter(function(b, inputs, numbers, refuse))
    for k in range(n_out):
        for p in place(k):
            b.store(p, next(values))


def _strided(b, function, codes, n_out, kinds, bases, params, begin, end, numbers, refuse) -> None:
    """Walk [begin, end) of the flattened index space row by row."""
    n = len(codes)
    outer = b.load(params)
    inner = b.load(b.offset(params, 1))
    strides = [b.load(b.offset(params, 2 + k)) for k in range(n)]
    position = b.variable(i64)
    b.assign(position, begin)
    head, body, done = b.label("rows"), b.label("row"), b.label("end")
    b.begin(head)
    now = b.value(position)
    b.branch(b.compare("lt", now, end), body, done)
    b.place(body)
    row = b.binary("div", now, inner)
    start = b.binary("sub", now, b.binary("mul", row, inner))
    rest = b.variable(i64)
    b.assign(rest, row)
    moves = [b.variable(i64) for _ in range(n)]
    for k in range(n):
        b.assign(moves[k], b.binary("mul", start, strides[k]))
    block = b.offset(params, 2 + n)

    def dimension(d):
        at = b.offset(block, b.binary("mul", d, 1 + n))
        size = b.load(at)
        left = b.value(rest)
        quotient = b.binary("div", left, size)
        index = b.binary("sub", left, b.binary("mul", quotient, size))
        b.assign(rest, quotient)
        for k in range(n):
            b.assign(moves[k], b.binary("add", moves[k], b.binary("mul", index, b.load(b.offset(at, 1 + k)))))

    b.loop(0, outer, 1, dimension, unroll=None)
    here = []
    for k in range(n):
        move = b.value(moves[k])
        here.append(b.offset(bases[k], b.binary("mul", move, 2) if codes[k] in PARTS else move))
    left, room = b.binary("sub", end, now), b.binary("sub", inner, start)
    count = b.select(b.compare("lt", left, room), left, room)
    if 2 not in kinds and dense.in_vectors(function, codes, n_out, kinds):
        dense.vectors(b, function, codes, n_out, kinds, here, b.constant(0, i64), count, numbers)
    else:
        b.loop(0, count, 1, lambda i: _element(b, function, codes, n_out, kinds, here, strides, i, numbers, refuse),
               independent=True)  # fmt: skip
    b.assign(position, b.binary("add", now, count))
    b.jump(head)
    b.place(done)
