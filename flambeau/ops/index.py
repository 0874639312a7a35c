"""Indexing with tensors: slices and elements at given places, read, written and summed."""

from __future__ import annotations

import itertools

from ..base import dtype as types
from ..base.errors import check_dim
from ..base.layout import Layout, contiguous_layout
from .define import op, ops
from .kinds import Composite, Opaque, View
from .out_rules import worded
from .view import common_shape, same, sizes_of, type_title, view_gradient
from .view_slice import selected, sliced

INDEX_TYPES = ("int32", "int64")


# -- basic indices: one view ---------------------------------------------------------------------------------


def basic_view(input: Layout, index):
    """Layout and start of ``x[index]``; index: ints, (start, stop, step) tuples and None, without an ellipsis."""
    where, move, dim, real = input, 0, 0, 0
    for one in index:
        if one is None:
            step = where.shape[dim] * where.strides[dim] if dim < where.ndim else 1
            shape, strides = where.shape, where.strides
            where = same(where, (*shape[:dim], 1, *shape[dim:]), (*strides[:dim], step, *strides[dim:]))
            dim += 1
        elif type(one) is tuple:
            where, more = sliced(where, dim, *one)
            move += more
            dim += 1
            real += 1
        else:
            n = where.shape[dim]
            if not -n <= one < n:
                raise IndexError(f"index {one} is out of bounds for dimension {real} with size {n}")
            where, more = selected(where, dim, one)
            move += more
            real += 1
    return where, move


class _Basic(View):
    """A view by ints, slices and None."""

    def view(input, index):
        return basic_view(input, index)

    def d_input(g, input_layout, index):
        return view_gradient(g, basic_view, input_layout, index)


# Named by the last step of the index, as PyTorch names the node that such an index leaves.
for _name in ("select", "slice", "unsqueeze", "alias"):
    op(f"indexed.{_name}(Tensor input, any index) -> Tensor", function=False)(
        type(f"Basic{_name.capitalize()}", (View,), {
            "__doc__": _Basic.__doc__, "view": _Basic.view, "d_input": _Basic.d_input,
        })
    )  # fmt: skip


def pick(input, index, dim: int):
    """Slices along `dim` at the places of an index of any shape."""
    return getattr(ops, "indexed.index")(input, index, dim)


def pick_at(input, indices, dims):
    """Elements or slices at the places that index tensors of equal shape name together."""
    if len(dims) == 1:
        return pick(input, indices[0], dims[0])
    return getattr(ops, "indexed_several.index")(input, indices, dims)


# -- slices along one dimension ------------------------------------------------------------------------------


def taken_layout(where: Layout, dim: int, index: Layout) -> Layout:
    """Layout of the slices along `dim` at the places of an index of any shape."""
    shape = (*where.shape[:dim], *index.shape, *where.shape[dim + 1 :])
    return contiguous_layout(shape, where.dtype, where.device)


@op("indexed.index(Tensor input, Tensor index, int dim) -> Tensor", function=False)
class Index(Opaque):
    """Slices along ``dim`` at the places of ``index``; negative places count from the end."""

    algorithm = "indexing.take_index"

    def layouts(input, index, dim):
        return taken_layout(input, dim, index)

    def d_input(g, input_layout, index, dim):
        return ops.rows_sum(g, index, dim, input_layout.shape[dim])


@op(
    "rows_sum(Tensor input, Tensor index, int dim, int size, int skip=-1, bool mean=False) -> Tensor", function=False,
    method=False,
)  # fmt: skip
class RowsSum(Opaque):
    """Slices of ``input`` summed into zeros at the places of ``index`` along ``dim``, in the order of the index.

    skip: a place that stays zero. mean: each sum is divided by how many slices it has.
    """

    algorithm = "indexing.rows_sum"

    def layouts(input, index, dim, size):
        shape = (*input.shape[:dim], size, *input.shape[dim + index.ndim :])
        return contiguous_layout(shape, input.dtype, input.device)

    def d_input(g, index, dim, size, skip, mean):
        found, where = pick(g, index, dim), index._layout
        wide = (1,) * dim + tuple(where.shape) + (1,) * (found._layout.ndim - dim - where.ndim)
        if mean:
            ones = ops.ones(where.shape, dtype=g._layout.dtype, device=g._layout.device)
            found = found / ops.reshape(pick(ops.rows_sum(ones, index, 0, size), index, 0), wide)
        return found if skip < 0 else ops.where(ops.reshape(ops.ne(index, skip), wide), found, 0)


@op("index_select(Tensor input, int dim, Tensor index, *, Tensor? out=None) -> Tensor")
class IndexSelect(Opaque):
    """Slices along ``dim`` at the places of a vector of indices.

    Raises: IndexError where an index is negative or too large; nothing is returned then.
    """

    check_out = worded("index_select(): self and result must have the same scalar type", cast=False)

    algorithm = "indexing.take_select"

    def check(input, dim, index):
        check_dim(dim, input.ndim)
        if index.ndim > 1:
            raise IndexError("index_select(): Index is supposed to be a vector")
        if index.dtype.name not in INDEX_TYPES:
            raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
        if input.ndim == 0 and index.numel != 1:
            raise RuntimeError(
                f"index_select(): Index to scalar can have only 1 value, got {index.numel} value(s)"
            )
        if input.device is not index.device:
            raise RuntimeError(
                "Expected all tensors to be on the same device, but got index is on "
                f"{index.device}, different from other tensors on {input.device} (when checking argument in method "
                "wrapper_CPU__index_select)"
            )

    def layouts(input, dim, index):
        at = check_dim(dim, input.ndim)
        if input.ndim == 0:
            return input
        shape = (*input.shape[:at], index.numel, *input.shape[at + 1 :])
        return contiguous_layout(shape, input.dtype, input.device)

    def d_input(g, input_layout, dim, index):
        if input_layout.ndim == 0:
            return g
        at = check_dim(dim, input_layout.ndim)
        return ops.rows_sum(g, ops.reshape(index, (-1,)), at, input_layout.shape[at])


# -- elements named by several index tensors -----------------------------------------------------------------


def indexed_shape(shape, dims, index_shape) -> tuple[int, ...]:
    """Shape of ``x[..., i, j, ...]``: the indices' shape where the indexed dimensions were, in front if they are apart."""
    rest = [n for d, n in enumerate(shape) if d not in dims]
    together = all(b == a + 1 for a, b in itertools.pairwise(dims))
    at = dims[0] if together else 0
    return (*rest[:at], *index_shape, *rest[at:])


@op("indexed_several.index(Tensor input, Tensor[] indices, int[] dims) -> Tensor", function=False)
class IndexAt(Opaque):
    """Slices at the places that several index tensors (contiguous, of one shape) name together in ``dims``."""

    algorithm = "indexing.index_at"

    def layouts(input, indices, dims):
        return contiguous_layout(
            indexed_shape(input.shape, dims, indices[0].shape), input.dtype, input.device
        )

    def d_input(g, input_layout, indices, dims):
        return ops.places_sum(g, indices, dims, input_layout.shape)


@op(
    "places_sum(Tensor input, Tensor[] indices, int[] dims, int[] size) -> Tensor",
    function=False,
    method=False,
)
class PlacesSum(Opaque):
    """Zeros, and ``input`` added at the places that several index tensors name together."""

    algorithm = "indexing.places_sum"

    def layouts(input, size):
        return contiguous_layout(size, input.dtype, input.device)

    def d_input(g, indices, dims):
        return pick_at(g, indices, dims)


@op(
    "index_put_at(Tensor input, Tensor[] indices, Tensor values, int[] dims, bool accumulate=False) -> Tensor", inplace=True,
    function=False, method=False,
)  # fmt: skip
class IndexPutAt(Opaque):
    """``values`` (of the indexed shape, or one for all) written or added where index tensors say."""

    algorithm = "indexing.index_put"
    writes = True

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, indices, dims, accumulate):
        if accumulate:
            return g
        nothing = ops.zeros((), dtype=g._layout.dtype, device=g._layout.device)
        return ops.index_put_at(g, indices, nothing, dims, False)

    def d_values(g, indices, dims):
        return pick_at(g, indices, dims)


@op("index_put(Tensor input, any indices, Tensor values, bool accumulate=False) -> Tensor")
class IndexPut(Composite):
    """A copy of ``input`` with ``values`` written (or added) where the index tensors say."""

    def body(input, indices, values, accumulate):
        return put_indices(input, indices, values, accumulate, False)


@op("index_put_(Tensor input, any indices, Tensor values, bool accumulate=False) -> Tensor")
class IndexPutInPlace(Composite):
    """Write (or add) ``values`` where the index tensors say, in place."""

    def body(input, indices, values, accumulate):
        return put_indices(input, indices, values, accumulate, True)


def put_indices(input, indices, values, accumulate: bool, in_place: bool):
    """index_put with a tuple of index tensors for the leading dimensions."""
    name = "index_put_" if in_place else "index_put"
    if not isinstance(indices, (list, tuple)):
        raise TypeError(
            f"{name}(): argument 'indices' (position 1) must be tuple of Tensors, not {type(indices).__name__}"
        )
    if not hasattr(values, "_layout"):
        raise TypeError(
            f"{name}(): argument 'values' (position 2) must be Tensor, not {type(values).__name__}"
        )
    for k, one in enumerate(indices):
        if not hasattr(one, "_layout"):
            raise TypeError(f"expected Tensor as element {k} in argument 0, but got {type(one).__name__}")
    dims, found = resolve_indices(input, tuple(indices))
    return written(input, dims, found, values, accumulate, in_place)


def resolve_indices(input, indices: tuple) -> tuple[tuple[int, ...], tuple]:
    """Dimensions and int64 index tensors of one shape, from tensors (masks too) and None for the leading dimensions."""
    where, dims, found, at = input._layout, [], [], 0
    count = sum(
        1 if i is None or i._layout.dtype.name not in ("bool", "uint8") else i._layout.ndim for i in indices
    )
    if count > where.ndim:
        raise IndexError(f"too many indices for tensor of dimension {where.ndim} (got {count})")
    for index in indices:
        if index is None:
            at += 1
            continue
        kind = index._layout.dtype.name
        if kind in ("bool", "uint8"):
            shape = index._layout.shape
            for d, n in enumerate(shape):
                if where.shape[at + d] != n:
                    raise IndexError(
                        f"The shape of the mask {list(shape)} at index {d} does not match the shape of the indexed tensor "
                        f"{list(where.shape)} at index {at + d}"
                    )
            for one in ops.true_indices(index):
                dims.append(at)
                found.append(one)
                at += 1
            continue
        if kind not in INDEX_TYPES:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        dims.append(at)
        found.append(index)
        at += 1
    return tuple(dims), together(found)


def together(indices: list) -> tuple:
    """Index tensors expanded to their common shape, contiguous."""
    if len(indices) < 2:
        return tuple(indices)
    shapes = [tuple(i._layout.shape) for i in indices]
    if any(s != shapes[0] for s in shapes):
        try:
            shape = common_shape(shapes)
        except RuntimeError:
            listed = ", ".join(str(list(s)) for s in shapes)
            raise IndexError(
                f"shape mismatch: indexing tensors could not be broadcast together with shapes {listed}"
            ) from None
        indices = [i if tuple(i._layout.shape) == shape else ops.expand(i, shape) for i in indices]
    return tuple(
        i if i._layout.contiguous else ops.clone(i, memory_format="contiguous_format") for i in indices
    )


def written(input, dims, indices, values, accumulate: bool, in_place: bool):
    """`values` written into `input` (or into a copy of it) at resolved indices."""
    where, given = input._layout, values._layout
    if given.dtype is not where.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {type_title(where.dtype)} for the "
            f"destination and {type_title(given.dtype)} for the source."
        )
    shape = indexed_shape(where.shape, dims, indices[0]._layout.shape)
    if given.numel != 1 or given.ndim > len(shape):
        extra = given.ndim - len(shape)
        if extra > 0 and all(n == 1 for n in given.shape[:extra]):
            values = ops.reshape(values, tuple(given.shape[extra:]))
        if tuple(values._layout.shape) != shape:
            try:
                values = ops.expand(values, shape)
            except RuntimeError:
                raise RuntimeError(
                    f"shape mismatch: value tensor of shape {list(given.shape)} cannot be broadcast to indexing result of "
                    f"shape {list(shape)}"
                ) from None
    put = ops.index_put_at_ if in_place else ops.index_put_at
    return put(input, indices, values, dims, accumulate)


# -- flat places ---------------------------------------------------------------------------------------------


def check_flat(name: str, input: Layout, index: Layout) -> None:
    if index.dtype.name != "int64":
        raise RuntimeError(f"{name}(): Expected a long tensor for index, but got {type_title(index.dtype)}")


@op("take_flat(Tensor input, Tensor index) -> Tensor", function=False, method=False)
class TakeFlat(Opaque):
    """Elements of a vector at the places of ``index``; negative places count from the end."""

    algorithm = "indexing_along.take_flat"

    def layouts(input, index):
        return contiguous_layout(index.shape, input.dtype, input.device)

    def d_input(g, input_layout, index):
        return ops.rows_sum(g, index, 0, input_layout.numel)


@op("take(Tensor input, Tensor index, *, Tensor? out=None) -> Tensor")
class Take(Composite):
    """Elements at the places of ``index`` in the flattened input."""

    check_out = worded(
        "take(): self and out expected to have the same dtype, but got self.dtype = {want} and out.dtype = {have}",
        cast=False,
    )

    def body(input, index):
        check_flat("take", input._layout, index._layout)
        if input._layout.numel == 0 and index._layout.numel:
            raise IndexError("take(): tried to take from an empty tensor")
        return ops.take_flat(ops.reshape(input, (input._layout.numel,)), index)


@op("put_flat(Tensor input, Tensor index, Tensor source, bool accumulate=False) -> Tensor", inplace=True, function=False,
    method=False)  # fmt: skip
class PutFlat(Opaque):
    """``source`` written or added at places of a vector."""

    algorithm = "indexing_along.put_flat"
    writes = True

    def layouts(input):
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, index, accumulate):
        return (
            g
            if accumulate
            else ops.put_flat(g, index, ops.zeros(index._layout.shape, dtype=g._layout.dtype), False)
        )

    def d_source(g, index, source_layout):
        return ops.reshape(ops.take_flat(g, index), source_layout.shape)


@op("put(Tensor input, Tensor index, Tensor source, bool accumulate=False) -> Tensor", inplace=True)
class Put(Composite):
    """A copy of ``input`` with ``source`` written (or added) at the places of ``index`` in the flattened input."""

    def body(input, index, source, accumulate):
        where, given = input._layout, source._layout
        if given.numel != index._layout.numel:
            raise IndexError(
                "put_(): Expected source and index to have the same number of elements, but got source.numel() = "
                f"{given.numel}, index.numel() = {index._layout.numel}"
            )
        check_flat("put_", where, index._layout)
        if given.dtype is not where.dtype:
            raise RuntimeError(
                "put_(): self and source expected to have the same dtype, but got self.dtype = "
                f"{type_title(where.dtype)} and source.dtype = {type_title(given.dtype)}"
            )
        flat = ops.reshape(input, (where.numel,))
        return ops.reshape(ops.put_flat(flat, index, source, accumulate), where.shape)


@op("take_along_dim(Tensor input, Tensor indices, int? dim=None, *, Tensor? out=None) -> Tensor")
class TakeAlongDim(Composite):
    """Elements along ``dim`` at the places of ``indices``, both broadcast in the other dimensions."""

    def body(input, indices, dim):
        have, given = input._layout, indices._layout
        if given.dtype.name not in INDEX_TYPES:
            raise RuntimeError("gather(): Expected dtype int32/int64 for index")
        if dim is None:
            flat = ops.reshape(input, (-1,))
            return ops.gather(flat, 0, ops.remainder(ops.reshape(indices, (-1,)), max(1, have.numel)))
        if have.ndim != given.ndim:
            raise RuntimeError(
                "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
                f"{have.ndim} dimensions for input, and {given.ndim} dimensions for indices"
            )
        at = check_dim(dim, have.ndim)
        if have.shape[:at] == given.shape[:at] and have.shape[at + 1 :] == given.shape[at + 1 :]:
            return ops.gather(input, at, ops.remainder(indices, max(1, have.shape[at] if have.ndim else 1)))
        one = common_shape(
            [[1 if d == at else n for d, n in enumerate(s)] for s in (have.shape, given.shape)]
        )
        input = ops.expand(input, tuple(have.shape[at] if d == at else n for d, n in enumerate(one)))
        indices = ops.expand(indices, tuple(given.shape[at] if d == at else n for d, n in enumerate(one)))
        return ops.gather(input, at, ops.remainder(indices, max(1, have.shape[at] if have.ndim else 1)))


# -- masks ---------------------------------------------------------------------------------------------------


@op("mask_counts(Tensor mask) -> Tensor", function=False, method=False)
class MaskCounts(Opaque):
    """Running number of true elements before each block of a mask, and at last their number."""

    algorithm = "indexing.mask_counts"

    def layouts(mask):
        return contiguous_layout((-(-mask.numel // 8192) + 1,), types.int64, mask.device)


@op("true_positions(Tensor mask) -> Tensor", function=False, method=False)
class TruePositions(Composite):
    """Places of the true elements in the flattened mask."""

    def body(mask):
        return mask._true_positions()


@op("true_indices(Tensor mask) -> Tensor[]", function=False, method=False)
class TrueIndices(Composite):
    """Places of the true elements, one index tensor per dimension."""

    def body(mask):
        where = mask._layout
        if where.ndim == 0:
            return (ops.true_positions(ops.reshape(mask, (1,))),)
        flat = ops.true_positions(mask)
        if where.ndim == 1:
            return (flat,)
        found, step = [], 1
        for n in reversed(where.shape):
            part = ops.floor_divide(flat, step) if step > 1 else flat
            found.append(ops.remainder(part, n) if step * n < where.numel else part)
            step *= n
        return tuple(reversed(found))


@op("masked_select(Tensor input, Tensor mask, *, Tensor? out=None) -> Tensor")
class MaskedSelect(Composite):
    """The elements where ``mask`` is true, in one dimension; the two are broadcast together."""

    check_out = worded("masked_select(): self and result must have the same scalar type", cast=False)

    def body(input, mask):
        if mask._layout.dtype.name != "bool":
            raise RuntimeError("masked_select: expected BoolTensor for mask")
        shape = input._layout.shape
        if mask._layout.shape == shape and 0 not in shape:
            return pick(ops.reshape(input, (-1,)), mask._true_positions(), 0)
        shape = common_shape([mask._layout.shape, shape])
        flat = ops.reshape(ops.expand(input, shape), (-1,)) if 0 not in shape else ops.reshape(input, (0,))
        return pick(flat, ops.true_positions(ops.expand(mask, shape)), 0)


@op("masked_scatter(Tensor input, Tensor mask, Tensor source) -> Tensor", inplace=True)
class MaskedScatter(Composite):
    """A copy of ``input`` with the elements of ``source``, in order, where ``mask`` is true."""

    def body(input, mask, source):
        where, given = input._layout, source._layout
        if mask._layout.dtype.name != "bool":
            raise RuntimeError(
                "masked_scatter_ only supports boolean masks, but got mask with dtype "
                + type_title(mask._layout.dtype)
            )
        if given.dtype is not where.dtype:
            raise RuntimeError(
                "masked_scatter: expected self and source to have same dtypes but got"
                f"{type_title(where.dtype)} and {type_title(given.dtype)}"
            )
        shape = common_shape([where.shape, mask._layout.shape])
        places = ops.true_positions(ops.expand(mask, shape))
        count = places._layout.numel
        if given.numel < count:
            raise RuntimeError("Number of elements of source < number of ones in mask")
        flat = ops.reshape(ops.expand(input, shape), (-1,)) if 0 not in shape else ops.reshape(input, (0,))
        values = ops.slice(
            ops.reshape(source, (-1,)) if given.numel else ops.reshape(source, (0,)), 0, 0, count, 1
        )
        return ops.reshape(ops.put_flat(flat, places, values, False), shape)


@op("unravel_index(Tensor indices, any shape) -> Tensor[]", method=False)
class UnravelIndex(Composite):
    """Flat places as one index tensor per dimension of ``shape``."""

    def body(indices, shape):
        where = indices._layout
        if where.dtype.kind != 1:
            raise ValueError(f"expected 'indices' to be integer dtype, but got {where.dtype}")
        sizes = (shape,) if isinstance(shape, int) else sizes_of(shape)
        if any(n < 0 for n in sizes):
            raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
        found, step = [], 1
        indices = ops.to_copy(indices, dtype=types.int64)
        for n in reversed(sizes):
            found.append(ops.remainder(ops.floor_divide(indices, step), max(n, 1)))
            step *= n
        return tuple(reversed(found))
