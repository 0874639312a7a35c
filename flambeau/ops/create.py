"""New tensors: empty, filled, ranges."""

from __future__ import annotations

from ..base import dtype as types
from ..base.device import default_device, device as Device
from ..base.layout import contiguous_layout, layout
from .copy import strides_for
from .define import op, ops
from .kinds import Composite, Opaque


def check_sizes(size) -> tuple[int, ...]:
    size = tuple(size)
    for n in size:
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(size)}")
    return size


@op("empty_strided_raw(int[] size, int[]? stride, any dtype, any device) -> Tensor", function=False, method=False)
class EmptyRaw(Opaque):
    """Uninitialised memory of exactly this layout."""

    algorithm = "create.nothing"

    def layouts(size, stride, dtype, device):
        if stride is None:
            return contiguous_layout(size, dtype, device)
        return layout(size, stride, dtype, device)


def new(size, dtype, device, requires_grad=False, value=None, stride=None):
    """A new tensor, filled with `value` unless it is None."""
    size = check_sizes(size)
    kind = dtype or types.default_float()
    made = ops.empty_strided_raw(size, stride, kind, default_device() if device is None else Device(device))
    if value is not None:
        made = ops.fill_(made, value)
    return made.requires_grad_() if requires_grad else made


_FACTORY = "ScalarType? dtype=None, any layout=None, any device=None, bool? pin_memory=False, bool requires_grad=False"


@op(f"empty(int[*] size, *, {_FACTORY}, any memory_format=None, Tensor? out=None) -> Tensor", method=False)
class Empty(Composite):
    """Uninitialised memory of a shape."""

    def body(size, dtype, layout, device, pin_memory, requires_grad, memory_format):
        stride = None
        if getattr(memory_format, "name", None) in ("channels_last", "channels_last_3d"):
            stride = strides_for(contiguous_layout(size, types.float32, Device("cpu")), memory_format)
        return new(size, dtype, device, requires_grad, stride=stride)


@op("empty_strided(int[] size, int[] stride, *, " + _FACTORY + ") -> Tensor", method=False)
class EmptyStrided(Composite):
    """Uninitialised memory with the given sizes and strides."""

    def body(size, stride, dtype, layout, device, pin_memory, requires_grad):
        return new(size, dtype, device, requires_grad, stride=tuple(stride))


@op(f"zeros(int[*] size, *, {_FACTORY}, Tensor? out=None) -> Tensor", method=False)
class Zeros(Composite):
    """Zeros of a shape."""

    def body(size, dtype, layout, device, pin_memory, requires_grad):
        return new(size, dtype, device, requires_grad, 0)


@op(f"ones(int[*] size, *, {_FACTORY}, Tensor? out=None) -> Tensor", method=False)
class Ones(Composite):
    """Ones of a shape."""

    def body(size, dtype, layout, device, pin_memory, requires_grad):
        return new(size, dtype, device, requires_grad, 1)


@op(f"full(int[] size, Scalar fill_value, *, {_FACTORY}, Tensor? out=None) -> Tensor", method=False)
class Full(Composite):
    """A shape filled with one value; its type is the value's unless ``dtype`` says otherwise."""

    def body(size, fill_value, dtype, layout, device, pin_memory, requires_grad):
        if dtype is None:
            kind = fill_value.dtype if hasattr(fill_value, "dtype") else types.scalar_dtype(fill_value)
            dtype = kind
        return new(size, dtype, device, requires_grad, fill_value)


_LIKE = _FACTORY + ", any memory_format=None"


def new_like(input, dtype, device, requires_grad, memory_format, value=None):
    where = input._layout
    stride = strides_for(where, memory_format)
    return new(where.shape, dtype or where.dtype, device or where.device, requires_grad, value, stride)


@op(f"empty_like(Tensor input, *, {_LIKE}) -> Tensor", method=False)
class EmptyLike(Composite):
    """Uninitialised memory with the shape and type of ``input``."""

    def body(input, dtype, layout, device, pin_memory, requires_grad, memory_format):
        return new_like(input, dtype, device, requires_grad, memory_format)


@op(f"zeros_like(Tensor input, *, {_LIKE}) -> Tensor", method=False)
class ZerosLike(Composite):
    """Zeros with the shape and type of ``input``."""

    def body(input, dtype, layout, device, pin_memory, requires_grad, memory_format):
        return new_like(input, dtype, device, requires_grad, memory_format, 0)


@op(f"ones_like(Tensor input, *, {_LIKE}) -> Tensor", method=False)
class OnesLike(Composite):
    """Ones with the shape and type of ``input``."""

    def body(input, dtype, layout, device, pin_memory, requires_grad, memory_format):
        return new_like(input, dtype, device, requires_grad, memory_format, 1)


@op(f"full_like(Tensor input, Scalar fill_value, *, {_LIKE}) -> Tensor", method=False)
class FullLike(Composite):
    """One value with the shape and type of ``input``."""

    def body(input, fill_value, dtype, layout, device, pin_memory, requires_grad, memory_format):
        return new_like(input, dtype, device, requires_grad, memory_format, fill_value)
