"""Views that rearrange dimensions: other shapes and orders of the same memory. No kernel runs."""

from __future__ import annotations

from ..base.errors import check_dim
from ..base.layout import Layout, broadcast_shapes, contiguous_layout, layout, view_strides
from .define import op, ops
from .kinds import Composite, View


def same(input: Layout, shape, strides) -> Layout:
    """The layout with another shape and strides."""
    return layout(shape, strides, input.dtype, input.device)


def resolve_sizes(size, numel: int) -> tuple[int, ...]:
    """`size` with a -1 replaced by what the number of elements leaves for it."""
    size = tuple(size)
    known, free = 1, None
    for d, n in enumerate(size):
        if n == -1:
            if free is not None:
                raise RuntimeError("only one dimension can be inferred")
            free = d
        elif n < 0:
            raise RuntimeError(f"invalid shape dimension {n} at index {d} of shape {list(size)}")
        else:
            known *= n
    if free is not None:
        if known == 0 and numel == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(size)} because the unspecified dimension size -1 "
                "can be any value and is ambiguous"
            )
        if known == 0 or numel % known:
            raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {numel}")
        return (*size[:free], numel // known, *size[free + 1 :])
    if known != numel:
        raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {numel}")
    return size


def sizes_of(dims) -> tuple[int, ...]:
    """Sizes given as a sequence of ints, of 0-d tensors or of anything with __index__, as a tuple of ints."""
    return tuple(n if type(n) is int else n.__index__() for n in dims)


def view_gradient(g, rule, input: Layout, *arguments):
    """Gradient of a view's input: `g` at the places that the view rule reaches, added up where they repeat."""
    where = input if input.dense else contiguous_layout(input.shape, input.dtype, input.device)
    found, move = rule(where, *arguments)
    return ops.strided_sum(g, where.shape, where.strides, found.strides, move)


@op("view(Tensor input, int[*] size) -> Tensor", function=False, method=False)
class ViewShape(View):
    """The same elements under another shape, without a copy."""

    def view(input, size):
        shape = resolve_sizes(size, input.numel)
        strides = view_strides(input.shape, input.strides, shape)
        if strides is None:
            raise RuntimeError(
                "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
                "contiguous subspaces). Use .reshape(...) instead."
            )
        return same(input, shape, strides), 0

    def d_input(g, input_layout):
        return ops.reshape(g, input_layout.shape)


@op("unsafe_view(Tensor input, int[] size) -> Tensor", function=False, method=False)
class UnsafeView(View):
    """`view` of a copy that nothing else sees."""

    view = ViewShape.view
    d_input = ViewShape.d_input


def reshaped(input, sizes):
    """`input` under another shape: a view, or a contiguous copy's view where the strides do not allow one."""
    where = input._layout
    viewable = where.cache.get(("viewable", sizes))
    if viewable is None:
        shape = resolve_sizes(sizes_of(sizes), where.numel)
        viewable = view_strides(where.shape, where.strides, shape) is not None
        if len(where.cache) < 1024:
            where.cache["viewable", sizes] = viewable
    if viewable:
        return ops.view(input, sizes)
    return ops.unsafe_view(ops.clone(input, memory_format="contiguous_format"), sizes)


@op("reshape(Tensor input, int[*] shape) -> Tensor")
class Reshape(Composite):
    """The same elements under another shape: a view where that is possible, else a copy.

    One size may be -1: it follows from the others.

    >>> import flambeau as torch
    >>> torch.arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """

    def body(input, shape):
        return reshaped(input, tuple(shape))


@op("reshape_as(Tensor input, Tensor other) -> Tensor", function=False)
class ReshapeAs(Composite):
    """`input` under the shape of ``other``."""

    def body(input, other):
        return reshaped(input, tuple(other._layout.shape))


@op("view_as(Tensor input, Tensor other) -> Tensor", function=False)
class ViewAs(Composite):
    """`input` viewed under the shape of ``other``, without a copy."""

    def body(input, other):
        return ops.view(input, tuple(other._layout.shape))


@op("ravel(Tensor input) -> Tensor")
class Ravel(Composite):
    """All elements in one dimension; a view where that is possible."""

    def body(input):
        return reshaped(input, (-1,)) if input._layout.numel else ops.view(input, (0,))


def flat_shape(where: Layout, start_dim: int, end_dim: int) -> tuple[int, ...]:
    """The shape with the dimensions from `start_dim` to `end_dim` made one."""
    start, end = check_dim(start_dim, where.ndim), check_dim(end_dim, where.ndim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if where.ndim == 0:
        return (1,)
    size = 1
    for n in where.shape[start : end + 1]:
        size *= n
    return (*where.shape[:start], size, *where.shape[end + 1 :])


@op("flatten(Tensor input, int start_dim=0, int end_dim=-1) -> Tensor")
class Flatten(Composite):
    """The dimensions from ``start_dim`` to ``end_dim`` made one; a view where that is possible."""

    def body(input, start_dim, end_dim):
        where = input._layout
        key = ("flatten", start_dim, end_dim)
        shape = where.cache.get(key)
        if shape is None:
            shape = where.cache[key] = flat_shape(where, start_dim, end_dim)
        return input if shape == where.shape else reshaped(input, shape)


@op("unflatten(Tensor input, int dim, any sizes) -> Tensor")
class Unflatten(Composite):
    """Dimension ``dim`` split into ``sizes``, of which one may be -1."""

    def body(input, dim, sizes):
        where = input._layout
        at = check_dim(dim, where.ndim)
        sizes = sizes_of(sizes)
        if not sizes:
            raise RuntimeError("unflatten: sizes must be non-empty")
        have = where.shape[at] if where.ndim else 1
        if sizes.count(-1) > 1:
            raise RuntimeError("unflatten got an unexpected error:\nonly one dimension can be inferred")
        known = 1
        for n in sizes:
            known *= 1 if n == -1 else n
        fits = have % known == 0 if -1 in sizes and known else known == have
        if not fits:
            raise RuntimeError(
                f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {at} ({have}) in the input tensor"
            )
        sizes = tuple(have // known if n == -1 else n for n in sizes)
        return ops.view(input, (*where.shape[:at], *sizes, *where.shape[at + 1 :]))


@op("expand(Tensor input, int[*] size, *, bool implicit=False) -> Tensor", function=False)
class Expand(View):
    """Repeat dimensions of size 1 without a copy (stride 0); -1 keeps a size."""

    def view(input, size):
        lead = len(size) - input.ndim
        if lead < 0:
            raise RuntimeError(
                f"expand({type_name(input)}{{{list(input.shape)}}}, size={list(size)}): the number of sizes provided "
                f"({len(size)}) must be greater or equal to the number of dimensions in the tensor ({input.ndim})"
            )
        shape, strides = list(size), [0] * len(size)
        for d in range(len(size) - 1, -1, -1):
            n = size[d]
            if d >= lead:
                have, step = input.shape[d - lead], input.strides[d - lead]
            else:
                have, step = 1, (shape[d + 1] * strides[d + 1] if d + 1 < len(size) else 1)
            if n == -1:
                if d < lead:
                    raise RuntimeError(
                        f"The expanded size of the tensor ({n}) isn't allowed in a leading, non-existing dimension {d}"
                    )
                n = have
            if n != have:
                if have != 1 or n < 0:
                    raise RuntimeError(
                        f"The expanded size of the tensor ({n}) must match the existing size ({have}) at non-singleton "
                        f"dimension {d}.  Target sizes: {list(size)}.  Tensor sizes: {list(input.shape)}"
                    )
                step = 0
            shape[d], strides[d] = n, step
        return same(input, shape, strides), 0

    def d_input(g, input_layout):
        return ops.sum_to_size(g, input_layout.shape)


_TYPE_NAMES = {
    "float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16", "uint8": "Byte", "int8": "Char",
    "int16": "Short", "int32": "Int", "int64": "Long", "bool": "Bool", "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
}  # fmt: skip


def type_title(dtype) -> str:
    """A type's name as PyTorch's C++ messages print it."""
    return _TYPE_NAMES.get(dtype.name, dtype.name)


def type_name(input: Layout) -> str:
    """The tensor type as PyTorch's messages print it."""
    return f"torch.{type_title(input.dtype)}Tensor"


@op("expand_as(Tensor input, Tensor other) -> Tensor", function=False)
class ExpandAs(Composite):
    """`input` expanded to the shape of ``other``, without a copy."""

    def body(input, other):
        return ops.expand(input, size=other._layout.shape)


@op("broadcast_to(Tensor input, int[] size) -> Tensor")
class BroadcastTo(Composite):
    """`input` expanded to ``size``, without a copy."""

    def body(input, size):
        return ops.expand(input, sizes_of(size))


def common_shape(shapes) -> tuple[int, ...]:
    """The shape to which all broadcast, with PyTorch's error where they do not."""
    shape: tuple[int, ...] = ()
    for other in shapes:
        try:
            shape = broadcast_shapes(shape, other)
        except ValueError as error:
            (at,) = error.args
            ndim = max(len(shape), len(other))
            a, b = shape[at - (ndim - len(shape))], other[at - (ndim - len(other))]
            raise RuntimeError(
                f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension {at}"
            ) from None
    return shape


@op("broadcast_tensors(any[*] tensors) -> Tensor[]", method=False)
class BroadcastTensors(Composite):
    """The tensors expanded to their common shape."""

    def body(tensors):
        shape = common_shape([t._layout.shape for t in tensors])
        return tuple(ops.expand(t, shape) for t in tensors)


@op("sum_to_size(Tensor input, int[*] size) -> Tensor", function=False)
class SumToSize(Composite):
    """Sum over the dimensions that broadcasting from ``size`` added."""

    def body(input, size):
        size = sizes_of(size)
        have = input._layout.shape
        lead = len(have) - len(size)
        if not size:
            return ops.sum(input)
        dims = list(range(lead)) + [lead + d for d, n in enumerate(size) if n == 1 and have[lead + d] != 1]
        if lead < 0 or any(n != have[lead + d] and n != 1 for d, n in enumerate(size)):
            raise RuntimeError(f"size {{{list(size)}}} is not expandable to size {{{list(have)}}}.")
        if not dims:
            return input
        found = ops.sum(input, dims, True)
        return ops.view(found, size) if lead else found


@op("permute(Tensor input, int[*] dims) -> Tensor")
class Permute(View):
    """The dimensions in another order."""

    def view(input, dims):
        if len(dims) != input.ndim:
            raise RuntimeError(
                f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
                f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(dims)}"
            )
        order = [check_dim(d, input.ndim) for d in dims]
        if len(set(order)) != len(order):
            raise RuntimeError("permute(): duplicate dims are not allowed.")
        return same(input, [input.shape[d] for d in order], [input.strides[d] for d in order]), 0

    def d_input(g, dims):
        back = [0] * len(dims)
        for k, d in enumerate(dims):
            back[d % len(dims)] = k
        return ops.permute(g, tuple(back))


@op("movedim(Tensor input, int[1] source, int[1] destination) -> Tensor", also="moveaxis")
class Movedim(Composite):
    """The dimensions ``source`` moved to the places ``destination``; the others keep their order."""

    def body(input, source, destination):
        where = input._layout
        order = where.cache.get(("movedim", source, destination)) if type(source) is int else None
        if order is None:
            order = moved_order(where.ndim, source, destination)
            if type(source) is int and type(destination) is int:
                where.cache["movedim", source, destination] = order
        return ops.permute(input, order)


def moved_order(ndim: int, source, destination) -> tuple[int, ...]:
    """The order of dimensions that `movedim` gives."""
    source = (source,) if isinstance(source, int) else tuple(source)
    destination = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(source) != len(destination):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(source)} dims) should contain the same number "
            f"of dims as destination ({list(destination)} dims)"
        )
    old, new = [check_dim(d, ndim) for d in source], [check_dim(d, ndim) for d in destination]
    for name, dims, given in (("source", old, source), ("destination", new, destination)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(given)})")
    order: list = [None] * ndim
    for s, d in zip(old, new if ndim else ()):
        order[d] = s
    rest = iter(d for d in range(ndim) if d not in old)
    return tuple(next(rest) if d is None else d for d in order)


def exchanged(input: Layout, first: int, second: int):
    """Layout with two dimensions exchanged."""
    a, b = check_dim(first, input.ndim), check_dim(second, input.ndim)
    shape, strides = list(input.shape), list(input.strides)
    if input.ndim:
        shape[a], shape[b] = shape[b], shape[a]
        strides[a], strides[b] = strides[b], strides[a]
    return same(input, shape, strides), 0


@op("transpose(Tensor input, int dim0, int dim1) -> Tensor", also="swapdims", inplace=True)
class Transpose(View):
    """Two dimensions exchanged.

    >>> import flambeau as torch
    >>> torch.zeros(2, 3, 4).transpose(0, 2).shape
    torch.Size([4, 3, 2])
    """

    def view(input, dim0, dim1):
        return exchanged(input, dim0, dim1)

    def d_input(g, dim0, dim1):
        return ops.transpose(g, dim0, dim1)


@op("swapaxes(Tensor input, int axis0, int axis1) -> Tensor", inplace=True)
class Swapaxes(View):
    """Two dimensions exchanged (NumPy's name of `transpose`)."""

    def view(input, axis0, axis1):
        return exchanged(input, axis0, axis1)

    def d_input(g, axis0, axis1):
        return ops.transpose(g, axis0, axis1)


@op("t(Tensor input) -> Tensor", inplace=True)
class T(View):
    """The transpose of a matrix; vectors unchanged."""

    def view(input):
        if input.ndim > 2:
            raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
        return same(input, input.shape[::-1], input.strides[::-1]), 0

    def d_input(g):
        return ops.t(g)


@op("adjoint(Tensor input) -> Tensor")
class Adjoint(Composite):
    """The last two dimensions exchanged, and the elements conjugated."""

    def body(input):
        where = input._layout
        if where.ndim == 1:
            raise RuntimeError(
                "tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor."
            )
        turned = ops.transpose(input, -2, -1) if where.ndim else ops.view(input, ())
        return ops.conj(turned) if where.dtype.is_complex else turned


@op("unsqueeze(Tensor input, int dim) -> Tensor", inplace=True)
class Unsqueeze(View):
    """A dimension of size 1 inserted at ``dim``."""

    def view(input, dim):
        at = check_dim(dim, input.ndim + 1)
        step = input.shape[at] * input.strides[at] if at < input.ndim else 1
        return same(
            input, (*input.shape[:at], 1, *input.shape[at:]), (*input.strides[:at], step, *input.strides[at:])
        ), 0

    def d_input(g, input_layout):
        return ops.reshape(g, input_layout.shape)


@op("squeeze(Tensor input, int[1]? dim=None) -> Tensor", inplace=True)
class Squeeze(View):
    """Dimensions of size 1 removed: all, or those named."""

    def view(input, dim):
        if dim is None:
            drop = set(range(input.ndim))
        else:
            dims = [check_dim(d, input.ndim) for d in (dim if isinstance(dim, tuple) else (dim,))]
            drop = set(dims)
            if len(drop) != len(dims):
                twice = next(d for d in dims if dims.count(d) > 1)
                raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
        keep = [d for d in range(input.ndim) if d not in drop or input.shape[d] != 1]
        return same(input, [input.shape[d] for d in keep], [input.strides[d] for d in keep]), 0

    def d_input(g, input_layout):
        return ops.reshape(g, input_layout.shape)


@op("alias(Tensor input) -> Tensor", function=False, method=False)
class Alias(View):
    """The tensor itself as a view, as ``x[...]`` gives it."""

    def view(input):
        return input, 0

    def d_input(g):
        return g
