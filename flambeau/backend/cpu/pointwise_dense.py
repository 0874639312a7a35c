"""The pointwise schedule for dense operands: one loop of whole vectors, written as such.

Compiling these takes two thirds of the time that a vectorised loop of elements takes, and elements left over at the end go by
in one masked vector. Large results are written past the caches.
"""

from __future__ import annotations

from . import jit, streaming
from .builder import Builder, Value
from .native import drain, stream
from .pointwise_tiled import vectorises
from .types import BY_CODE, i32, i64, vec

COMPLEX = ("c64", "c128")
#: what has no instruction for vectors: a loop of elements decides better
ELEMENTWISE = frozenset({"mod", "fmod"})


def _dense(codes, n_out: int, kinds) -> bool:
    return not any(c in COMPLEX for c in codes) and all(k == 1 for k in kinds[:n_out])


def in_vectors(function, codes, n_out: int, kinds) -> bool:
    """Whether a loop of steps 0 and 1 is written in vectors: if the processor has masks for all types, the function forms."""
    return jit.has_feature("avx512bw") and _dense(codes, n_out, kinds) and vectorises(function, ELEMENTWISE)


def _streamed_lanes(sizes: list[int], n_out: int) -> int:
    """Elements that a streaming loop takes at a time: two registers of the largest type, whose arithmetic is interleaved
    (more have to leave tables and constants in memory); up to four where an output's line is longer.
    """
    register = jit.vector_bytes() // max(sizes)
    return min(4 * register, max(2 * register, streaming.LINE // min(sizes[:n_out])))


def streams(function, codes, n_out: int, kinds, total: int) -> bool:
    """Whether a flat loop writes its results past the caches."""
    if not _dense(codes, n_out, kinds):
        return False
    sizes = [BY_CODE[c].bytes for c in codes]
    whole = min(sizes[:n_out]) * _streamed_lanes(sizes, n_out) >= streaming.LINE
    return whole and streaming.worthwhile(total * sum(sizes[:n_out])) and vectorises(function, ELEMENTWISE)


def vectors(b: Builder, function, codes, n_out: int, kinds, bases, begin, end, numbers) -> None:
    """Whole registers of elements, then the rest under a mask."""
    types = [BY_CODE[c] for c in codes]
    lanes = jit.vector_bytes() // max(max(t.register.bytes for t in types), 1)
    rest = b.binary("and", b.binary("sub", end, begin), lanes - 1)
    whole = b.binary("sub", end, rest)

    def apply(i, load, store) -> None:
        inputs = []
        for k in range(n_out, len(codes)):
            inputs.append(load(b.offset(bases[k], i), vec(types[k], lanes)) if kinds[k] else b.load(bases[k]))
        for k, x in enumerate(function(b, inputs, numbers)):
            store(b.offset(bases[k], i), x if x.type.lanes else b.splat(x, lanes))

    b.loop(begin, whole, lanes, lambda i: apply(i, b.load, b.store), unroll=None)
    some, done = b.label("some"), b.label("none")
    b.branch(b.compare("ne", rest, 0), some, done)
    b.place(some)
    t = vec(i32, lanes)
    numbered = Value(t, "<" + ", ".join(f"i32 {k}" for k in range(lanes)) + ">")
    mask = b.compare("lt", numbered, b.splat(b.convert(rest, i32), lanes))
    apply(whole, lambda p, t: b.masked_load(p, mask, t), lambda p, x: b.masked_store(p, x, mask))
    b.begin(done)


def streamed(b, function, codes, n_out, kinds, bases, begin, end, numbers, element) -> None:
    """Whole lines of the results by streaming stores, elements before and after them one by one.

    All of it goes one by one where the results' lines do not begin together, or where a result is written over an
    input: its lines are in the cache then.
    """
    sizes = [BY_CODE[c].bytes for c in codes]
    starts = [b.convert(base, i64) for base in bases]
    lanes = _streamed_lanes(sizes, n_out)
    done = b.binary("add", b.binary("div", starts[0], sizes[0]), begin)
    head = b.binary("and", b.binary("sub", 0, done), streaming.LINE // sizes[0] - 1)
    first = b.binary("add", begin, head)
    fits = b.compare("lt", first, end)
    for k in range(n_out):
        at = b.binary("add", starts[k], b.binary("mul", first, sizes[k]))
        fits = b.binary("and", fits, b.compare("eq", b.binary("and", at, streaming.LINE - 1), 0))
        for j in range(n_out, len(codes)):
            fits = b.binary("and", fits, b.compare("ne", starts[k], starts[j]))
    first = b.select(fits, first, end)
    last = b.binary("sub", end, b.binary("and", b.binary("sub", end, first), lanes - 1))

    def lines(i):
        inputs = []
        for k in range(n_out, len(codes)):
            t = BY_CODE[codes[k]]
            inputs.append(b.load(b.offset(bases[k], i), vec(t, lanes)) if kinds[k] else b.load(bases[k]))
        for k, x in enumerate(function(b, inputs, numbers)):
            stream.run(b, b.offset(bases[k], i), x if x.type.lanes else b.splat(x, lanes), streaming.LINE)

    def rest(k):
        before = b.compare("eq", k, 0)
        b.loop(b.select(before, begin, last), b.select(before, first, end), 1, element, independent=True)

    b.loop(first, last, lanes, lines, unroll=None)
    drain.run(b)
    b.loop(0, 2, 1, rest, unroll=None)
