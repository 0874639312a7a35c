"""Joining tensors: one after the other along a dimension (cat) or along a new one (stack)."""

from __future__ import annotations

from ..base.dtype import promote_types, result_dtype
from ..base.errors import check_dim
from ..base.layout import Layout, channels_last_strides, contiguous_layout, is_channels_last, layout
from .define import op, ops
from .kinds import Composite, Opaque
from .out_rules import joined


def is_nothing(where: Layout) -> bool:
    """Whether `cat` skips the tensor: PyTorch lets a tensor of shape (0,) stand for nothing."""
    return where.ndim == 1 and where.shape[0] == 0


def joined_dtype(tensors):
    """Common type of the tensors; 0-d ones count less."""
    dims = [t.dtype for t in tensors if t.ndim]
    return result_dtype(dims, [t.dtype for t in tensors if not t.ndim], [])


def joined_strides(parts, shape):
    """Strides of the result: channels last where all parts are, else row-major."""
    ndim = len(shape)
    if ndim in (4, 5) and all(is_channels_last(p.shape, p.strides, ndim) and not p.contiguous for p in parts):
        return channels_last_strides(shape)
    return None


def cat_layout(tensors, dim: int) -> Layout:
    """Layout of the tensors one after the other."""
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for k, t in enumerate(tensors):
        if t.ndim == 0:
            raise RuntimeError(f"zero-dimensional tensor (at position {k}) cannot be concatenated")
    device, dtype = tensors[0].device, tensors[0].dtype
    for t in tensors:
        dtype = promote_types(dtype, t.dtype)
        if t.device is not device:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {device} and {t.device}!"
            )
    parts = [t for t in tensors if not is_nothing(t)]
    if not parts:
        return contiguous_layout((0,), dtype, device)
    first = parts[0]
    at, total = check_dim(dim, first.ndim), 0
    for k, t in enumerate(tensors):
        if is_nothing(t):
            continue
        if t.ndim != first.ndim:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {first.ndim} and {t.ndim}")
        for d in range(t.ndim):
            if d != at and t.shape[d] != first.shape[d]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {at}. Expected size {first.shape[d]} but got size "
                    f"{t.shape[d]} for tensor number {k} in the list."
                )
        total += t.shape[at]
    shape = (*first.shape[:at], total, *first.shape[at + 1 :])
    strides = joined_strides(parts, shape)
    return (
        contiguous_layout(shape, dtype, device) if strides is None else layout(shape, strides, dtype, device)
    )


def as_part(g, where: Layout):
    """A gradient in the type of the part that it belongs to."""
    have = g._layout.dtype
    if have is where.dtype or where.dtype.kind < 2:
        return g
    if have.is_complex and not where.dtype.is_complex:
        g = ops.real(g)
    return g if g._layout.dtype is where.dtype else ops.to_copy(g, dtype=where.dtype)


@op(
    "cat(Tensor[] tensors, int dim=0, *, Tensor? out=None) -> Tensor", method=False, also="concat concatenate"
)
class Cat(Opaque):
    """The tensors one after the other along ``dim``.

    Shape: equal in the other dimensions; tensors of shape ``(0,)`` are skipped.  Dtype: the common type.

    >>> import flambeau as torch
    >>> torch.cat([torch.ones(2), torch.zeros(1)])
    tensor([1., 1., 0.])
    """

    check_out = joined

    algorithm = "join.cat"

    def layouts(tensors, dim):
        return cat_layout(tensors, dim)

    def d_tensors(g, tensors_layout, dim):
        found, start = [], 0
        for where in tensors_layout:
            if is_nothing(where):
                found.append(ops.zeros((0,), dtype=where.dtype, device=where.device))
                continue
            end = start + where.shape[dim]
            found.append(as_part(ops.slice(g, dim, start, end, 1), where))
            start = end
        return found


@op("stack(Tensor[] tensors, int dim=0, *, Tensor? out=None) -> Tensor", method=False)
class Stack(Opaque):
    """The tensors, all of one shape, side by side along a new dimension ``dim``."""

    check_out = joined

    algorithm = "join.stack"

    def layouts(tensors, dim):
        if not tensors:
            raise RuntimeError("stack expects a non-empty TensorList")
        first, dtype = tensors[0], joined_dtype(tensors)
        at = check_dim(dim, first.ndim + 1)
        for k, t in enumerate(tensors):
            if t.shape != first.shape:
                raise RuntimeError(
                    f"stack expects each tensor to be equal size, but got {list(first.shape)} at entry 0 and "
                    f"{list(t.shape)} at entry {k}"
                )
            if t.device is not first.device:
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least two devices, "
                    f"{first.device} and {t.device}!"
                )
        shape = (*first.shape[:at], len(tensors), *first.shape[at:])
        return contiguous_layout(shape, dtype, first.device)

    def d_tensors(g, tensors_layout, dim):
        return [as_part(one, where) for one, where in zip(ops.unbind(g, dim), tensors_layout)]


def listed(tensors, name: str) -> list:
    """The tensors as a list; an error when there is none."""
    found = list(tensors) if isinstance(tensors, (list, tuple)) else None
    if found is None:
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}"
        )
    if not found:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return found


@op("hstack(any tensors, *, Tensor? out=None) -> Tensor", method=False)
class Hstack(Composite):
    """The tensors one after the other along the columns (vectors: end to end)."""

    check_out = joined

    def body(tensors):
        parts = [ops.atleast_1d(t) for t in listed(tensors, "hstack")]
        return ops.cat(parts, 0 if parts[0]._layout.ndim == 1 else 1)


@op("vstack(any tensors, *, Tensor? out=None) -> Tensor", method=False, also="row_stack")
class Vstack(Composite):
    """The tensors one below the other; vectors count as rows."""

    check_out = joined

    def body(tensors):
        return ops.cat([ops.atleast_2d(t) for t in listed(tensors, "vstack")], 0)


@op("dstack(any tensors, *, Tensor? out=None) -> Tensor", method=False)
class Dstack(Composite):
    """The tensors one behind the other, along the third dimension."""

    check_out = joined

    def body(tensors):
        return ops.cat([ops.atleast_3d(t) for t in listed(tensors, "dstack")], 2)


@op("column_stack(any tensors, *, Tensor? out=None) -> Tensor", method=False)
class ColumnStack(Composite):
    """The tensors side by side; vectors count as columns."""

    check_out = joined

    def body(tensors):
        parts = listed(tensors, "column_stack")
        return ops.hstack([ops.reshape(t, (t._layout.numel, 1)) if t._layout.ndim < 2 else t for t in parts])
