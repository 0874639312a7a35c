"""Views: other shapes and orders of the same memory. No kernel runs."""

from __future__ import annotations

from ..base import dtype as types
from ..base.errors import check_dim
from ..base.layout import Layout, layout, view_strides
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


@op("reshape(Tensor input, int[*] shape) -> Tensor")
class Reshape(Composite):
    """The same elements under another shape: a view where that is possible, else a copy."""

    def body(input, shape):
        where = input._layout
        sizes = resolve_sizes(shape, where.numel)
        if view_strides(where.shape, where.strides, sizes) is None:
            input = ops.clone(input, memory_format="contiguous_format")
        return ops.view(input, sizes)


@op("strided_at(Tensor input, int[] size, int[] stride, int move) -> Tensor", function=False, method=False)
class StridedAt(View):
    """A view with the given sizes and strides, `move` elements after the input's first."""

    def view(input, size, stride, move):
        return same(input, size, stride), move

    def d_input(g, input_layout, size, stride, move):
        return ops.as_strided_backward(g, input_layout.shape, input_layout.strides, stride, move)


@op("as_strided(Tensor input, int[] size, int[] stride, int? storage_offset=None) -> Tensor")
class AsStrided(Composite):
    """A view with the given sizes, strides and offset into the storage (in elements)."""

    def body(input, size, stride, storage_offset):
        size, stride = tuple(size), tuple(stride)
        if len(size) != len(stride):
            raise RuntimeError("mismatch in length of strides and shape")
        if any(s < 0 for s in stride):
            raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
        here = input.storage_offset()
        start = here if storage_offset is None else storage_offset
        if start < 0:
            raise RuntimeError(f"invalid storage offset {start}")
        item = input.element_size()
        extent = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride))
        have = input.untyped_storage().nbytes() if input.device.type != "meta" else None
        if have is not None and extent and (start + extent) * item > have:
            raise RuntimeError(
                f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {start}, and itemsize {item} "
                f"requiring a storage size of {(start + extent) * item} are out of bounds for storage of size {have}"
            )
        return ops.strided_at(input, size, stride, start - here)


@op("as_strided_backward(Tensor g, int[] size, int[] base_stride, int[] stride, int move) -> Tensor", function=False, method=False)
class AsStridedBackward(Composite):
    """Gradient of a base from that of a strided view: overlapping elements add up."""

    def body(g, size, base_stride, stride, move):
        extent = 1 + sum((n - 1) * s for n, s in zip(size, base_stride)) if 0 not in size else 0
        flat = ops.zeros((extent,), dtype=g.dtype, device=g.device)
        places = ops.full((), move, dtype=types.int64, device=g.device)
        for n, s in zip(g.shape, stride):
            places = ops.unsqueeze(places, -1) + ops.arange(n, device=g.device) * s
        flat = ops.index_add(flat, 0, ops.reshape(places, (-1,)), ops.reshape(g, (-1,)))
        return ops.as_strided(flat, size, base_stride, 0)


@op("expand(Tensor input, int[*] size, *, bool implicit=False) -> Tensor", function=False)
class Expand(View):
    """Repeat dimensions of size 1 without a copy (stride 0); -1 keeps a size."""

    def view(input, size):
        lead = len(size) - input.ndim
        if lead < 0:
            raise RuntimeError(
                f"expand({input.dtype}{list(input.shape)}, size={list(size)}): the number of sizes provided ({len(size)}) "
                f"must be greater or equal to the number of dimensions in the tensor ({input.ndim})"
            )
        shape, strides = [], []
        for d, n in enumerate(size):
            have = input.shape[d - lead] if d >= lead else 1
            step = input.strides[d - lead] if d >= lead else 0
            if n == -1:
                if d < lead:
                    raise RuntimeError(
                        f"The expanded size of the tensor ({n}) isn't allowed in a leading, non-existing dimension {d}"
                    )
                n = have
            if n != have:
                if have != 1:
                    raise RuntimeError(
                        f"The expanded size of the tensor ({n}) must match the existing size ({have}) at non-singleton "
                        f"dimension {d}.  Target sizes: {list(size)}.  Tensor sizes: {list(input.shape)}"
                    )
                step = 0
            shape.append(n)
            strides.append(step if have != 1 or n == 1 else 0)
        return same(input, shape, strides), 0

    def d_input(g, input_layout):
        return ops.sum_to_size(g, input_layout.shape)


@op("sum_to_size(Tensor input, int[*] size) -> Tensor", function=False)
class SumToSize(Composite):
    """Sum over the dimensions that broadcasting from ``size`` added."""

    def body(input, size):
        have = input._layout.shape
        lead = len(have) - len(size)
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
        return ops.permute(g, back)


@op("transpose(Tensor input, int dim0, int dim1) -> Tensor", also="swapaxes swapdims")
class Transpose(View):
    """Two dimensions exchanged."""

    def view(input, dim0, dim1):
        a, b = check_dim(dim0, input.ndim), check_dim(dim1, input.ndim)
        shape, strides = list(input.shape), list(input.strides)
        if input.ndim:
            shape[a], shape[b] = shape[b], shape[a]
            strides[a], strides[b] = strides[b], strides[a]
        return same(input, shape, strides), 0

    def d_input(g, dim0, dim1):
        return ops.transpose(g, dim0, dim1)


@op("t(Tensor input) -> Tensor")
class T(View):
    """The transpose of a matrix; vectors unchanged."""

    def view(input):
        if input.ndim > 2:
            raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
        return same(input, input.shape[::-1], input.strides[::-1]), 0

    def d_input(g):
        return ops.t(g)


@op("unsqueeze(Tensor input, int dim) -> Tensor")
class Unsqueeze(View):
    """A dimension of size 1 inserted at ``dim``."""

    def view(input, dim):
        at = check_dim(dim, input.ndim + 1)
        step = input.shape[at] * input.strides[at] if at < input.ndim else 1
        return same(input, (*input.shape[:at], 1, *input.shape[at:]), (*input.strides[:at], step, *input.strides[at:])), 0

    def d_input(g, dim):
        return ops.squeeze(g, dim)


@op("squeeze(Tensor input, int[1]? dim=None) -> Tensor")
class Squeeze(View):
    """Dimensions of size 1 removed: all, or those named."""

    def view(input, dim):
        if dim is None:
            drop = set(range(input.ndim))
        else:
            drop = {check_dim(d, input.ndim) for d in (dim if isinstance(dim, tuple) else (dim,))}
        keep = [d for d in range(input.ndim) if d not in drop or input.shape[d] != 1]
        return same(input, [input.shape[d] for d in keep], [input.strides[d] for d in keep]), 0

    def d_input(g, input_layout):
        return ops.reshape(g, input_layout.shape)


@op("select(Tensor input, int dim, int index) -> Tensor")
class Select(View):
    """The slice at ``index`` along ``dim``, without that dimension."""

    def view(input, dim, index):
        if input.ndim == 0:
            raise IndexError("select() cannot be applied to a 0-dim tensor.")
        at = check_dim(dim, input.ndim)
        n = input.shape[at]
        if not -n <= index < n:
            raise IndexError(
                f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {at}"
            )
        index += n if index < 0 else 0
        shape, strides = list(input.shape), list(input.strides)
        del shape[at]
        step = strides.pop(at)
        return same(input, shape, strides), index * step

    def d_input(g, input_layout, dim, index):
        whole = ops.zeros(input_layout.shape, dtype=g.dtype, device=g.device)
        return ops.select_scatter(whole, g, dim, index)


@op("slice(Tensor input, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor", function=False, method=False)
class Slice(View):
    """The elements ``start:end:step`` along ``dim``."""

    def view(input, dim, start, end, step):
        if input.ndim == 0:
            raise RuntimeError("slice() cannot be applied to a 0-dim tensor.")
        if step <= 0:
            raise ValueError("step must be greater than zero")
        at = check_dim(dim, input.ndim)
        n = input.shape[at]
        first, last, _ = slice(start, end).indices(n)
        count = max(0, (last - first + step - 1) // step)
        shape, strides = list(input.shape), list(input.strides)
        move = min(first, n) * strides[at] if count else 0
        shape[at], strides[at] = count, strides[at] * step
        return same(input, shape, strides), move

    def d_input(g, input_layout, dim, start, end, step):
        whole = ops.zeros(input_layout.shape, dtype=g.dtype, device=g.device)
        return ops.slice_scatter(whole, g, dim, start, end, step)
