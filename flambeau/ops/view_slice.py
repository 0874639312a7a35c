"""Views of a part of a tensor: one slice, a range, or the tensor cut into several pieces."""

from __future__ import annotations

import itertools

from ..base.errors import check_dim
from ..base.layout import Layout
from .define import op, ops
from .kinds import Composite, View
from .view import same, sizes_of, type_title, view_gradient


def selected(input: Layout, dim: int, index: int):
    """Layout and start of the slice at `index` along `dim`."""
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


@op("select(Tensor input, int dim, int index) -> Tensor")
class Select(View):
    """The slice at ``index`` along ``dim``, without that dimension.

    Raises: IndexError where ``index`` is out of range.
    """

    def view(input, dim, index):
        return selected(input, dim, index)

    def d_input(g, input_layout, dim, index):
        return view_gradient(g, selected, input_layout, dim, index)


def sliced(input: Layout, dim: int, start: int | None, end: int | None, step: int):
    """Layout and start of the elements ``start:end:step`` along `dim`."""
    if input.ndim == 0:
        raise RuntimeError("slice() cannot be applied to a 0-dim tensor.")
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    at = check_dim(dim, input.ndim)
    first, last, _ = slice(start, end).indices(input.shape[at])
    count = max(0, (last - first + step - 1) // step)
    shape, strides = list(input.shape), list(input.strides)
    move = first * strides[at]
    shape[at], strides[at] = count, strides[at] * step
    return same(input, shape, strides), move


@op(
    "slice(Tensor input, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor",
    function=False,
    method=False,
)
class Slice(View):
    """The elements ``start:end:step`` along ``dim``."""

    def view(input, dim, start, end, step):
        return sliced(input, dim, start, end, step)

    def d_input(g, input_layout, dim, start, end, step):
        return view_gradient(g, sliced, input_layout, dim, start, end, step)


@op("narrow(Tensor input, int dim, any start, int length) -> Tensor")
class Narrow(Composite):
    """The ``length`` elements from ``start`` on along ``dim``, as a view."""

    def body(input, dim, start, length):
        where = input._layout
        if where.ndim == 0:
            raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
        if length < 0:
            raise RuntimeError("narrow(): length must be non-negative.")
        if type(start) is not int:
            if hasattr(start, "_layout") and (start._layout.ndim or start._layout.dtype.kind != 1):
                raise RuntimeError("start must be an 0-dim integral Tensor.")
            start = start.__index__()
        n = where.shape[check_dim(dim, where.ndim)]
        if not -n <= start <= n:
            raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {start})")
        start += n if start < 0 else 0
        if start + length > n:
            raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
        return ops.slice(input, dim, start, start + length, 1)


# -- several views at once -----------------------------------------------------------------------------------


@op("unbind(Tensor input, int dim=0) -> Tensor[]")
class Unbind(View):
    """All slices along ``dim``, as a tuple of views."""

    data_dependent = True  # several results: made by tensor/pieces.py

    def view(input, dim):
        if input.ndim == 0:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        at = check_dim(dim, input.ndim)
        return [selected(input, at, k) for k in range(input.shape[at])]

    def d_input(g, input_layout, dim):
        given = [k for k, one in enumerate(g) if one is not None]
        if len(given) == 1 and len(g) > 1:
            return view_gradient(g[given[0]], selected, input_layout, dim, given[0])
        like = g[given[0]]
        return ops.stack([like * 0 if one is None else one for one in g], dim)


def cut(input: Layout, sizes, dim: int) -> list:
    """Consecutive pieces of these sizes along `dim`."""
    at = check_dim(dim, input.ndim)
    shape, strides, start, pieces = list(input.shape), input.strides, 0, []
    for n in sizes:
        shape[at] = n
        pieces.append((same(input, shape, strides), start * strides[at]))
        start += n
    return pieces


def split_sizes(input: Layout, split_size: int, dim: int) -> list[int]:
    """Sizes of the pieces of `split_size` elements (the last may be smaller)."""
    if input.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if split_size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={split_size}")
    n = input.shape[check_dim(dim, input.ndim)]
    if split_size == 0 and n:
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
    if n == 0:
        return [0]
    return [min(split_size, n - start) for start in range(0, n, split_size)]


def joined(g, input: Layout, sizes, dim: int):
    """Gradient of a tensor that was cut: the pieces' gradients one after the other."""
    at = check_dim(dim, input.ndim)
    like = next(one for one in g if one is not None)
    parts = []
    for n, one in zip(sizes, g):
        shape = (*input.shape[:at], n, *input.shape[at + 1 :])
        parts.append(
            ops.zeros(shape, dtype=like._layout.dtype, device=like._layout.device) if one is None else one
        )
    return ops.cat(parts, at)


@op("split_evenly(Tensor input, int split_size, int dim=0) -> Tensor[]", function=False, method=False)
class Split(View):
    """Pieces of ``split_size`` along ``dim``; the last may be smaller."""

    data_dependent = True

    def view(input, split_size, dim):
        return cut(input, split_sizes(input, split_size, dim), dim)

    def d_input(g, input_layout, split_size, dim):
        return joined(g, input_layout, split_sizes(input_layout, split_size, dim), dim)


@op("split_with_sizes(Tensor input, int[] split_sizes, int dim=0) -> Tensor[]")
class SplitWithSizes(View):
    """Pieces of the given sizes along ``dim``; they must add up to its size."""

    data_dependent = True

    def view(input, split_sizes, dim):
        if input.ndim == 0:
            raise RuntimeError("split expects at least a 1-dimensional tensor")
        at = check_dim(dim, input.ndim)
        listed = list(split_sizes)
        if any(n < 0 for n in listed):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={listed}"
            )
        if sum(listed) != input.shape[at]:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {input.shape[at]} (input tensor's size at dimension "
                f"{at}), but got split_sizes={listed}"
            )
        return cut(input, listed, dim)

    def d_input(g, input_layout, split_sizes, dim):
        return joined(g, input_layout, split_sizes, dim)


@op("split(Tensor tensor, any split_size_or_sections, int dim=0) -> Tensor[]")
class SplitAny(Composite):
    """The tensor cut along ``dim`` into pieces of one size (the last may be smaller), or of the sizes listed.

    >>> import flambeau as torch
    >>> torch.arange(5).split([2, 3])
    (tensor([0, 1]), tensor([2, 3, 4]))
    """

    def body(tensor, split_size_or_sections, dim):
        size = split_size_or_sections
        if type(size) is int:
            return ops.split_evenly(tensor, size, dim)
        if isinstance(size, (list, tuple)):
            return ops.split_with_sizes(tensor, sizes_of(size), dim)
        if not hasattr(size, "__index__"):
            raise TypeError(
                f"split(): argument 'split_size_or_sections' (position 2) must be int or list of ints, not {type(size).__name__}"
            )
        return ops.split_evenly(tensor, size.__index__(), dim)


@op("chunk(Tensor input, int chunks, int dim=0) -> Tensor[]")
class Chunk(Composite):
    """At most ``chunks`` pieces of equal size along ``dim``; the last may be smaller."""

    def body(input, chunks, dim):
        where = input._layout
        size = where.cache.get(("chunk", chunks, dim))
        if size is None:
            if where.ndim == 0:
                raise RuntimeError("chunk expects at least a 1-dimensional tensor")
            if chunks <= 0:
                raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
            n = where.shape[check_dim(dim, where.ndim)]
            if n == 0:
                return ops.split_with_sizes(input, (0,) * chunks, dim)
            size = where.cache["chunk", chunks, dim] = -(-n // chunks)
        return ops.split_evenly(input, size, dim)


def copied(pieces) -> tuple:
    """Each piece with memory of its own."""
    return tuple(ops.clone(p, memory_format="contiguous_format") for p in pieces)


def by_slices(input, bounds, dim: int) -> tuple:
    """The pieces between neighbouring bounds along `dim`, each a view of its own."""
    return tuple(ops.slice(input, dim, a, b, 1) for a, b in itertools.pairwise(bounds))


@op("unsafe_split(Tensor tensor, int split_size, int dim=0) -> Tensor[]")
class UnsafeSplit(Composite):
    """`split` whose pieces may be written in place one by one."""

    def body(tensor, split_size, dim):
        bounds = [0]
        for n in split_sizes(tensor._layout, split_size, dim):
            bounds.append(bounds[-1] + n)
        return by_slices(tensor, bounds, dim)


@op("unsafe_split_with_sizes(Tensor input, int[] split_sizes, int dim=0) -> Tensor[]")
class UnsafeSplitWithSizes(Composite):
    """`split_with_sizes` whose pieces may be written in place one by one."""

    def body(input, split_sizes, dim):
        SplitWithSizes.view(input._layout, split_sizes, dim)
        bounds = [0]
        for n in split_sizes:
            bounds.append(bounds[-1] + n)
        return by_slices(input, bounds, dim)


@op("unsafe_chunk(Tensor input, int chunks, int dim=0) -> Tensor[]")
class UnsafeChunk(Composite):
    """`chunk` whose pieces may be written in place one by one."""

    def body(input, chunks, dim):
        where = input._layout
        if where.ndim == 0:
            raise RuntimeError("chunk expects at least a 1-dimensional tensor")
        if chunks <= 0:
            raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
        n = where.shape[check_dim(dim, where.ndim)]
        if n == 0:
            return by_slices(input, [0] * (chunks + 1), dim)
        return ops.unsafe_split(input, -(-n // chunks), dim)


def split_bounds(n: int, indices_or_sections) -> list[int]:
    """Bounds of the pieces: equal parts (the first ones larger by one), or cut before the given indices."""
    if isinstance(indices_or_sections, int):
        parts = indices_or_sections
        if parts <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {parts}")
        small, larger = divmod(n, parts)
        bounds = [0]
        for k in range(parts):
            bounds.append(bounds[-1] + small + (k < larger))
        return bounds
    return [0, *indices_or_sections, n]


@op(
    "tensor_split(Tensor input, any indices_or_sections=None, int dim=0, any indices=None, any sections=None) -> Tensor[]"
)
class TensorSplit(Composite):
    """The tensor cut along ``dim`` into a number of near-equal parts, or before the given indices."""

    def body(input, indices_or_sections, dim, indices, sections):
        where = input._layout
        if where.ndim == 0:
            raise RuntimeError(
                f"tensor_split expected at least a 1-dimensional tensor, but got a tensor with {where.ndim} dims"
            )
        at = check_dim(dim, where.ndim)
        given = next((x for x in (indices_or_sections, indices, sections) if x is not None), None)
        if given is None:
            raise TypeError("tensor_split() received an invalid combination of arguments")
        if hasattr(given, "_layout"):
            if given._layout.device.type != "cpu":
                raise RuntimeError(
                    "tensor_split expected tensor_indices_or_sections to be on cpu, but it's on "
                    + str(given._layout.device)
                )
            if given._layout.dtype.name != "int64":
                raise RuntimeError(
                    "tensor_split expected tensor_indices_or_sections to have dtype of long, but got "
                    + type_title(given._layout.dtype)
                )
            if given._layout.ndim > 1:
                raise RuntimeError(
                    "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, "
                    f"but got a tensor with {given._layout.ndim} dims"
                )
            given = given.tolist()
        elif isinstance(given, (list, tuple)):
            given = sizes_of(given)
        pieces = []
        bounds = split_bounds(where.shape[at], given)
        for k, (a, b) in enumerate(itertools.pairwise(bounds)):
            last = k == len(bounds) - 2 and not isinstance(given, int)
            pieces.append(ops.slice(input, at, a, None if last else b, 1))
        return tuple(pieces)


def split_along(name: str, input, given, needed: int, dim: int) -> tuple:
    """hsplit, vsplit and dsplit: equal parts, or cut before the given indices."""
    where = input._layout
    if where.ndim < needed:
        raise RuntimeError(
            f"torch.{name} requires a tensor with at least {needed} dimension, but got a tensor with {where.ndim} dimensions!"
        )
    if isinstance(given, int):
        n = where.shape[dim]
        if given == 0 or n % given:
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension {n} is not divisible "
                f"by the split_size {given}!"
            )
    elif not isinstance(given, (list, tuple)):
        raise TypeError(
            f"{name}() received an invalid combination of arguments - got (Tensor, {type(given).__name__}), but expected "
            "one of:\n * (Tensor input, int sections)\n * (Tensor input, tuple of ints indices)"
        )
    return ops.tensor_split(input, given, dim)


@op("hsplit(Tensor input, any indices_or_sections) -> Tensor[]")
class Hsplit(Composite):
    """The tensor cut along its columns (dimension 1, or 0 where that is all it has)."""

    def body(input, indices_or_sections):
        return split_along("hsplit", input, indices_or_sections, 1, 1 if input._layout.ndim > 1 else 0)


@op("vsplit(Tensor input, any indices_or_sections) -> Tensor[]")
class Vsplit(Composite):
    """The tensor cut along its rows (dimension 0)."""

    def body(input, indices_or_sections):
        return split_along("vsplit", input, indices_or_sections, 2, 0)


@op("dsplit(Tensor input, any indices_or_sections) -> Tensor[]")
class Dsplit(Composite):
    """The tensor cut along its depth (dimension 2)."""

    def body(input, indices_or_sections):
        return split_along("dsplit", input, indices_or_sections, 3, 2)
