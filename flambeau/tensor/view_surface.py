"""Attributes and methods of Tensor that view, cut or resize it and are not operators themselves."""

from __future__ import annotations

import ctypes
import warnings

from ..base.layout import contiguous_layout, layout
from ..base.mode import mode
from ..ops.define import OPERATORS, function_of, ops
from ..ops.view_strided import strided_arguments
from . import dispatch, indexing, lists, pieces
from .inplace import check_writable, note_shape, restride
from .surface import attribute, method
from .tensor import Tensor, new_object, track_view

pieces.install()
lists.install()
_ = indexing


#: plans of views by shape, which `view`, `reshape` and `flatten` share
SHAPES = OPERATORS["view"].plans
VIEW = OPERATORS["view"]
general_view = Tensor.view
general_reshape = function_of(OPERATORS["reshape"])
general_flatten = function_of(OPERATORS["flatten"])


def shaped(self: Tensor, plan, size: tuple) -> Tensor:
    """The view of a plan of `view`."""
    result = new_object(Tensor)
    result._memory = self._memory
    result._offset = self._offset
    result._layout = plan.layout
    base = self._base
    result._base = base = self if base is None else base
    result._node = None
    if plan.differentiable and mode.grad:
        track_view(base, result)
        if self._node is not None:
            indexing.remember(self, result, plan, VIEW, (size,))
    return result


@method
def view(self, *size, dtype=None):
    """The same memory under another shape, or (given a dtype) another type of element."""
    try:
        return shaped(self, SHAPES[self._layout, size], size)
    except (KeyError, TypeError):
        return general_view(self, *size, dtype=dtype) if dtype is not None else general_view(self, *size)


def reshape(input, *shape_, shape=None):
    """The same elements under another shape: a view where that is possible, else a copy."""
    if shape is None:
        shape = shape_
        if len(shape) == 1 and type(shape[0]) is not int and not hasattr(shape[0], "__index__"):
            shape = shape[0]
    try:
        return shaped(input, SHAPES[input._layout, shape], shape)
    except (KeyError, TypeError, AttributeError):
        return general_reshape(input, shape=tuple(shape))


def flatten(input, start_dim=0, end_dim=-1):
    """The dimensions from ``start_dim`` to ``end_dim`` made one; a view where that is possible."""
    try:
        where = input._layout
        size = where.cache["flatten", start_dim, end_dim]
        return input if size == where.shape else shaped(input, SHAPES[where, size], size)
    except (KeyError, TypeError, AttributeError):
        return general_flatten(input, start_dim, end_dim)


for _made, _name in ((reshape, "reshape"), (flatten, "flatten")):
    _made.operator = OPERATORS[_name]  # type: ignore[attr-defined]
    _made.__module__ = "flambeau"
    OPERATORS[_name].compiled["function"] = _made


@attribute
def T(self):
    """The dimensions in reverse order (the transpose of a matrix)."""
    ndim = self._layout.ndim
    if ndim == 2:
        return ops.permute(self, dims=(1, 0))
    if ndim:
        warnings.warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will throw "
            "an error in a future release. Consider `x.mT` to transpose batches of matrices or `x.permute(*torch.arange("
            "x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor.", UserWarning, stacklevel=2,
        )  # fmt: skip
    return ops.permute(self, tuple(range(ndim - 1, -1, -1)))


@attribute
def mT(self):
    """The last two dimensions exchanged."""
    ndim = self._layout.ndim
    if ndim == 1:
        raise RuntimeError("tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return ops.transpose(self, -2, -1) if ndim else ops.permute(self, ())


@attribute
def H(self):
    """The conjugate transpose of a matrix."""
    ndim = self._layout.ndim
    if ndim not in (0, 2):
        more = " For batches of matrices, consider using tensor.mH" if ndim > 2 else ""
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {ndim}-D tensor.{more}"
        )
    return ops.adjoint(self)


@attribute
def mH(self):
    """The last two dimensions exchanged, and the elements conjugated."""
    if self._layout.ndim == 1:
        raise RuntimeError("tensor.mH is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return ops.adjoint(self)


@method
def __iter__(self):
    """The slices along the first dimension."""
    if self._layout.ndim == 0:
        raise TypeError("iteration over a 0-d tensor")
    return iter(ops.unbind(self, 0))


@method
def split(self, split_size, dim: int = 0):
    """The tensor cut along `dim` into pieces of one size (the last may be smaller), or of the sizes listed."""
    if type(split_size) is int:
        return ops.split_evenly(self, split_size, dim)
    return ops.split(self, split_size, dim)


@method
def as_strided_(self, size, stride, storage_offset: int | None = None):
    """Take other sizes, strides and offset into the same storage, in place."""
    check_writable(self)
    return restride(
        OPERATORS["strided_at"], self, (self, *strided_arguments(self, size, stride, storage_offset))
    )


@method
def resize_(self, *sizes, memory_format=None):
    """Take another shape, contiguous; the storage grows where it is too small, and what is new is uninitialised."""
    if len(sizes) == 1 and not isinstance(sizes[0], int):
        sizes = tuple(sizes[0])
    sizes = tuple(n.__index__() for n in sizes)
    if self._node is not None:
        raise RuntimeError("cannot resize variables that require grad")
    if any(n < 0 for n in sizes):
        raise RuntimeError("numel: integer multiplication overflow")
    old = self._layout
    if getattr(memory_format, "name", None) in ("channels_last", "channels_last_3d"):
        from ..base.layout import channels_last_strides

        where = layout(sizes, channels_last_strides(sizes), old.dtype, old.device)
    elif tuple(old.shape) == sizes and memory_format is None:
        return self
    else:
        where = contiguous_layout(sizes, old.dtype, old.device)
    if old.device.type != "meta":
        grow(self, self._offset + where.nbytes)
    self._layout = where
    return self


def grow(t: Tensor, nbytes: int) -> None:
    """Give a tensor memory of at least so many bytes, with what it held at the front.

    Views of the old memory keep it.
    """
    runtime = dispatch.runtime()
    have = runtime.nbytes(t._memory)
    if have >= nbytes:
        return
    fresh = runtime.allocate(nbytes)
    ctypes.memmove(runtime.address(fresh), runtime.address(t._memory), have)
    t._memory = fresh


@method
def resize_as_(self, the_template, *, memory_format=None):
    """`resize_` to the shape of another tensor."""
    return self.resize_(tuple(the_template._layout.shape), memory_format=memory_format)


@method
def set_(self, source=None, storage_offset: int = 0, size=None, stride=None):
    """Take the storage (and, from a tensor, the shape) of `source`; without it, become empty."""
    if source is None:
        fresh = contiguous_layout((0,), self._layout.dtype, self._layout.device)
        memory = None if self._layout.device.type == "meta" else dispatch.runtime().allocate(0)
        old, self._memory, self._offset, self._layout = self._layout, memory, 0, fresh
        note_shape(self, old)
        return self
    if mode.grad and self._node is not None:
        check_writable(self)
    storage = getattr(source, "_untyped_storage", source)
    if isinstance(source, Tensor) and size is None:
        if source._layout.dtype is not self._layout.dtype:
            raise RuntimeError(
                f"Could not set tensor of type {source._layout.dtype} to a tensor of type {self._layout.dtype}"
            )
        old = self._layout
        self._memory, self._offset, self._layout = source._memory, source._offset, source._layout.plain
        note_shape(self, old)
        return self
    kind, place = self._layout.dtype, self._layout.device
    memory = source._memory if isinstance(source, Tensor) else storage._memory
    nbytes = 0 if memory is None else dispatch.runtime().nbytes(memory)
    if size is None:
        size = ((nbytes - storage_offset * kind.itemsize) // kind.itemsize,)
    size = tuple(n.__index__() for n in size)
    where = (
        contiguous_layout(size, kind, place) if stride is None else layout(size, tuple(stride), kind, place)
    )
    if (storage_offset + where.extent) * kind.itemsize > nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(where.strides)}, storage offset {storage_offset}, and itemsize "
            f"{kind.itemsize} requiring a storage size of {(storage_offset + where.extent) * kind.itemsize} are out of "
            f"bounds for storage of size {nbytes}"
        )
    old = self._layout
    self._memory, self._offset, self._layout = memory, storage_offset * kind.itemsize, where
    note_shape(self, old)
    return self


@method
def _is_view(self) -> bool:
    """Whether the tensor is a view that the gradient graph knows as one."""
    return self._base is not None
