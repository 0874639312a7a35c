"""Attributes and methods of Tensor that are not operators: shape, type, gradient, conversion."""

from __future__ import annotations

from ..base import dtype as types
from ..base.device import device as Device
from ..base.dtype import dtype as DType
from ..base.layout import Layout, Size, is_channels_last
from ..base.mode import mode
from ..ops.define import ops
from . import dispatch, interop
from .autograd import AccumulateGrad, run_backward, version_of
from .tensor import Tensor, make, track_view


def method(function):
    """Add a function to Tensor under its own name (a trailing underscore pair stays)."""
    setattr(Tensor, function.__name__, function)
    return function


def attribute(function):
    """Add a read-only attribute to Tensor."""
    setattr(Tensor, function.__name__, property(function))
    return function


@attribute
def shape(self) -> Size:
    """Sizes of the dimensions."""
    return self._layout.shape


@attribute
def dtype(self) -> DType:
    """Type of the elements."""
    return self._layout.dtype


@attribute
def device(self) -> Device:
    """Where the memory is."""
    return self._layout.device


@attribute
def ndim(self) -> int:
    """Number of dimensions."""
    return self._layout.ndim


@attribute
def is_leaf(self) -> bool:
    """Whether no operator recorded for a gradient made this tensor."""
    return self._node is None or type(self._node) is AccumulateGrad


@attribute
def grad_fn(self):
    """The node that computed this tensor, or None for a leaf."""
    node = self._node
    return None if node is None or type(node) is AccumulateGrad else node


def _get_requires_grad(self) -> bool:
    """Whether a gradient is wanted for this tensor."""
    return self._node is not None


def _set_requires_grad(self, value: bool) -> None:
    interop.set_requires_grad(self, bool(value))


Tensor.requires_grad = property(_get_requires_grad, _set_requires_grad)  # type: ignore[attr-defined]


def _get_grad(self):
    """The accumulated gradient of a leaf, or None."""
    return self._grad


def _set_grad(self, value) -> None:
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
        if value._layout.shape != self._layout.shape:
            raise RuntimeError("assigned grad has data of a different size")
        if value._layout.dtype is not self._layout.dtype:
            raise RuntimeError("assigned grad has data of a different type")
    self._grad = value


def _delete_grad(self) -> None:
    self._grad = None


Tensor.grad = property(_get_grad, _set_grad, _delete_grad)  # type: ignore[attr-defined]


def _get_data(self):
    """The elements outside the gradient graph, sharing memory (versions included)."""
    return make(self._memory, self._layout.plain, self._offset)


def _set_data(self, value) -> None:
    self._memory, self._offset, self._layout = value._memory, value._offset, value._layout.plain


Tensor.data = property(_get_data, _set_data)  # type: ignore[attr-defined]


@method
def requires_grad_(self, requires_grad: bool = True):
    """Ask for a gradient of this leaf, in place."""
    interop.set_requires_grad(self, requires_grad)
    return self


@method
def detach(self):
    """The same elements outside the gradient graph, sharing memory."""
    return make(self._memory, self._layout.plain, self._offset)


@method
def detach_(self):
    """Leave the gradient graph, in place."""
    if self._base is not None and self._node is not None:
        raise RuntimeError("Can't detach views in-place. Use detach() instead.")
    self._node = None
    return self


@method
def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Add the derivative of this tensor to the `.grad` of the leaves that it depends on.

    gradient: the derivative arriving here; may be left out for a single element.
    """
    from .. import autograd

    autograd.backward(self, gradient, retain_graph, create_graph, inputs=inputs)


@method
def size(self, dim: int | None = None):
    """The shape, or the size of one dimension."""
    if dim is None:
        return self._layout.shape
    from ..base.errors import check_dim

    return self._layout.shape[check_dim(dim, self._layout.ndim, scalar_ok=False)]


@method
def stride(self, dim: int | None = None):
    """Elements between neighbours along each dimension, or along one."""
    from ..base.errors import check_dim

    return self._layout.strides if dim is None else self._layout.strides[check_dim(dim, self._layout.ndim)]


@method
def dim(self) -> int:
    """Number of dimensions."""
    return self._layout.ndim


@method
def numel(self) -> int:
    """Number of elements."""
    return self._layout.numel


@method
def storage_offset(self) -> int:
    """Elements between the start of the storage and the first element."""
    return self._offset // self._layout.dtype.itemsize


@method
def data_ptr(self) -> int:
    """Address of the first element."""
    return interop.address(self)


@method
def element_size(self) -> int:
    """Bytes an element."""
    return self._layout.dtype.itemsize


@method
def is_floating_point(self) -> bool:
    return self._layout.dtype.is_floating_point


@method
def is_complex(self) -> bool:
    return self._layout.dtype.is_complex


@attribute
def _version(self) -> int:
    """How often the memory was written in place."""
    return version_of(self)


@method
def item(self):
    """The only element as a Python number."""
    return interop.item(self)


@method
def tolist(self):
    """Nested lists of Python numbers."""
    return interop.to_list(self)


@method
def numpy(self, *, force: bool = False):
    """A NumPy array over the same memory."""
    if force:
        return interop.to_numpy(self.detach().cpu())
    if self._node is not None and mode.grad is not None:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    return interop.to_numpy(self)


@method
def __len__(self) -> int:
    if self._layout.ndim == 0:
        raise TypeError("len() of a 0-d tensor")
    return self._layout.shape[0]


@method
def __bool__(self) -> bool:
    if self._layout.numel != 1:
        if self._layout.numel == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
    return bool(interop.item(self))


@method
def __float__(self) -> float:
    return float(interop.item(self))


@method
def __int__(self) -> int:
    return int(interop.item(self))


@method
def __index__(self) -> int:
    if self._layout.dtype.kind > 1 or self._layout.numel != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(interop.item(self))


@method
def __hash__(self) -> int:
    return id(self)


@method
def is_contiguous(self, memory_format=None) -> bool:
    """Whether the elements lie in row-major order (or in the given memory format's)."""
    name = getattr(memory_format, "name", "contiguous_format")
    if name in ("contiguous_format", "preserve_format"):
        return self._layout.contiguous
    return is_channels_last(self._layout.shape, self._layout.strides, 5 if name == "channels_last_3d" else 4)


class UntypedStorage:
    """The memory of a tensor, shared with its views."""

    __slots__ = ("_memory", "device")

    def __init__(self, memory, device: Device):
        self._memory, self.device = memory, device

    def nbytes(self) -> int:
        """Size in bytes."""
        return 0 if self._memory is None else dispatch.runtime().nbytes(self._memory)

    size = __len__ = nbytes

    def data_ptr(self) -> int:
        """Address of the first byte."""
        return 0 if self._memory is None else dispatch.runtime().address(self._memory)

    @property
    def _cdata(self) -> int:
        return self.data_ptr()

    def __eq__(self, other) -> bool:
        return isinstance(other, UntypedStorage) and other._memory is self._memory

    def __hash__(self) -> int:
        return id(self._memory)


@method
def untyped_storage(self) -> UntypedStorage:
    """The memory that this tensor views."""
    return UntypedStorage(self._memory, self._layout.device)


@method
def view(self, *size, dtype=None):
    """The same memory under another shape, or (given a dtype) another type of element."""
    if len(size) == 1 and isinstance(size[0], DType):
        dtype, size = size[0], ()
    if dtype is not None:
        return ops.view_as_type(self, dtype)
    if len(size) == 1 and not isinstance(size[0], int):
        size = tuple(size[0])
    return ops.view(self, size)


@method
def expand(self, *sizes, implicit: bool = False):
    """Repeat dimensions of size 1 without a copy; -1 keeps a size."""
    if len(sizes) == 1 and not isinstance(sizes[0], int):
        sizes = tuple(sizes[0])
    return ops.expand(self, sizes)


@method
def contiguous(self, memory_format=None):
    """This tensor where it is contiguous already, else a contiguous copy."""
    if self.is_contiguous(memory_format):
        return self
    return ops.to_copy(self, memory_format=memory_format or "contiguous_format")


@method
def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False, memory_format=None, other=None):
    """This tensor in another type, device or memory format; itself where nothing changes (unless `copy`)."""
    names = ["non_blocking", "copy"]
    for x in args:
        if isinstance(x, DType):
            dtype = x
        elif isinstance(x, Tensor):
            dtype, device = x.dtype, x.device
        elif isinstance(x, bool):
            non_blocking, copy = (x, copy) if names.pop(0) == "non_blocking" else (non_blocking, x)
        elif x is not None:
            device = Device(x)
    device = None if device is None else Device(device)
    where = self._layout
    same_device = device is None or device.type == where.device.type
    same = same_device and (dtype is None or dtype is where.dtype)
    if same and not copy and (memory_format is None or self.is_contiguous(memory_format)
                              or getattr(memory_format, "name", "") == "preserve_format"):  # fmt: skip
        return self
    if not same_device:
        return _to_device(self, device, dtype or where.dtype)
    return ops.to_copy(self, dtype=dtype, memory_format=memory_format)


def _to_device(self, device: Device, dtype: DType):
    if device.type == "meta":
        return make(None, self._layout.with_dtype(dtype).with_device(device))
    if self._layout.device.type == "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    raise RuntimeError(f"Torch not compiled with {device.type.upper()} enabled" if device.type == "cuda" else f"no device {device}")


def alias_of(self, cls: type) -> Tensor:
    made = make(self._memory, self._layout.plain, self._offset, cls)
    made._base = self if self._base is None else self._base
    if self._node is not None:
        made._node = self._node
    track_view(made._base, made)
    return made


@method
def as_subclass(self, cls):
    """The same tensor as an instance of a subclass."""
    return alias_of(self, cls)


def _make_subclass(cls, data, require_grad: bool = False):
    """A subclass instance over the data of a tensor, outside its graph."""
    made = make(data._memory, data._layout.plain, data._offset, cls)
    if require_grad:
        interop.set_requires_grad(made, True)
    return made


Tensor._make_subclass = staticmethod(_make_subclass)  # type: ignore[attr-defined]
_ = (types, Layout, ops, run_backward)
