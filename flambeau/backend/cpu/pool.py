"""Pooling schedules of the CPU back end: steps of programs (see `runtime.program`), for one to three axes."""

from __future__ import annotations

from math import prod

from . import jit, pool_kernels
from .conv import Schedule, Shape, contiguous
from .conv_kernels import FLAG_WORDS, Statics
from .conv_plan import Tables, areas, kernel
from .conv_weight_kernels import clear_areas
from .pool_kernels import POOL, SCATTER, SPREAD, PoolStatics
from .types import BY_CODE, f32

#: elements of input below which sharing work between threads costs more than it gives
SHARE = 30_000
#: outputs in a row from which lanes along the row pay
ROW = 4


class Window:
    """The windows of one axis: size, stride, padding, dilation; or adaptive, where only sizes are known."""

    def __init__(
        self, size: int, out: int, kernel=0, stride=1, padding=0, dilation=1, include_pad=True, adaptive=False
    ):
        self.size, self.out = size, out
        self.kernel, self.stride, self.padding, self.dilation = kernel, stride, padding, dilation
        self.include_pad, self.adaptive = include_pad, adaptive

    def span(self, o: int) -> tuple[int, int]:
        """First and one past the last input of output `o` (dilation aside)."""
        if self.adaptive:
            return o * self.size // self.out, -(-(o + 1) * self.size // self.out)
        first = o * self.stride - self.padding
        return max(first, 0), min(first + self.kernel, self.size)

    def divisor(self, o: int) -> int:
        """How many elements count in an average."""
        first, last = self.span(o)
        if self.include_pad and not self.adaptive:
            first = o * self.stride - self.padding
            last = min(first + self.kernel, self.size + self.padding)
        return max(1, last - first)

    def lanes(self, count: int) -> list[int]:
        """For each `count` outputs and each tap the lanes (first, last) that read inside."""
        words = []
        for begin in range(0, self.out, count):
            for k in range(self.kernel):
                start = begin * self.stride - self.padding + k * self.dilation
                first = max(0, -(start // self.stride))
                last = min(count, self.out - begin, (self.size - 1 - start) // self.stride + 1)
                words += [min(first, max(last, 0)), max(last, 0)]
        return words

    def covers(self) -> tuple[list[int], list[int]]:
        """For each input the first output whose window holds it, and how many windows do."""
        first, number = [0] * self.size, [0] * self.size
        for o in range(self.out):
            for x in range(*self.span(o)):
                if number[x] == 0:
                    first[x] = o
                number[x] += 1
        return first, number


def _three(values, default, dims: int) -> tuple:
    listed = tuple(values) if isinstance(values, (tuple, list)) else (values,) * dims
    return (default,) * (3 - dims) + listed


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Outputs of one axis; in ceil mode windows may reach past the end, but none starts in the padding."""
    rest = size + 2 * padding - dilation * (kernel - 1) - 1
    out = (-(-rest // stride) if ceil_mode else rest // stride) + 1
    return out - 1 if ceil_mode and (out - 1) * stride >= size + padding else out


def _windows(shape: Shape, kernel, stride, padding, dilation, ceil_mode, include_pad=True) -> list[Window]:
    dims = len(shape) - 2
    stride = kernel if stride is None or stride == () or stride == [] else stride
    sizes = (1,) * (3 - dims) + tuple(shape[2:])
    each = (
        _three(v, default, dims) for v, default in ((kernel, 1), (stride, 1), (padding, 0), (dilation, 1))
    )
    return [
        Window(size, output_size(size, *one, ceil_mode), *one, include_pad=include_pad)
        for size, one in zip(sizes, zip(*each))
    ]  # fmt: skip


def _adaptive(shape: Shape, output) -> list[Window]:
    dims = len(shape) - 2
    listed = output if isinstance(output, (tuple, list)) else (output,) * dims
    wanted = [s if o is None else o for s, o in zip(shape[2:], listed)]
    sizes = (1,) * (3 - dims) + tuple(shape[2:])
    return [Window(size, out, adaptive=True) for size, out in zip(sizes, (1,) * (3 - dims) + tuple(wanted))]


def pooled_shape(
    input_shape: Shape, kernel, stride=None, padding=0, dilation=1, ceil_mode: bool = False
) -> Shape:
    """Shape of a pooling's result."""
    windows = _windows(input_shape, kernel, stride, padding, dilation, ceil_mode)
    return (*input_shape[:2], *[w.out for w in windows][5 - len(input_shape) :])


def _code(dtype) -> str:
    return getattr(dtype, "code", dtype)


def _statics(code: str, maximum: bool, index: bool = False) -> PoolStatics:
    t = BY_CODE[code]
    s = t.register
    lowest = float("-inf") if s.kind == "float" else -(1 << (s.bits - 1)) if s.signed else 0
    return PoolStatics(
        t, s, max(2, jit.vector_bytes() // max(4, s.bytes)), maximum, index, lowest if maximum else 0
    )


def _five(strides: Shape | None, shape: Shape) -> tuple[int, ...]:
    strides = strides or contiguous(shape)
    return (*strides[:2], *(strides[2],) * (5 - len(shape)), *strides[2:])


def _padded(values: list[int], lanes: int, filler: int) -> list[int]:
    return values + [filler] * (-len(values) % lanes)


def _pool(
    code, shape: Shape, windows, maximum, override, source, out, index, source_strides, out_strides
) -> Schedule:
    statics = _statics(code, maximum, index is not None)
    out_shape = (*shape[:2], *[w.out for w in windows][5 - len(shape) :])
    if 0 in out_shape:
        return Schedule([], 0)
    strides, to = _five(source_strides, shape), _five(out_strides, out_shape)
    rows = not windows[2].adaptive and (windows[2].out >= ROW or any(w.dilation > 1 for w in windows))
    tables = Tables(POOL.size)
    divisors = [[w.divisor(o) for o in range(w.out)] for w in windows]
    if override is not None:
        divisors = [[override if k == 0 else 1] * w.out for k, w in enumerate(windows)]
    values = {"out": out, "index": -1 if index is None else index, "source": source, "channels": shape[1]}
    values["lanes"] = tables.add(windows[2].lanes(statics.L) if rows else [])
    for k, (axis, w) in enumerate(zip("dhw", windows)):
        values |= {
            f"in_{axis}": w.size, f"out_{axis}": w.out, f"taps_{axis}": w.kernel, f"stride_{axis}": w.stride,
            f"padding_{axis}": w.padding, f"dilation_{axis}": w.dilation,
            f"divisor_{axis}": tables.add([] if maximum else _padded(divisors[k], statics.L, 1)),
            f"windows_{axis}": tables.add([] if rows else [x for o in range(w.out) for x in w.span(o)]),
        }  # fmt: skip
    for k, axis in enumerate("ncdhw"):
        values |= {f"source_{axis}": strides[k], f"to_{axis}": to[k]}
    function = pool_kernels.pool_rows if rows else pool_kernels.pool_windows
    units = shape[0] * shape[1] * windows[0].out * windows[1].out
    reads = max(prod(shape) // units, windows[2].out * prod(max(1, w.kernel) for w in windows))
    step = (
        kernel(function, statics),
        POOL.block(values) + tables.words,
        units,
        max(1, SHARE // max(1, reads)),
    )
    return Schedule([step], 0)


def max_pool(
    dtype, input_shape: Shape, kernel, stride=None, padding=0, dilation=1, ceil_mode: bool = False, *,
    out_slot: int,
    index_slot: int | None = None, input_slot: int, input_strides: Shape | None = None,
    out_strides: Shape | None = None,
) -> Schedule:  # fmt: skip
    """Steps of max pooling over (N, C, ...), with the index in the plane (int64) if that has a slot."""
    windows = _windows(input_shape, kernel, stride, padding, dilation, ceil_mode)
    slots = (input_slot, out_slot, index_slot)
    return _pool(_code(dtype), input_shape, windows, True, None, *slots, input_strides, out_strides)


def adaptive_max_pool(
    dtype, input_shape: Shape, output_size, *, out_slot: int, index_slot: int | None = None, input_slot: int,
    input_strides: Shape | None = None, out_strides: Shape | None = None,
) -> Schedule:  # fmt: skip
    """Steps of adaptive max pooling; an output size of None keeps the axis."""
    windows = _adaptive(input_shape, output_size)
    slots = (input_slot, out_slot, index_slot)
    return _pool(_code(dtype), input_shape, windows, True, None, *slots, input_strides, out_strides)


def avg_pool(
    dtype, input_shape: Shape, kernel, stride=None, padding=0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None, *, out_slot: int, input_slot: int,
    input_strides: Shape | None = None, out_strides: Shape | None = None,
) -> Schedule:  # fmt: skip
    """Steps of average pooling over (N, C, ...)."""
    windows = _windows(input_shape, kernel, stride, padding, 1, ceil_mode, count_include_pad)
    slots = (input_slot, out_slot, None)
    return _pool(
        _code(dtype), input_shape, windows, False, divisor_override, *slots, input_strides, out_strides
    )


def adaptive_avg_pool(
    dtype, input_shape: Shape, output_size, *, out_slot: int, input_slot: int,
    input_strides: Shape | None = None,
    out_strides: Shape | None = None,
) -> Schedule:  # fmt: skip
    """Steps of adaptive average pooling; an output size of None keeps the axis."""
    windows = _adaptive(input_shape, output_size)
    return _pool(
        _code(dtype),
        input_shape,
        windows,
        False,
        None,
        input_slot,
        out_slot,
        None,
        input_strides,
        out_strides,
    )


def max_pool_backward(
    dtype, input_shape: Shape, grad_shape: Shape, *, out_slot: int, grad_slot: int, index_slot: int,
    grad_strides: Shape | None = None,
) -> Schedule:  # fmt: skip
    """Steps that add each gradient at its index (dense int64), for every kind of max pooling; dense result.

    An index outside the plane is refused: error 1, with the index and its position.
    """
    statics = _statics(_code(dtype), True)
    units, outputs, inputs = prod(input_shape[:2]), prod(grad_shape[2:]), prod(input_shape[2:])
    if units * inputs == 0:
        return Schedule([], 0)
    strides = _five(grad_strides, grad_shape)
    values = {
        "out": out_slot, "grad": grad_slot, "index": index_slot, "channels": input_shape[1],
        "outputs": outputs,
        "inputs": inputs, "out_h": grad_shape[-2] if len(grad_shape) > 3 else 1, "out_w": grad_shape[-1],
    }  # fmt: skip
    values |= {f"grad_{axis}": stride for axis, stride in zip("ncdhw", strides)}
    chunk = max(1, SHARE // (inputs + 2 * outputs))
    return Schedule([(kernel(pool_kernels.max_gradient, statics), SCATTER.block(values), units, chunk)], 0)


def _avg_backward(
    code, shape: Shape, windows, override, out_slot, grad_slot, scratch_slot, grad_strides
) -> Schedule:
    statics = _statics(code, False)
    units, out_shape = prod(shape[:2]), (*shape[:2], *[w.out for w in windows][5 - len(shape) :])
    if prod(shape) == 0:
        return Schedule([], 0)
    strides, tables = _five(grad_strides, out_shape), Tables(SPREAD.size)
    divisors = [[w.divisor(o) for o in range(w.out)] for w in windows]
    if override is not None:
        divisors = [[override if k == 0 else 1] * w.out for k, w in enumerate(windows)]
    covers = [w.covers() for w in windows]
    length = len(_padded(covers[2][0], statics.L, 0))
    values = {
        "out": out_slot, "grad": grad_slot, "scratch": scratch_slot, "areas": areas(), "channels": shape[1],
        "cover_w": tables.add(_padded(covers[2][0], statics.L, 0) + _padded(covers[2][1], statics.L, 0)),
        "cover_length": length, "cover_most": max(covers[2][1]),
        "whole": int(all(w.out == 1 and w.span(0) == (0, w.size) for w in windows)),
    }  # fmt: skip
    for k, (axis, w) in enumerate(zip("dhw", windows)):
        values |= {f"in_{axis}": w.size, f"out_{axis}": w.out}
        values[f"divisor_{axis}"] = tables.add(_padded(divisors[k], statics.L, 1))
        if k < 2:
            values[f"cover_{axis}"] = tables.add([x for pair in zip(*covers[k]) for x in pair])
    values |= {f"grad_{axis}": stride for axis, stride in zip("ncdhw", strides)}
    line = 64 // statics.S.bytes
    values["area_size"] = -(-(prod(w.out for w in windows) + statics.L) // line) * line
    scratch = 8 * FLAG_WORDS * areas() + values["area_size"] * areas() * statics.S.bytes
    chunk = max(1, SHARE // prod(shape[2:]))
    step = (kernel(pool_kernels.average_gradient, statics), SPREAD.block(values) + tables.words, units, chunk)
    first = (kernel(clear_areas, Statics(S=f32)), [scratch_slot, areas()], 1, 1)
    return Schedule([first, step], scratch)


def avg_pool_backward(
    dtype, input_shape: Shape, kernel, stride=None, padding=0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None, *, out_slot: int, grad_slot: int,
    scratch_slot: int, grad_strides: Shape | None = None,
) -> Schedule:  # fmt: skip
    """Steps of the gradient of `avg_pool`; the result is dense."""
    windows = _windows(input_shape, kernel, stride, padding, 1, ceil_mode, count_include_pad)
    slots = (out_slot, grad_slot, scratch_slot)
    return _avg_backward(_code(dtype), input_shape, windows, divisor_override, *slots, grad_strides)


def adaptive_avg_pool_backward(
    dtype, input_shape: Shape, output_size, *, out_slot: int, grad_slot: int, scratch_slot: int,
    grad_strides: Shape | None = None,
) -> Schedule:  # fmt: skip
    """Steps of the gradient of `adaptive_avg_pool`; the result is dense."""
    windows = _adaptive(input_shape, output_size)
    slots = (out_slot, grad_slot, scratch_slot)
    return _avg_backward(_code(dtype), input_shape, windows, None, *slots, grad_strides)
