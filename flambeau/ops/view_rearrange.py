"""Copies in another order (flip, roll, rot90, repeat, tile) and joins of views (atleast, block_diag)."""

from __future__ import annotations

from ..base import dtype as types
from ..base.errors import check_dim
from ..base.layout import contiguous_layout
from .define import op, ops
from .kinds import Composite, Opaque
from .view import sizes_of


def distinct_dims(dims, ndim: int) -> tuple[int, ...]:
    """The dimensions, non-negative; an error when one is named twice."""
    found = [check_dim(d, ndim) for d in dims]
    twice = [d for d in found if found.count(d) > 1]
    if twice:
        raise RuntimeError(f"dim {twice[0]} appears multiple times in the list of dims")
    return tuple(found)


@op("flip(Tensor input, int[*] dims) -> Tensor")
class Flip(Opaque):
    """A copy with the order of the elements reversed along ``dims``."""

    algorithm = "regions.flip"

    def layouts(input, dims):
        distinct_dims(dims, input.ndim)
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, dims):
        return ops.flip(g, dims)


@op("fliplr(Tensor input) -> Tensor")
class Fliplr(Composite):
    """A copy with the columns in reverse order."""

    def body(input):
        if input._layout.ndim < 2:
            raise RuntimeError("Input must be >= 2-d.")
        return ops.flip(input, (1,))


@op("flipud(Tensor input) -> Tensor")
class Flipud(Composite):
    """A copy with the rows in reverse order."""

    def body(input):
        if input._layout.ndim < 1:
            raise RuntimeError("Input must be >= 1-d.")
        return ops.flip(input, (0,))


def as_tuple(value) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else sizes_of(value)


@op("roll(Tensor input, int[1] shifts, int[1] dims=()) -> Tensor")
class Roll(Opaque):
    """A copy shifted along ``dims``; what leaves at one end enters at the other. Without dims, the flat tensor."""

    algorithm = "regions.roll"

    def layouts(input, shifts, dims):
        check_roll(input, shifts, dims)
        return contiguous_layout(input.shape, input.dtype, input.device)

    def d_input(g, shifts, dims):
        return ops.roll(g, tuple(-s for s in as_tuple(shifts)), dims)


def check_roll(input, shifts, dims) -> None:
    """Raise unless there is one shift for each dimension that is shifted."""
    shifts, dims = as_tuple(shifts), as_tuple(dims)
    if not shifts:
        raise RuntimeError("`shifts` required")
    if not dims and len(shifts) == 1:
        return
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    for d in dims:
        check_dim(d, input.ndim, scalar_ok=False)


@op("rot90(Tensor input, int k=1, int[] dims=(0, 1)) -> Tensor")
class Rot90(Composite):
    """A copy turned by 90 degrees ``k`` times in the plane of two dimensions, from the first towards the second."""

    def body(input, k, dims):
        ndim, dims = input._layout.ndim, tuple(dims)
        if not isinstance(k, int):
            raise TypeError(f"rot90(): argument 'k' (position 1) must be int, not {type(k).__name__}")
        if len(dims) != 2:
            raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
        if ndim < 2:
            raise RuntimeError(f"expected total dims >= 2, but got total dims = {ndim}")
        if dims[0] == dims[1] or abs(dims[0] - dims[1]) == ndim:
            raise RuntimeError(
                f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
            )
        a, b = check_dim(dims[0], ndim), check_dim(dims[1], ndim)
        turns = k % 4
        if turns == 1:
            return ops.clone(ops.transpose(ops.flip(input, (b,)), a, b), memory_format="contiguous_format")
        if turns == 2:
            return ops.flip(input, (a, b))
        if turns == 3:
            return ops.clone(ops.transpose(ops.flip(input, (a,)), a, b), memory_format="contiguous_format")
        return ops.clone(input, memory_format="contiguous_format")


def repeated(input, repeats: tuple[int, ...]):
    """`input` laid out side by side `repeats` times along each dimension."""
    where = input._layout
    lead = len(repeats) - where.ndim
    shape = (1,) * lead + tuple(where.shape)
    total = tuple(n * r for n, r in zip(shape, repeats))
    if any(n < 0 for n in repeats):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(n * r for n, r in zip(shape, repeats))}: {list(total)}"
        )
    inner = [k for pair in zip((1,) * len(shape), shape) for k in pair]
    wide = [k for pair in zip(repeats, shape) for k in pair]
    tiled = ops.expand(ops.reshape(input, tuple(inner)), tuple(wide))
    return ops.unsafe_view(ops.clone(tiled, memory_format="contiguous_format"), total)


@op("repeat(Tensor input, int[*] repeats) -> Tensor", function=False)
class Repeat(Composite):
    """A copy of ``input`` laid out side by side so many times along each dimension."""

    def body(input, repeats):
        repeats = sizes_of(repeats)
        if len(repeats) < input._layout.ndim:
            raise RuntimeError(
                "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
            )
        return repeated(input, repeats)


@op("tile(Tensor input, int[*] dims) -> Tensor")
class Tile(Composite):
    """`repeat` that takes fewer numbers than the tensor has dimensions: they belong to the last ones."""

    def body(input, dims):
        dims = sizes_of(dims)
        return repeated(input, (1,) * (input._layout.ndim - len(dims)) + dims)


@op("repeat_each(Tensor input, int repeats, int dim) -> Tensor", function=False, method=False)
class RepeatEach(Opaque):
    """Each slice along ``dim`` so many times in place."""

    algorithm = "regions.repeat_each"

    def layouts(input, repeats, dim):
        shape = (*input.shape[:dim], input.shape[dim] * repeats, *input.shape[dim + 1 :])
        return contiguous_layout(shape, input.dtype, input.device)

    def d_input(g, input_layout, repeats, dim):
        shape = input_layout.shape
        return ops.sum(ops.reshape(g, (*shape[: dim + 1], repeats, *shape[dim + 1 :])), dim + 1)


@op("repeat_positions(Tensor repeats, int total) -> Tensor", function=False, method=False)
class RepeatPositions(Opaque):
    """0 repeated ``repeats[0]`` times, then 1 ``repeats[1]`` times, ...; ``total`` numbers."""

    algorithm = "regions.repeat_positions"

    def layouts(repeats, total):
        return contiguous_layout((total,), repeats.dtype, repeats.device)


def positions(repeats, output_size: int | None):
    """For each element of the result, the place of the element that it repeats."""
    where = repeats._layout
    if where.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if where.dtype.name not in ("int32", "int64"):
        names = {
            "float32": "Float",
            "float64": "Double",
            "bool": "Bool",
            "int16": "Short",
            "uint8": "Byte",
            "int8": "Char",
        }
        raise NotImplementedError(
            f"\"repeat_interleave_cpu\" not implemented for '{names.get(where.dtype.name, where.dtype.name)}'"
        )
    if where.numel and int(ops.amin(repeats).item()) < 0:
        raise RuntimeError("repeats can not be negative")
    total = int(ops.sum(repeats).item()) if where.numel else 0
    if output_size is not None and output_size != total:
        raise RuntimeError("allocated size does not match required size")
    return ops.repeat_positions(repeats, total)


@op("repeat_interleave(Tensor input, any repeats=None, int? dim=None, *, int? output_size=None) -> Tensor")
class RepeatInterleave(Composite):
    """Each element (or slice along ``dim``) repeated in place, ``repeats`` times or as often as each entry says.

    With ``input`` alone: 0 repeated ``input[0]`` times, then 1 ``input[1]`` times, and so on.
    """

    def body(input, repeats, dim, output_size):
        if repeats is None:
            return positions(input, output_size)
        if dim is None:
            input, dim = ops.flatten(input), 0
        where = input._layout
        at = check_dim(dim, where.ndim)
        if hasattr(repeats, "_layout"):
            return _by_tensor(input, repeats, at, output_size)
        if repeats < 0:
            raise RuntimeError("Repeats must be non-negative")
        if not where.ndim:
            input, where = ops.reshape(input, (1,)), ops.reshape(input, (1,))._layout
        return ops.repeat_each(input, repeats, at)


def _by_tensor(input, repeats, at: int, output_size):
    where, shape = repeats._layout, input._layout.shape
    if where.ndim > 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    n = shape[at] if shape else 1
    if where.ndim == 0 or (where.shape[0] == 1 and n != 1):
        repeats = ops.expand(ops.reshape(repeats, (1,)), (n,))
    elif where.shape[0] != n:
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = {where.shape[0]} and "
            f"input.size({at}) = {n}"
        )
    return ops.index_select(input if shape else ops.reshape(input, (1,)), at, positions(repeats, output_size))


# -- at least so many dimensions -----------------------------------------------------------------------------


def at_least(tensors, wanted: int):
    """Each tensor viewed with `wanted` dimensions or more; a tuple unless one tensor alone was given."""

    def one(t):
        shape = t._layout.shape
        if len(shape) >= wanted:
            return t
        if wanted == 3 and shape:
            return ops.reshape(t, (1, shape[0], 1) if len(shape) == 1 else (*shape, 1))
        return ops.reshape(t, (1,) * (wanted - len(shape)) + tuple(shape))

    if isinstance(tensors, tuple) and len(tensors) == 1:
        return one(tensors[0])
    return tuple(one(t) for t in tensors)


@op("atleast_1d(any[*] tensors) -> Tensor", method=False)
class Atleast1d(Composite):
    """0-d tensors viewed with one dimension, others as they are."""

    def body(tensors):
        return at_least(tensors, 1)


@op("atleast_2d(any[*] tensors) -> Tensor", method=False)
class Atleast2d(Composite):
    """Tensors of fewer dimensions viewed with two: new ones come first."""

    def body(tensors):
        return at_least(tensors, 2)


@op("atleast_3d(any[*] tensors) -> Tensor", method=False)
class Atleast3d(Composite):
    """Tensors of fewer dimensions viewed with three; a vector becomes the middle one, a matrix the first two."""

    def body(tensors):
        return at_least(tensors, 3)


@op("block_diag(any[*] tensors) -> Tensor", method=False)
class BlockDiag(Composite):
    """A matrix with the given matrices (vectors count as rows) along its diagonal and zeros elsewhere."""

    def body(tensors):
        if not tensors:
            return ops.zeros((1, 0))
        dtype = tensors[0]._layout.dtype
        matrices = []
        for k, t in enumerate(tensors):
            where = t._layout
            if where.ndim > 2:
                raise RuntimeError(
                    "torch.block_diag: Input tensors must have 2 or fewer dimensions. "
                    f"Input {k} has {where.ndim} dimensions"
                )
            dtype = types.promote_types(dtype, where.dtype)
            matrices.append(ops.reshape(t, (1, -1)) if where.ndim < 2 else t)
        width = sum(m._layout.shape[1] for m in matrices)
        rows, left = [], 0
        for m in matrices:
            height, own = m._layout.shape
            sides = [(left, 0), (width - left - own, 1)]
            before, after = (ops.zeros((height, n), dtype=dtype, device=m._layout.device) for n, _ in sides)
            rows.append(ops.cat([before, m, after], 1))
            left += own
        return ops.cat(rows, 0)
