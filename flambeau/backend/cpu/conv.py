"""Convolution schedules of the CPU back end: steps of programs (see `runtime.program`).

`forward`, `backward_input` (also transposed convolution) and `backward_weight` turn shapes into steps; each
takes one to three spatial dimensions. Arrays are found through frame slots (`runtime.FIRST` + number of the
output, input or scratch buffer), and all three use one scratch buffer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from . import conv_few
from .conv_direct import direct_steps
from .conv_geometry import Axis, Volume, forward_axis, transposed_axis
from .conv_plan import Operand, Sweep, Weights, sweep_steps
from .conv_weight_plan import WeightGradient, bias_gradient_step, gradient_steps
from .pieces import Cuts
from .types import BY_CODE, i64

Shape = tuple[int, ...]


@dataclass
class Schedule:
    """Steps (function address, words, n, chunk) in order, and the bytes of the scratch buffer they share.

    cuts: how the tasks of the last step finish a dense result, where they do.
    """

    steps: list
    scratch_bytes: int
    cuts: Cuts | None = None


@dataclass(frozen=True)
class Form:
    """Stride, padding, dilation and groups of a convolution, for three spatial dimensions."""

    stride: tuple[int, int, int]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, int, int]
    groups: int
    tall: (
        bool  # the one dimension of a 1-d convolution is the height: rows are cut into blocks, widths are not
    )

    def three(self, values, default) -> tuple:
        """Values of the spatial dimensions for (depth, height, width)."""
        if self.tall:
            return default, values[0], default
        return (default,) * (3 - len(values)) + tuple(values)

    def dims(self, values, dims: int) -> tuple:
        """The values for (depth, height, width) of the dimensions that there are."""
        return (values[1],) if self.tall else tuple(values[3 - dims :])


def _form(dims: int, stride, padding, dilation, groups: int) -> Form:
    stride, dilation, padding = (
        tuple(v) if isinstance(v, (tuple, list)) else (v,) * dims for v in (stride, dilation, padding)
    )
    form = Form((1, 1, 1), (), (1, 1, 1), groups, dims == 1 and stride[0] == 1)
    sides = [(p[0], p[1]) if isinstance(p, (tuple, list)) else (p, p) for p in padding]
    return replace(
        form,
        stride=form.three(stride, 1),
        padding=form.three(sides, (0, 0)),
        dilation=form.three(dilation, 1),
    )


def contiguous(shape: Shape) -> Shape:
    """Element strides of a dense array."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * max(1, size))
    return tuple(strides)


def output_shape(input_shape: Shape, weight_shape: Shape, *, stride=1, padding=0, dilation=1) -> Shape:
    """Shape of a convolution's result."""
    form = _form(len(input_shape) - 2, stride, padding, dilation, 1)
    axes = _axes(form.three(input_shape[2:], 1), form.three(weight_shape[2:], 1), form)
    return (input_shape[0], weight_shape[0], *form.dims([a.out_size for a in axes], len(input_shape) - 2))


def _axes(size, kernel, form: Form, out=None) -> tuple[Axis, Axis, Axis]:
    made = [
        forward_axis(*a)
        for a in zip(size, kernel, form.stride, form.padding, form.dilation, out or (0, 0, 0))
    ]
    return made[0], made[1], made[2]


def _operand(slot: int, code: str, shape: Shape, strides: Shape | None, form: Form) -> Operand:
    strides = strides or contiguous(shape)
    element = BY_CODE.get(code, i64)  # complex numbers take the direct way, which knows their type
    full = (*shape[:2], *form.three(shape[2:], 1))
    return Operand(slot, element, full, (*strides[:2], *form.three(strides[2:], strides[2])))


def _tiled(code: str) -> bool:
    return code in ("f16", "bf16", "f32", "f64")


def _sweep(sweep: Sweep) -> Schedule:
    """The schedule of sums over channels and taps, in the form that suits the number of pixels."""
    steps, scratch_bytes, cuts = (conv_few.few_steps if conv_few.pays(sweep) else sweep_steps)(sweep)
    return Schedule(steps, scratch_bytes, cuts)


def _code(dtype) -> str:
    return getattr(dtype, "code", dtype)


def forward(
    dtype, input_shape: Shape, weight_shape: Shape, *, stride=1, padding=0, dilation=1, groups: int = 1,
    out_slot: int,
    input_slot: int, weight_slot: int, bias_slot: int | None = None, scratch_slot: int,
    input_strides: Shape | None = None, out_strides: Shape | None = None,
) -> Schedule:  # fmt: skip
    """Steps of ``out = conv(input, weight) + bias``.

    dtype: a dtype or its code. padding: a number, or for each dimension a number or a pair (before, after).
    The weight is dense.
    """
    code, form = _code(dtype), _form(len(input_shape) - 2, stride, padding, dilation, groups)
    kernel = form.three(weight_shape[2:], 1)
    axes = _axes(form.three(input_shape[2:], 1), kernel, form)
    out_shape = (
        input_shape[0],
        weight_shape[0],
        *form.dims([a.out_size for a in axes], len(input_shape) - 2),
    )
    source = _operand(input_slot, code, input_shape, input_strides, form)
    out = _operand(out_slot, code, out_shape, out_strides, form)
    if 0 in out_shape:
        return Schedule([], 0)
    if not _tiled(code):
        full = (*weight_shape[:2], *kernel)
        return Schedule(direct_steps("forward", code, source, out, weight_slot, bias_slot, full, form), 0)
    taps, (rows, channels) = prod(kernel), weight_shape[:2]
    weights = Weights(
        weight_slot, BY_CODE[code], rows // groups, channels, channels * taps, taps,
        rows // groups * channels * taps,
        kernel, -1 if bias_slot is None else bias_slot,
    )  # fmt: skip
    sweep = Sweep(Volume(axes), source, out, weights, groups, scratch_slot)
    return _sweep(sweep)


def backward_input(
    dtype, input_shape: Shape, weight_shape: Shape, *, stride=1, padding=0, dilation=1, groups: int = 1,
    out_slot: int,
    grad_slot: int, weight_slot: int, bias_slot: int | None = None, scratch_slot: int,
    grad_shape: Shape | None = None,
    grad_strides: Shape | None = None, out_strides: Shape | None = None,
) -> Schedule:  # fmt: skip
    """Steps of the gradient of a convolution's input, or of a transposed convolution.

    input_shape: the shape of what is written (a transposed convolution's output, `output_padding` included).
    grad_shape: of what is read, where the formula of the forward shape does not give it. bias: for a
    transposed convolution.
    """
    code, form = _code(dtype), _form(len(input_shape) - 2, stride, padding, dilation, groups)
    kernel, sizes = form.three(weight_shape[2:], 1), form.three(input_shape[2:], 1)
    forward_sizes = [a.out_size for a in _axes(sizes, kernel, form)]
    if grad_shape is None:
        grad_shape = (input_shape[0], weight_shape[0], *form.dims(forward_sizes, len(input_shape) - 2))
    grad = _operand(grad_slot, code, grad_shape, grad_strides, form)
    out = _operand(out_slot, code, input_shape, out_strides, form)
    if 0 in input_shape:
        return Schedule([], 0)
    if not _tiled(code):
        full = (*weight_shape[:2], *kernel)
        return Schedule(direct_steps("input", code, out, grad, weight_slot, bias_slot, full, form), 0)
    shapes = zip(form.three(grad_shape[2:], 1), sizes, kernel, form.stride, form.padding, form.dilation)
    axes = [transposed_axis(*one) for one in shapes]
    taps, (rows, channels) = prod(kernel), weight_shape[:2]
    weights = Weights(
        weight_slot, BY_CODE[code], channels, rows // groups, taps, channels * taps,
        rows // groups * channels * taps,
        kernel, -1 if bias_slot is None else bias_slot,
    )  # fmt: skip
    volume = Volume((axes[0], axes[1], axes[2]))
    sweep = Sweep(volume, grad, out, weights, groups, scratch_slot)
    return _sweep(sweep)


def backward_weight(
    dtype, input_shape: Shape, weight_shape: Shape, *, stride=1, padding=0, dilation=1, groups: int = 1,
    out_slot: int,
    grad_slot: int, input_slot: int, bias_out_slot: int | None = None, scratch_slot: int,
    grad_shape: Shape | None = None, input_strides: Shape | None = None, grad_strides: Shape | None = None,
) -> Schedule:  # fmt: skip
    """Steps of the gradient of a convolution's weight (written dense) and, if asked for, of its bias.

    For a transposed convolution the roles change: `input` is the incoming gradient, `grad` the layer's input.
    """
    code, form = _code(dtype), _form(len(input_shape) - 2, stride, padding, dilation, groups)
    kernel = form.three(weight_shape[2:], 1)
    axes = _axes(
        form.three(input_shape[2:], 1),
        kernel,
        form,
        None if grad_shape is None else form.three(grad_shape[2:], 1),
    )
    if grad_shape is None:
        grad_shape = (
            input_shape[0],
            weight_shape[0],
            *form.dims([a.out_size for a in axes], len(input_shape) - 2),
        )
    source = _operand(input_slot, code, input_shape, input_strides, form)
    grad = _operand(grad_slot, code, grad_shape, grad_strides, form)
    if not _tiled(code):
        full = (*weight_shape[:2], *kernel)
        steps = direct_steps("weight", code, source, grad, out_slot, None, full, form)
        if bias_out_slot is not None:
            steps += direct_steps("bias", code, source, grad, out_slot, bias_out_slot, full, form)
        return Schedule(steps, 0)
    rows, channels = weight_shape[:2]
    task = WeightGradient(
        Volume(axes),
        source,
        grad,
        out_slot,
        BY_CODE[code],
        rows // groups,
        channels,
        groups,
        kernel,
        scratch_slot,
    )
    steps, scratch = gradient_steps(task)
    if bias_out_slot is not None:
        steps.append(bias_gradient_step(grad, bias_out_slot, BY_CODE[code]))
    return Schedule(steps, scratch)
