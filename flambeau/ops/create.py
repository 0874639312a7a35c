"""New tensors: uninitialised, filled with one value, and shaped like another."""

from __future__ import annotations

from ..base import dtype as types
from ..base.device import default_device
from ..base.device import device as Device
from ..base.errors import require
from ..base.layout import Layout, contiguous_layout, strides_in_order
from ..base.layout import layout as make_layout
from .copy import strides_for
from .define import op, ops
from .kinds import Composite, Opaque
from .out_rules import cpp_name


def check_sizes(size) -> tuple[int, ...]:
    size = tuple(size)
    for n in size:
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: {list(size)}")
    return size


@op(
    "empty_strided_raw(int[] size, int[]? stride, any dtype, any device) -> Tensor",
    function=False,
    method=False,
)
class EmptyRaw(Opaque):
    """Uninitialised memory of exactly this layout."""

    algorithm = "create.nothing"

    def layouts(size, stride, dtype, device):
        if stride is None:
            return contiguous_layout(size, dtype, device)
        return make_layout(size, stride, dtype, device)


def new(size, dtype, device, requires_grad=False, value=None, stride=None):
    """A new tensor, filled with `value` unless it is None."""
    size = check_sizes(size)
    kind = dtype or types.default_float()
    made = ops.empty_strided_raw(size, stride, kind, default_device() if device is None else Device(device))
    if value is not None:
        made = ops.fill_(made, value)
    return made.requires_grad_() if requires_grad else made


def new_layout(size, dtype, device, memory_format=None) -> Layout:
    """The layout of a new tensor; the default float type where no type is given."""
    plain = contiguous_layout(check_sizes(size), dtype or types.default_float(), Device(device))
    if getattr(memory_format, "name", None) in ("channels_last", "channels_last_3d"):
        return make_layout(plain.shape, strides_for(plain, memory_format), plain.dtype, plain.device)
    return plain


_FACTORY = "ScalarType? dtype=None, any layout=None, any device=None, bool? pin_memory=False, bool requires_grad=False"


@op(f"empty(int[*] size, *, {_FACTORY}, any memory_format=None, Tensor? out=None) -> Tensor", method=False)
class Empty(Opaque):
    """Uninitialised memory of a shape."""

    algorithm = "create.nothing"

    def layouts(size, dtype, device, memory_format):
        return new_layout(size, dtype, device, memory_format)


@op("empty_strided(int[] size, int[] stride, *, " + _FACTORY + ") -> Tensor", method=False)
class EmptyStrided(Composite):
    """Uninitialised memory with the given sizes and strides."""

    def body(size, stride, dtype, layout, device, pin_memory, requires_grad):
        size, stride = tuple(size), tuple(stride)
        require(
            len(size) == len(stride),
            f"mismatch in length of strides and shape. Got {len(stride)} and {len(size)}",
        )
        extent = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride))
        if not any(s < 0 for s in stride):
            base = new((extent,), dtype, device)
            return finish(ops.strided_at(base, size, stride, 0).detach(), requires_grad)
        raise RuntimeError(f"Negative strides are not supported, got {list(stride)}")


@op("empty_permuted(int[] size, int[] physical_layout, *, " + _FACTORY + ") -> Tensor", method=False)
class EmptyPermuted(Composite):
    """Uninitialised dense memory whose dimensions lie in the given order, the outermost first."""

    def body(size, physical_layout, dtype, layout, device, pin_memory, requires_grad):
        size, order = tuple(size), tuple(physical_layout)
        require(len(order) == len(size),
                "Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = "
                f"{len(size)} is not equal to len(physical_layout) = {len(order)}")  # fmt: skip
        for d in order:
            require(
                0 <= d < len(size),
                f"Dimension out of range (expected to be between 0 and {len(size) - 1}, but got {d} at index "
                f"{order.index(d)}).  NB: negative dims not currently supported; file an issue if you want it.",
            )
        require(len(set(order)) == len(order), "Duplicate dim not allowed")
        return new(size, dtype, device, requires_grad, stride=strides_in_order(size, order))


def finish(t, requires_grad: bool):
    return t.requires_grad_() if requires_grad else t


@op(f"zeros(int[*] size, *, {_FACTORY}, Tensor? out=None) -> Tensor", method=False)
class Zeros(Opaque):
    """Zeros of a shape.

    >>> import flambeau as torch
    >>> torch.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """

    algorithm = "create.zeros"

    def layouts(size, dtype, device):
        require(all(n >= 0 for n in size), "zeros: Dimension size must be non-negative.")
        return new_layout(size, dtype, device)


@op(f"ones(int[*] size, *, {_FACTORY}, Tensor? out=None) -> Tensor", method=False)
class Ones(Opaque):
    """Ones of a shape."""

    algorithm = "create.ones"

    def layouts(size, dtype, device):
        return new_layout(size, dtype, device)


@op(f"full(int[] size, Scalar fill_value, *, {_FACTORY}, Tensor? out=None) -> Tensor", method=False)
class Full(Opaque):
    """A shape filled with one value; its type is the value's unless ``dtype`` says otherwise.

    >>> import flambeau as torch
    >>> torch.full((2,), 7)
    tensor([7, 7])
    """

    algorithm = "create.full"

    def layouts(size, fill_value, dtype, device):
        found = types.scalar_dtype(fill_value())
        check_value(found, dtype or found)
        return new_layout(size, dtype or found, device)


def check_value(value, dtype) -> None:
    """Refuse a complex fill of a real tensor."""
    require(
        value.kind < 3 or dtype.kind == 3,
        f"value cannot be converted to type {cpp_name(dtype)} without overflow",
    )


_LIKE = _FACTORY + ", any memory_format=None"


def like_layout(input, dtype, device, memory_format) -> Layout:
    """The layout of a new tensor like `input`."""
    place = input.device if device is None else Device(device)
    require(input.device.type != "meta" or place.type == "meta",
            "a tensor like one of the meta device needs its shape: use the function without `_like`")  # fmt: skip
    return make_layout(input.shape, strides_for(input, memory_format), dtype or input.dtype, place)


def new_like(input, dtype, device, requires_grad, memory_format, value=None):
    where = input._layout
    stride = strides_for(where, memory_format)
    return new(where.shape, dtype or where.dtype, device or where.device, requires_grad, value, stride)


@op(f"empty_like(Tensor input, *, {_LIKE}) -> Tensor", method=False)
class EmptyLike(Opaque):
    """Uninitialised memory with the shape and type of ``input``."""

    algorithm = "create.nothing"

    def layouts(input, dtype, device, memory_format):
        return like_layout(input, dtype, device, memory_format)


@op(f"zeros_like(Tensor input, *, {_LIKE}, Tensor? out=None) -> Tensor", method=False)
class ZerosLike(Opaque):
    """Zeros with the shape and type of ``input``."""

    algorithm = "create.zeros"

    def layouts(input, dtype, device, memory_format):
        return like_layout(input, dtype, device, memory_format)


@op(f"ones_like(Tensor input, *, {_LIKE}, Tensor? out=None) -> Tensor", method=False)
class OnesLike(Opaque):
    """Ones with the shape and type of ``input``."""

    algorithm = "create.ones"

    def layouts(input, dtype, device, memory_format):
        return like_layout(input, dtype, device, memory_format)


@op(f"full_like(Tensor input, Scalar fill_value, *, {_LIKE}, Tensor? out=None) -> Tensor", method=False)
class FullLike(Opaque):
    """One value with the shape and type of ``input``."""

    algorithm = "create.full"

    def layouts(input, fill_value, dtype, device, memory_format):
        check_value(types.scalar_dtype(fill_value()), dtype or input.dtype)
        return like_layout(input, dtype, device, memory_format)


# -- as methods: a new tensor of another's type and device -----------------------------------------------------------


def new_of(input, size, dtype, device) -> Layout:
    """The layout of a new tensor of a shape, with the type and device of `input` unless others are given."""
    return contiguous_layout(
        check_sizes(size), dtype or input.dtype, input.device if device is None else Device(device)
    )


@op(f"new_empty(Tensor input, int[*] size, *, {_FACTORY}) -> Tensor", function=False)
class NewEmpty(Opaque):
    """Uninitialised memory of a shape, with the type and device of ``input``."""

    algorithm = "create.nothing"

    def layouts(input, size, dtype, device):
        return new_of(input, size, dtype, device)


@op(f"new_zeros(Tensor input, int[*] size, *, {_FACTORY}) -> Tensor", function=False)
class NewZeros(Opaque):
    """Zeros of a shape, with the type and device of ``input``."""

    algorithm = "create.zeros"

    def layouts(input, size, dtype, device):
        return new_of(input, size, dtype, device)


@op(f"new_ones(Tensor input, int[*] size, *, {_FACTORY}) -> Tensor", function=False)
class NewOnes(Opaque):
    """Ones of a shape, with the type and device of ``input``."""

    algorithm = "create.ones"

    def layouts(input, size, dtype, device):
        return new_of(input, size, dtype, device)


@op(f"new_full(Tensor input, int[] size, Scalar fill_value, *, {_FACTORY}) -> Tensor", function=False)
class NewFull(Opaque):
    """A shape filled with one value, with the type and device of ``input``."""

    algorithm = "create.full"

    def layouts(input, size, fill_value, dtype, device):
        check_value(types.scalar_dtype(fill_value()), dtype or input.dtype)
        return new_of(input, size, dtype, device)


@op(f"new_empty_strided(Tensor input, int[] size, int[] stride, *, {_FACTORY}) -> Tensor", function=False)
class NewEmptyStrided(Composite):
    """Uninitialised memory with the given sizes and strides, and the type and device of ``input``."""

    def body(input, size, stride, dtype, layout, device, pin_memory, requires_grad):
        kind, place = dtype or input.dtype, device or input.device
        return ops.empty_strided(size, stride, dtype=kind, device=place, requires_grad=requires_grad)


@op(f"scalar_tensor(Scalar s, *, {_FACTORY}) -> Tensor", method=False)
class ScalarTensor(Composite):
    """A 0-d tensor of one number. Dtype: the default float type, unless ``dtype`` says otherwise."""

    def body(s, dtype, layout, device, pin_memory, requires_grad):
        return ops.full(
            (), s, dtype=dtype or types.default_float(), device=device, requires_grad=requires_grad
        )
