"""Convolution straight from its definition, for integers and complex numbers: one sum for each result.

Integers wrap, as in PyTorch. Slow and plain; the tiled schedules are tested against the same sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from .conv_kernels import Words
from .conv_plan import Operand, kernel
from .native import bitcast, local, native
from .types import BY_CODE, Type, i64, ptr


@dataclass(frozen=True)
class Direct:
    """Template arguments: the type of an element (or of its parts), and whether it is complex."""

    E: Type
    COMPLEX: bool

    def key(self) -> str:
        return f"{self.E}{self.COMPLEX}"


G = Direct(BY_CODE["i64"], False)

#: sizes and strides are (depth, height, width); each three consecutive words start where the name says
DIRECT = Words(
    "out source weight bias samples groups rows channels "
    "in_size in_size_h in_size_w out_size out_size_h out_size_w kernel kernel_h kernel_w stride stride_h "
    "stride_w "
    "padding padding_h padding_w dilation dilation_h dilation_w "
    "source_n source_c source_d source_h source_w out_n out_c out_d out_h out_w"
)


@native
def add_product(G, total: ptr(G.E), a: ptr(G.E), i: i64, b: ptr(G.E), j: i64):
    """total += a[i] * b[j]"""
    if G.COMPLEX:
        total[0] = total[0] + (a[2 * i] * b[2 * j] - a[2 * i + 1] * b[2 * j + 1])
        total[1] = total[1] + (a[2 * i] * b[2 * j + 1] + a[2 * i + 1] * b[2 * j])
    else:
        total[0] = total[0] + a[i] * b[j]


@native
def clear(G, total: ptr(G.E)):
    total[0] = G.E(0)
    if G.COMPLEX:
        total[1] = G.E(0)


@native
def write(G, to: ptr(G.E), index: i64, total: ptr(G.E)):
    if G.COMPLEX:
        to[2 * index] = total[0]
        to[2 * index + 1] = total[1]
    else:
        to[index] = total[0]


@native
def add_bias(G, frame, p, total: ptr(G.E), channel: i64):
    if p[DIRECT.bias] >= 0:
        bias = bitcast(frame[p[DIRECT.bias]], ptr(G.E))
        if G.COMPLEX:
            total[0] = total[0] + bias[2 * channel]
            total[1] = total[1] + bias[2 * channel + 1]
        else:
            total[0] = total[0] + bias[channel]


@native
def source_index(p, d, h, w):
    return d * p[DIRECT.source_d] + h * p[DIRECT.source_h] + w * p[DIRECT.source_w]


@native
def out_index(p, d, h, w):
    return d * p[DIRECT.out_d] + h * p[DIRECT.out_h] + w * p[DIRECT.out_w]


@native
def read_place(p, axis, o, k):
    """The input coordinate that output `o` reads with tap `k`, and whether it is inside."""
    at = o * p[DIRECT.stride + axis] + k * p[DIRECT.dilation + axis] - p[DIRECT.padding + axis]
    return at, at >= 0 and at < p[DIRECT.in_size + axis]


@native
def direct_forward(frame: ptr(i64), p: ptr(i64), begin: i64, end: i64):
    """out[n, row] for units (sample, row)."""
    source = bitcast(frame[p[DIRECT.source]], ptr(G.E))
    weight = bitcast(frame[p[DIRECT.weight]], ptr(G.E))
    out = bitcast(frame[p[DIRECT.out]], ptr(G.E))
    channels = p[DIRECT.channels]
    all_rows = p[DIRECT.rows] * p[DIRECT.groups]
    taps = p[DIRECT.kernel] * p[DIRECT.kernel_h] * p[DIRECT.kernel_w]
    total = local(G.E, 2)
    for unit in range(begin, end):
        n = unit // all_rows
        row = unit % all_rows
        first = row // p[DIRECT.rows] * channels
        for d in range(p[DIRECT.out_size]):
            for h in range(p[DIRECT.out_size_h]):
                for w in range(p[DIRECT.out_size_w]):
                    clear(G, total)
                    add_bias(G, frame, p, total, row)
                    for c in range(channels):
                        base = n * p[DIRECT.source_n] + (first + c) * p[DIRECT.source_c]
                        tap = (row * channels + c) * taps
                        for kd in range(p[DIRECT.kernel]):
                            z, in_depth = read_place(p, 0, d, kd)
                            for kh in range(p[DIRECT.kernel_h]):
                                y, in_height = read_place(p, 1, h, kh)
                                for kw in range(p[DIRECT.kernel_w]):
                                    x, in_width = read_place(p, 2, w, kw)
                                    if in_depth and in_height and in_width:
                                        add_product(
                                            G, total, source, base + source_index(p, z, y, x), weight, tap
                                        )
                                    tap += 1
                    write(G, out, n * p[DIRECT.out_n] + row * p[DIRECT.out_c] + out_index(p, d, h, w), total)


@native
def grad_place(p, axis, i, k):
    """The output coordinate whose tap `k` reads input `i`, and whether there is one."""
    at = i + p[DIRECT.padding + axis] - k * p[DIRECT.dilation + axis]
    stride = p[DIRECT.stride + axis]
    o = at // stride
    return o, at >= 0 and at % stride == 0 and o < p[DIRECT.out_size + axis]


@native
def direct_input(frame: ptr(i64), p: ptr(i64), begin: i64, end: i64):
    """Gradient of the input for units (sample, channel): `source` is the input's, `out` the output's."""
    source = bitcast(frame[p[DIRECT.source]], ptr(G.E))
    weight = bitcast(frame[p[DIRECT.weight]], ptr(G.E))
    out = bitcast(frame[p[DIRECT.out]], ptr(G.E))
    channels = p[DIRECT.channels]
    all_channels = channels * p[DIRECT.groups]
    rows = p[DIRECT.rows]
    taps = p[DIRECT.kernel] * p[DIRECT.kernel_h] * p[DIRECT.kernel_w]
    total = local(G.E, 2)
    for unit in range(begin, end):
        n = unit // all_channels
        channel = unit % all_channels
        group = channel // channels
        for z in range(p[DIRECT.in_size]):
            for y in range(p[DIRECT.in_size_h]):
                for x in range(p[DIRECT.in_size_w]):
                    clear(G, total)
                    add_bias(G, frame, p, total, channel)
                    for r in range(rows):
                        row = group * rows + r
                        base = n * p[DIRECT.out_n] + row * p[DIRECT.out_c]
                        tap = (row * channels + channel % channels) * taps
                        for kd in range(p[DIRECT.kernel]):
                            d, in_depth = grad_place(p, 0, z, kd)
                            for kh in range(p[DIRECT.kernel_h]):
                                h, in_height = grad_place(p, 1, y, kh)
                                for kw in range(p[DIRECT.kernel_w]):
                                    w, in_width = grad_place(p, 2, x, kw)
                                    if in_depth and in_height and in_width:
                                        add_product(G, total, out, base + out_index(p, d, h, w), weight, tap)
                                    tap += 1
                    place = n * p[DIRECT.source_n] + channel * p[DIRECT.source_c] + source_index(p, z, y, x)
                    write(G, source, place, total)


@native
def direct_weight(frame: ptr(i64), p: ptr(i64), begin: i64, end: i64):
    """Gradient of the weight for units (row, channel); `out` is the output's gradient."""
    source = bitcast(frame[p[DIRECT.source]], ptr(G.E))
    weight = bitcast(frame[p[DIRECT.weight]], ptr(G.E))
    out = bitcast(frame[p[DIRECT.out]], ptr(G.E))
    channels = p[DIRECT.channels]
    taps = p[DIRECT.kernel] * p[DIRECT.kernel_h] * p[DIRECT.kernel_w]
    total = local(G.E, 2)
    for unit in range(begin, end):
        row = unit // channels
        channel = row // p[DIRECT.rows] * channels + unit % channels
        tap = unit * taps
        for kd in range(p[DIRECT.kernel]):
            for kh in range(p[DIRECT.kernel_h]):
                for kw in range(p[DIRECT.kernel_w]):
                    clear(G, total)
                    for n in range(p[DIRECT.samples]):
                        base = n * p[DIRECT.source_n] + channel * p[DIRECT.source_c]
                        grad = n * p[DIRECT.out_n] + row * p[DIRECT.out_c]
                        for d in range(p[DIRECT.out_size]):
                            z, in_depth = read_place(p, 0, d, kd)
                            for h in range(p[DIRECT.out_size_h]):
                                y, in_height = read_place(p, 1, h, kh)
                                for w in range(p[DIRECT.out_size_w]):
                                    x, in_width = read_place(p, 2, w, kw)
                                    if in_depth and in_height and in_width:
                                        add_product(
                                            G, total, source, base + source_index(p, z, y, x), out,
                                            grad + out_index(p, d, h, w),
                                        )  # fmt: skip
                    write(G, weight, tap, total)
                    tap += 1


@native
def direct_bias(frame: ptr(i64), p: ptr(i64), begin: i64, end: i64):
    """Gradient of the bias for units (row)."""
    bias = bitcast(frame[p[DIRECT.bias]], ptr(G.E))
    out = bitcast(frame[p[DIRECT.out]], ptr(G.E))
    total = local(G.E, 2)
    for row in range(begin, end):
        clear(G, total)
        for n in range(p[DIRECT.samples]):
            for d in range(p[DIRECT.out_size]):
                for h in range(p[DIRECT.out_size_h]):
                    for w in range(p[DIRECT.out_size_w]):
                        place = n * p[DIRECT.out_n] + row * p[DIRECT.out_c] + out_index(p, d, h, w)
                        if G.COMPLEX:
                            total[0] = total[0] + out[2 * place]
                            total[1] = total[1] + out[2 * place + 1]
                        else:
                            total[0] = total[0] + out[place]
        write(G, bias, row, total)


def direct_steps(what: str, code: str, source: Operand, out: Operand, weight_slot: int, bias_slot: int | None,
                 weight_shape: tuple[int, ...], form) -> list:  # fmt: skip
    """The one step of "forward", "input", "weight" or "bias" on operands as the forward pass sees them."""
    complex_parts = {"c64": "f32", "c128": "f64"}
    statics = Direct(BY_CODE[complex_parts.get(code, code)], code in complex_parts)
    sizes = {"in_size": source.shape[2:], "out_size": out.shape[2:], "kernel": weight_shape[2:]}
    sizes |= {"stride": form.stride, "padding": tuple(p[0] for p in form.padding), "dilation": form.dilation}
    values = {
        name + end: numbers[k] for name, numbers in sizes.items() for k, end in enumerate(("", "_h", "_w"))
    }  # fmt: skip
    for name, operand in (("source", source), ("out", out)):
        values |= {f"{name}_{axis}": stride for axis, stride in zip("ncdhw", operand.strides)}
    rows, channels = weight_shape[0] // form.groups, weight_shape[1]
    values |= {
        "out": out.slot, "source": source.slot, "weight": weight_slot, "samples": source.shape[0],
        "bias": -1 if bias_slot is None else bias_slot, "groups": form.groups, "rows": rows,
        "channels": channels,
    }  # fmt: skip
    function, units = {
        "forward": (direct_forward, source.shape[0] * weight_shape[0]),
        "input": (direct_input, source.shape[0] * channels * form.groups),
        "weight": (direct_weight, weight_shape[0] * channels),
        "bias": (direct_bias, weight_shape[0]),
    }[what]
    work = prod(out.shape) * channels * prod(weight_shape[2:])
    chunk = max(1, min(units, 50_000 * units // max(1, work)))
    return [(kernel(function, statics), DIRECT.block(values), units, chunk)]
