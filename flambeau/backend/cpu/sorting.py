"""The schedules of sorting and selection along a dimension."""

from __future__ import annotations

from math import prod

from ...base.layout import contiguous_strides
from . import jit, top_kernels
from . import select_kernels as select
from . import sorting_kernels as kernels
from .schedule import item_bytes
from .sorting_kernels import WIDE, SortTemplate
from .types import BY_CODE

LONG = 1 << 16  # rows from here on are shared by the threads
CLASSIC = 4096  # rows up to here are selected from by comparisons, which leave ties as others' libraries do
BLOCK = 1 << 15  # elements of a long row that one thread takes at a time, at least


class Rows:
    """The input as contiguous rows along one dimension, and where results go."""

    def __init__(self, call, descending: bool, keep: int):
        where = call.inputs[0]
        self.call, self.where = call, where
        dim = call.values["dim"]
        order = [d for d in range(where.ndim) if d != dim] + ([dim] if where.ndim else [])
        self.order = order
        shape = [where.shape[d] for d in order]
        self.length = shape[-1] if shape else 1
        self.count = prod(shape[:-1])
        if self.length >= 1 << 32:
            raise RuntimeError(f"sorting rows of {self.length} elements: indices have 32 bits here")
        self.keep = keep
        code = where.dtype.code
        if self.direct and where.contiguous:
            self.word = call.input(0)
        else:
            self.word = call.copy_in(call.input(0), shape, [where.strides[d] for d in order], code, code)
        memory = BY_CODE[code]
        bits = 64 if memory.bytes == 8 else 32 if memory.kind == "float" else 8 * memory.bytes
        self.template = SortTemplate(
            memory, bits, bits <= 32, descending, jit.vector_bytes() // memory.register.bytes
        )
        size = self.count * keep
        self.values = call.out(0) if self.direct else call.scratch(size * item_bytes(code))
        self.indices = call.out(1) if self.direct else call.scratch(size * 8)

    @property
    def direct(self) -> bool:
        """Whether the rows lie in memory as they should."""
        return self.order == sorted(self.order)

    def buffers(self) -> tuple[list[int], list[int]]:
        """Frame words of two buffers of keys, and two of indices (where those are apart)."""
        total = self.count * self.length
        keys = [self.call.scratch(8 * total) for _ in range(2)]
        places = keys if self.template.packed else [self.call.scratch(4 * total) for _ in range(2)]
        return keys, places

    def native(self, kernel, parameters, n: int, chunk: int) -> None:
        self.call.native(kernel, {"S": self.template}, parameters, n, max(1, chunk))

    def deliver(self) -> None:
        """Copy results to the outputs where the rows are not the last dimension."""
        if self.direct:
            return
        for place, out, word in (
            (0, self.call.outputs[0], self.values),
            (1, self.call.outputs[1], self.indices),
        ):
            dims = self.order if out.ndim == self.where.ndim else []
            shape = [out.shape[d] for d in dims] if dims else list(out.shape)
            strides = [out.strides[d] for d in dims] if dims else list(out.strides)
            code = out.dtype.code
            self.call.pointwise(
                [(code, strides, self.call.out(place))],
                [(code, contiguous_strides(shape), word)],
                lambda x: x,
                shape,
            )


def sort(call) -> None:
    """Sort along values["dim"]: values and indices. Stable but for short rows of bools, where all is ties
    (see CLASSIC).
    """
    if call.inputs[0].numel == 0:
        return
    rows = Rows(
        call,
        bool(call.values["descending"]),
        call.inputs[0].shape[call.values["dim"]] if call.inputs[0].ndim else 1,
    )
    if rows.where.dtype.kind == 0 and not call.values["stable"] and rows.length <= 2 * CLASSIC:
        keys, places = rows.buffers()
        parameters = [rows.word, rows.values, rows.indices, keys[0], places[0], rows.length]
        rows.native(select.classic_rows, parameters, rows.count, 8192 // rows.length)
    elif rows.length >= LONG and rows.count < 8:
        _sort_long(rows)
    else:
        keys, places = rows.buffers()
        parameters = [rows.word, rows.values, rows.indices, *keys, *places, rows.length, rows.length]
        rows.native(kernels.sort_rows, parameters, rows.count, 8192 // rows.length)
    rows.deliver()


def blocks_of(length: int) -> tuple[int, int]:
    """How many blocks a long row is cut into, and their length: by the length only, so that results never
    vary.
    """
    blocks = max(1, min(32, length // BLOCK))
    return blocks, -(-length // blocks)


def _sort_long(rows: Rows) -> None:
    call, n, count = rows.call, rows.length, rows.count
    keys, places = rows.buffers()
    blocks, size = blocks_of(n)
    counters = call.scratch(4 * count * blocks << WIDE)
    state = call.scratch(16 * count)
    rows.native(kernels.build_keys, [rows.word, keys[0], places[0], n], n * count, BLOCK)
    shared = [*keys, *places, counters, state, n, blocks, size]
    rows.native(kernels.clear_state, shared, count, count)
    low = 32 if rows.template.packed else 0
    for shift in range(0, rows.template.bits, WIDE):
        parameters = [*shared, low + shift]
        rows.native(kernels.count_digits, parameters, count * blocks, 1)
        rows.native(kernels.digit_starts, parameters, count, 1)
        rows.native(kernels.scatter_digits, parameters, count * blocks, 1)
        rows.native(kernels.end_pass, parameters, count, count)
    parameters = [*keys, *places, rows.word, state, rows.values, rows.indices, n]
    rows.native(kernels.write_sorted, parameters, n * count, BLOCK)


def topk(call) -> None:
    """The first values["k"] along values["dim"] in order."""
    k = call.values["k"]
    if k == 0 or call.inputs[0].numel == 0:
        return
    rows = Rows(call, bool(call.values["largest"]), k)
    keys, places = rows.buffers()
    parameters = [rows.word, rows.values, rows.indices, *keys, *places, rows.length, k]
    blocks, size = blocks_of(rows.length)
    if rows.length >= LONG and rows.count < 8 and 64 * k <= rows.length - (blocks - 1) * size:
        rows.native(top_kernels.top_blocks, [*parameters, blocks, size], rows.count * blocks, 1)
        rows.native(top_kernels.top_merge, [*parameters, blocks, size], rows.count, 1)
    elif 64 * k <= rows.length or rows.length <= CLASSIC:
        rows.native(top_kernels.top_rows, parameters, rows.count, 32768 // rows.length)
    else:
        rows.native(select.select_rows, [*parameters, select.FIRST_K], rows.count, 8192 // rows.length)
    rows.deliver()


def rank(call) -> None:
    """The element of one rank along values["dim"]: values["which"] is rank (with values["k"]), median or
    nanmedian.
    """
    if call.outputs[0].numel == 0:
        return
    rows = Rows(call, False, 1)
    keys, places = rows.buffers()
    if call.values["which"] == "rank" and rows.length <= CLASSIC:
        parameters = [
            rows.word,
            call.out(0),
            call.out(1),
            keys[0],
            places[0],
            rows.length,
            call.values["k"] - 1,
        ]
        rows.native(select.quick_rows, parameters, rows.count, 8192 // rows.length)
        return
    mode = {"rank": select.RANK, "median": select.MEDIAN, "nanmedian": select.NANMEDIAN}[call.values["which"]]
    parameters = [rows.word, call.out(0), call.out(1), *keys, *places, rows.length, call.values["k"], mode]
    rows.native(select.select_rows, parameters, rows.count, 8192 // rows.length)


def mode(call) -> None:
    """The most frequent element along values["dim"]."""
    if call.outputs[0].numel == 0:
        return
    rows = Rows(call, False, 1)
    keys, places = rows.buffers()
    parameters = [rows.word, call.out(0), call.out(1), *keys, *places, rows.length, CLASSIC]
    rows.native(select.mode_rows, parameters, rows.count, 8192 // rows.length)
