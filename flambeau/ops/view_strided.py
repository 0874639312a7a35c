"""Views by strides (as_strided, diagonal, unfold), their gradients, and copies with one part replaced."""

from __future__ import annotations

from ..base.errors import check_dim
from ..base.layout import contiguous_layout, layout, overlaps_itself
from .define import op, ops
from .kinds import Composite, Opaque, View
from .view import same, view_gradient
from .view_slice import selected, sliced


@op(
    "strided_sum(Tensor input, int[] size, int[] base_stride, int[] stride, int move) -> Tensor",
    function=False,
    method=False,
)
class StridedSum(Opaque):
    """A tensor of zeros (dense, with ``base_stride``) to which ``input`` is added at the places of a strided view.

    ``stride`` and ``move`` describe the view of the result that has the shape of ``input``.
    """

    algorithm = "regions.strided_sum"

    def layouts(input, size, base_stride):
        return layout(size, base_stride, input.dtype, input.device)

    def d_input(g, input_layout, base_stride, stride, move):
        return ops.strided_at(dense_as(g, base_stride), input_layout.shape, stride, move)


def dense_as(g, strides):
    """`g`, copied where its strides differ from these dense ones."""
    where = g._layout
    if where.strides == tuple(strides):
        return g
    if tuple(strides) == contiguous_layout(where.shape, where.dtype, where.device).strides:
        return g if where.contiguous else ops.clone(g, memory_format="contiguous_format")
    return ops.strided_sum(g, where.shape, strides, strides, 0)


@op("strided_at(Tensor input, int[] size, int[] stride, int move) -> Tensor", function=False, method=False)
class StridedAt(View):
    """A view with the given sizes and strides, `move` elements after the input's first."""

    def view(input, size, stride, move):
        return same(input, size, stride), move

    def d_input(g, input_layout, size, stride, move):
        return strided_gradient(g, input_layout, stride, move)


def strided_gradient(g, where, stride, move: int):
    """Gradient of a tensor from that of a strided view of its storage.

    The view may reach elements of the storage that the tensor does not; their gradient is dropped.
    """
    if where.dense and 0 not in where.shape:
        reach = move + sum((n - 1) * s for n, s in zip(g._layout.shape, stride))
        if move >= 0 and (reach < where.numel or not g._layout.numel):
            return ops.strided_sum(g, where.shape, where.strides, tuple(stride), move)
    first = min(0, move)
    last = max(where.extent, move + 1 + sum((n - 1) * s for n, s in zip(g._layout.shape, stride)))
    total = ops.strided_sum(g, (last - first,), (1,), tuple(stride), move - first)
    found = ops.strided_at(total, where.shape, where.strides, -first)
    if overlaps_itself(where.shape, where.strides):  # elements that share a place share its gradient
        ones = ops.expand(ops.ones((), dtype=g._layout.dtype, device=g._layout.device), where.shape)
        count = ops.strided_sum(ones, (last - first,), (1,), where.strides, -first)
        found = found / ops.strided_at(count, where.shape, where.strides, -first)
    return found


def check_strided(where, storage_bytes: int | None, size, stride, start: int) -> None:
    """Raise unless sizes, strides and offset stay within the storage."""
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(
            f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}"
        )
    if any(n < 0 for n in size):
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(size)} and strides={list(stride)}"
        )
    if start < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {start}")
    item = where.dtype.itemsize
    extent = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride))
    if storage_bytes is not None and extent and (start + extent) * item > storage_bytes:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {start}, and itemsize {item} "
            f"requiring a storage size of {(start + extent) * item} are out of bounds for storage of size {storage_bytes}"
        )


def strided_arguments(input, size, stride, storage_offset):
    """(size, stride, move) of an as_strided call, checked."""
    size, stride = tuple(n.__index__() for n in size), tuple(s.__index__() for s in stride)
    here = input.storage_offset()
    start = here if storage_offset is None else storage_offset
    have = None if input._layout.device.type == "meta" else input.untyped_storage().nbytes()
    check_strided(input._layout, have, size, stride, start)
    return size, stride, start - here


@op("as_strided(Tensor input, int[] size, int[] stride, int? storage_offset=None) -> Tensor")
class AsStrided(Composite):
    """A view with the given sizes, strides and offset into the storage (in elements).

    Raises: RuntimeError where the view would leave the storage.
    """

    def body(input, size, stride, storage_offset):
        return ops.strided_at(input, *strided_arguments(input, size, stride, storage_offset))


# -- copies with one part replaced ---------------------------------------------------------------------------


@op(
    "write_view(Tensor input, Tensor src, int[] size, int[] stride, int move) -> Tensor",
    function=False,
    method=False,
)
class WriteView(Opaque):
    """A contiguous copy of ``input`` in which a strided view holds ``src`` (broadcast to ``size``)."""

    algorithm = "regions.write_view"

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, src_layout, size, stride, move):
        nothing = ops.expand(ops.zeros((), dtype=g._layout.dtype, device=g._layout.device), tuple(size))
        return ops.write_view(g, nothing, size, stride, move)

    def d_src(g, input_layout, size, stride, move):
        whole = dense_as(
            g, contiguous_layout(input_layout.shape, input_layout.dtype, input_layout.device).strides
        )
        return ops.strided_at(whole, size, stride, move)


def replaced(input, src, rule, *arguments):
    """A copy of `input` whose view by `rule` holds `src`."""
    where = input._layout
    found, move = rule(contiguous_layout(where.shape, where.dtype, where.device), *arguments)
    if src._layout.shape != found.shape:
        raise RuntimeError(
            "expected src to have a size equal to the slice of self. src size = "
            f"{list(src._layout.shape)}, slice size = {list(found.shape)}"
        )
    return ops.write_view(input, src, found.shape, found.strides, move)


@op("select_scatter(Tensor input, Tensor src, int dim, int index) -> Tensor")
class SelectScatter(Composite):
    """A copy of ``input`` with ``src`` at ``index`` along ``dim``."""

    def body(input, src, dim, index):
        return replaced(input, src, selected, dim, index)


@op(
    "slice_scatter(Tensor input, Tensor src, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor"
)
class SliceScatter(Composite):
    """A copy of ``input`` with ``src`` in the range ``start:end:step`` along ``dim``."""

    def body(input, src, dim, start, end, step):
        return replaced(input, src, sliced, dim, start, end, step)


@op("diagonal_scatter(Tensor input, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor")
class DiagonalScatter(Composite):
    """A copy of ``input`` with ``src`` on a diagonal."""

    def body(input, src, offset, dim1, dim2):
        return replaced(input, src, diagonal_view, offset, dim1, dim2)


@op(
    "as_strided_scatter(Tensor input, Tensor src, int[] size, int[] stride, int? storage_offset=None) -> Tensor"
)
class AsStridedScatter(Composite):
    """A copy of ``input`` with ``src`` in a strided view of it."""

    def body(input, src, size, stride, storage_offset):
        size, stride, start = tuple(size), tuple(stride), storage_offset or 0
        where = contiguous_layout(input._layout.shape, input._layout.dtype, input._layout.device)
        check_strided(where, where.nbytes, size, stride, start)
        if src._layout.shape != size:
            raise RuntimeError(
                "expected src to have a size equal to the slice of self. src size = "
                f"{list(src._layout.shape)}, slice size = {list(size)}"
            )
        return ops.write_view(input, src, size, stride, start)


# -- diagonals -----------------------------------------------------------------------------------------------


def diagonal_view(input, offset: int, dim1: int, dim2: int):
    """Layout and start of the diagonal of two dimensions, which becomes the last dimension."""
    a, b = check_dim(dim1, input.ndim), check_dim(dim2, input.ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = input.shape[a], input.shape[b]
    if offset >= 0:
        n, move = max(0, min(rows, columns - offset)), offset * input.strides[b]
    else:
        n, move = max(0, min(rows + offset, columns)), -offset * input.strides[a]
    keep = [d for d in range(input.ndim) if d not in (a, b)]
    shape = [*(input.shape[d] for d in keep), n]
    strides = [*(input.strides[d] for d in keep), input.strides[a] + input.strides[b]]
    return same(input, shape, strides), move if n else 0


@op("diagonal(Tensor input, int offset=0, int dim1=0, int dim2=1) -> Tensor")
class Diagonal(View):
    """The diagonal of two dimensions as a view; it becomes the last dimension."""

    def view(input, offset, dim1, dim2):
        return diagonal_view(input, offset, dim1, dim2)

    def d_input(g, input_layout, offset, dim1, dim2):
        return view_gradient(g, diagonal_view, input_layout, offset, dim1, dim2)


@op("diag_embed(Tensor input, int offset=0, int dim1=-2, int dim2=-1) -> Tensor")
class DiagEmbed(Composite):
    """Zeros with ``input``'s last dimension on the diagonal of two new dimensions."""

    def body(input, offset, dim1, dim2):
        where = input._layout
        a, b = check_dim(dim1, where.ndim + 1), check_dim(dim2, where.ndim + 1)
        if a == b:
            raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
        n = where.shape[-1] + abs(offset)
        rest = iter(where.shape[:-1])
        shape = tuple(n if d in (a, b) else next(rest) for d in range(where.ndim + 1))
        whole = contiguous_layout(shape, where.dtype, where.device)
        found, move = diagonal_view(whole, offset, a, b)
        return ops.strided_sum(input, shape, whole.strides, found.strides, move)


@op("diag(Tensor input, int diagonal=0, *, Tensor? out=None) -> Tensor")
class Diag(Composite):
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""

    def body(input, diagonal):
        ndim = input._layout.ndim
        if ndim not in (1, 2):
            raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {ndim}D")
        if ndim == 1:
            return ops.diag_embed(input, diagonal)
        return ops.clone(ops.diagonal(input, diagonal))


@op("diagflat(Tensor input, int offset=0) -> Tensor")
class Diagflat(Composite):
    """A square matrix with all elements of ``input`` on its diagonal."""

    def body(input, offset):
        return ops.diag_embed(ops.reshape(input, (-1,)), offset)


@op("linalg.diagonal(Tensor A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor")
class LinalgDiagonal(Composite):
    """The diagonal of the last two dimensions as a view."""

    def body(A, offset, dim1, dim2):
        return ops.diagonal(A, offset, dim1, dim2)


def unfolded(input, dimension: int, size: int, step: int):
    """Layout and start of all windows of `size` along a dimension, `step` apart."""
    at = check_dim(dimension, input.ndim)
    have, stride = (input.shape[at], input.strides[at]) if input.ndim else (1, 1)
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > have:
        raise RuntimeError(f"maximum size for tensor at dimension {at} is {have} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    shape, strides = list(input.shape), list(input.strides)
    if input.ndim:
        shape[at], strides[at] = (have - size) // step + 1, step * stride
    return same(input, [*shape, size], [*strides, stride]), 0


@op("unfold(Tensor input, int dimension, int size, int step) -> Tensor", function=False)
class Unfold(View):
    """All windows of ``size`` along a dimension, ``step`` apart, as a view; the window is the last dimension."""

    def view(input, dimension, size, step):
        return unfolded(input, dimension, size, step)

    def d_input(g, input_layout, dimension, size, step):
        return view_gradient(g, unfolded, input_layout, dimension, size, step)
