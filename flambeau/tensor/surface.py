"""Attributes and methods of Tensor that are not operators: shape, type, gradient, conversion."""

from __future__ import annotations

from ..base import dtype as types
from ..base.device import cpu as CPU
from ..base.device import device as Device
from ..base.device import unavailable
from ..base.dtype import dtype as DType
from ..base.errors import check_dim
from ..base.layout import Layout, Size, is_channels_last
from ..base.mode import mode
from ..ops.define import METHODS, ops
from . import dispatch, interop, show
from .autograd import AccumulateGrad, version_of
from .inplace import note_shape, without_version
from .interop import NUMBER, SINGLE
from .node_hooks import RemovableHandle
from .overrides import PLAIN, routed
from .tensor import Tensor, make, track_view

entry = tuple.__getitem__


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
    return None if node is None or type(node) is AccumulateGrad else node.target()


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
        _check_grad(self, value)
    self._grad = value


def _check_grad(self, value) -> None:
    """Raise unless `value` fits as the gradient of this tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
        )
    if value is self:
        raise RuntimeError("can't assign Variable as its own grad")
    own, given = self._layout, value._layout
    if given.dtype is not own.dtype:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{scalar_name(given.dtype)}' to a tensor with grad_dtype "
            f"'{types.type_name(own.dtype)}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's "
            "dtype). You can set the tensor's grad_dtype attribute with a specific dtype, or None to allow any dtype. Set "
            "grad_dtype with caution. Diverging the dtypes of a tensor and its gradient may break downstream systems that "
            "assume they match."
        )
    if given.device.type != own.device.type:
        raise RuntimeError(
            f"attempting to assign a gradient with device type '{given.device.type}' to a tensor with device type "
            f"'{own.device.type}'. Please ensure that the gradient and the tensor are on the same device"
        )
    if given.shape != own.shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(given.shape)}' to a tensor of size '{list(own.shape)}'. Please "
            "ensure that the gradient and the tensor are the same size"
        )


def scalar_name(kind: DType) -> str:
    """The name that C++ gives a type: ``double`` for float64."""
    names = {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "int64": "long",
             "int32": "int", "int16": "short", "int8": "signed char", "uint8": "unsigned char",
             "complex64": "c10::complex<float>", "complex128": "c10::complex<double>"}  # fmt: skip
    return names.get(kind.name, kind.name)


def _delete_grad(self) -> None:
    self._grad = None


Tensor.grad = property(_get_grad, _set_grad, _delete_grad)  # type: ignore[attr-defined]


def _get_data(self):
    """The elements outside the gradient graph, sharing memory; writes to them are not counted as versions of it."""
    kind = type(self)
    if kind is not Tensor and (kind not in PLAIN or mode.function_modes):
        found = routed(without_version, self)
        if found is not NotImplemented:
            return found
    return without_version(self)


def _set_data(self, value) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if self._node is not None and value._layout.dtype.kind < 2:
        raise RuntimeError(
            "data set to a tensor that requires gradients must be floating point or complex dtype"
        )
    old = self._layout
    self._memory, self._offset, self._layout = value._memory, value._offset, value._layout.plain
    if self._node is not None:
        note_shape(self, old)


Tensor.data = property(_get_data, _set_data)  # type: ignore[attr-defined]


@method
def requires_grad_(self, requires_grad: bool = True):
    """Ask for a gradient of this leaf, in place."""
    interop.set_requires_grad(self, requires_grad)
    return self


@method
def detach(self):
    """The same elements outside the gradient graph, sharing memory."""
    kind = type(self)
    if kind is not Tensor and (kind not in PLAIN or mode.function_modes):
        found = routed(Tensor.detach, self)
        if found is not NotImplemented:
            return found
    return make(self._memory, self._layout.plain, self._offset)


@method
def detach_(self):
    """Leave the gradient graph, in place."""
    if self._base is not None and self._node is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for training, "
            "and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence detach_() cannot be "
            "called on these gradients. To fix this error, please refer to the Optimizer.zero_grad() function in "
            "torch/optim/optimizer.py as the solution."
        )
    self._node = None
    return self


def _walk(*args, **kwargs):
    from .gradients import backward as walk

    WALK[0] = walk
    walk(*args, **kwargs)


#: the walk back through the graph, imported by the first that needs it
WALK = [_walk]


@method
def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Add the derivative of this tensor to the `.grad` of the leaves that it depends on.

    gradient: the derivative arriving here; may be left out for a single element.
    """
    WALK[0](self, gradient, retain_graph, create_graph, inputs=inputs)


@method
def size(self, dim: int | None = None):
    """The shape, or the size of one dimension."""
    shape = self._layout.shape
    if dim is None:
        return shape
    if type(dim) is int and -len(shape) <= dim < len(shape):
        return entry(shape, dim)
    return shape[check_dim(dim, len(shape), scalar_ok=False)]


@method
def stride(self, dim: int | None = None):
    """Elements between neighbours along each dimension, or along one."""
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
    return interop.outside_address(self)


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
    if self.is_inference():
        raise RuntimeError("Inference tensors do not track version counter.")
    return version_of(self)


@method
def item(self):
    """The only element as a Python number."""
    kind = SINGLE.get(self._layout)
    return interop.item(self) if kind is None else NUMBER[0](self._memory, self._offset, kind)


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
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )
    return interop.to_numpy(self)


@method
def __len__(self) -> int:
    if self._layout.ndim == 0:
        raise TypeError("len() of a 0-d tensor")
    return self._layout.shape[0]


@method
def __bool__(self) -> bool:
    kind = SINGLE.get(self._layout)
    if kind is not None:
        return bool(NUMBER[0](self._memory, self._offset, kind))
    if self._layout.numel != 1:
        if self._layout.numel == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
    return bool(interop.item(self))


def _number(self, goal: str):
    """The only element, for Python's conversions."""
    if self._layout.numel != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    found = interop.item(self)
    if isinstance(found, complex):
        if found.imag:
            raise RuntimeError(f"value cannot be converted to type {goal} without overflow")
        return found.real
    return found


@method
def __float__(self) -> float:
    kind = SINGLE.get(self._layout)
    if kind is not None:
        return float(NUMBER[0](self._memory, self._offset, kind))
    return float(_number(self, "double"))


@method
def __int__(self) -> int:
    kind = SINGLE.get(self._layout)
    if kind is not None:
        return int(NUMBER[0](self._memory, self._offset, kind))
    return int(_number(self, "int64_t"))


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


@method
def untyped_storage(self):
    """The memory that this tensor views, as bytes."""
    from .storage import storage_of

    return storage_of(self)


@method
def storage(self):
    """The memory that this tensor views, as numbers of its type. Deprecated: use `untyped_storage`."""
    from .storage import TypedStorage

    return TypedStorage(wrap_storage=self.untyped_storage(), dtype=self._layout.dtype)


@method
def storage_type(self) -> type:
    """PyTorch's old class of storages of this type of element."""
    from . import storage as storages

    return storages.CLASSES[types.type_name(self._layout.dtype) + "Storage"]


@method
def view(self, *size, dtype=None):
    """The same memory under another shape, or (given a dtype) another type of element."""
    if len(size) == 1 and isinstance(size[0], DType):
        dtype, size = size[0], ()
    if dtype is not None:
        return ops.view_as_type(self, dtype)
    if len(size) == 1 and not hasattr(size[0], "__index__"):
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
    if memory_format is None and self._layout.contiguous or self.is_contiguous(memory_format):
        return self
    return ops.to_copy(self, memory_format=memory_format or "contiguous_format")


@method
def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False, memory_format=None, other=None):
    """This tensor in another type, device or memory format; itself where nothing changes (unless `copy`)."""
    if len(args) == 1 and dtype is None and device is None and not copy and memory_format is None:
        (x,) = args
        where = self._layout
        if x is where.dtype or where.device is CPU and (x is CPU or x == "cpu" and type(x) is str):
            return self
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
    raise unavailable(device)


@attribute
def layout(self):
    """How elements are stored: always strided."""
    from ..base.formats import strided

    return strided


@attribute
def itemsize(self) -> int:
    """Bytes an element."""
    return self._layout.dtype.itemsize


@attribute
def nbytes(self) -> int:
    """Bytes of all elements."""
    return self._layout.nbytes


@attribute
def retains_grad(self) -> bool:
    """Whether `retain_grad` was called on this non-leaf."""
    return bool(self._extra and self._extra.get("retains_grad"))


def _need_node(self):
    if self._node is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    return self._node


@method
def register_hook(self, hook):
    """hook(grad) runs when this tensor's gradient is computed; what it returns (if not None) takes its place."""
    node = _need_node(self)
    return RemovableHandle(node._extra().setdefault("tensor_hooks", {}), hook)


@method
def register_post_accumulate_grad_hook(self, hook):
    """hook(tensor) runs after a leaf's `.grad` was added to."""
    node = _need_node(self)
    if type(node) is not AccumulateGrad:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return RemovableHandle(node._extra().setdefault("post_accumulate", {}), hook)


@method
def retain_grad(self) -> None:
    """Keep the gradient of this non-leaf in `.grad` too."""
    if self._node is None:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if type(self._node) is AccumulateGrad or self.retains_grad:
        return
    import weakref

    if self._extra is None:
        self._extra = {}
    self._extra["retains_grad"] = True
    self._node._extra().setdefault("retain", []).append(weakref.ref(self))


@method
def cpu(self, memory_format=None):
    """This tensor in host memory."""
    return self if self._layout.device is CPU else self.to(device=CPU)


@method
def get_device(self) -> int:
    """Index of the device, -1 for the CPU."""
    return -1


@attribute
def is_meta(self) -> bool:
    return self._layout.device.type == "meta"


@attribute
def is_cuda(self) -> bool:
    return self._layout.device.type == "cuda"


@attribute
def is_cpu(self) -> bool:
    return self._layout.device.type == "cpu"


for _flag in ("is_sparse", "is_quantized", "is_nested", "is_mkldnn", "is_xpu", "is_mps", "is_sparse_csr"):
    setattr(Tensor, _flag, False)


@method
def is_inference(self) -> bool:
    """Whether the tensor was made in inference mode."""
    return self._memory is not None and dispatch.runtime().of_inference(self._memory)


@method
def is_shared(self) -> bool:
    """Whether the memory is one that other processes may see."""
    from ..backend.cpu.shared import is_shared

    return is_shared(self._memory)


@method
def is_pinned(self, device=None) -> bool:
    return False


@method
def pin_memory(self, device=None):
    """Host memory is used as it is on the CPU."""
    return self


@method
def share_memory_(self):
    """Move the elements to memory that other processes may see; views see them there too. Gives the tensor itself."""
    if self._memory is not None:
        from ..backend.cpu.shared import move

        move(self._memory)
    return self


@method
def is_conj(self) -> bool:
    return False


@method
def is_neg(self) -> bool:
    return False


@method
def is_signed(self) -> bool:
    return self._layout.dtype.is_signed


@method
def is_same_size(self, other) -> bool:
    return self._layout.shape == other._layout.shape


@method
def is_set_to(self, tensor) -> bool:
    """Whether both are the same view of the same memory."""
    return (
        self._memory is tensor._memory and self._offset == tensor._offset and self._layout is tensor._layout
    )


@method
def nelement(self) -> int:
    return self._layout.numel


@method
def ndimension(self) -> int:
    return self._layout.ndim


@method
def dim_order(self) -> tuple[int, ...]:
    """Dimensions from the outermost to the innermost in memory."""
    from ..base.layout import stride_order

    return stride_order(self._layout.shape, self._layout.strides)


def type_name(self, dtype=None, non_blocking: bool = False):
    """The type as text ("torch.FloatTensor"), or the tensor converted to a type."""
    names = {"float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long",
             "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool",
             "complex64": "ComplexFloat", "complex128": "ComplexDouble"}  # fmt: skip
    if dtype is None:
        return f"torch.{names.get(self._layout.dtype.name, self._layout.dtype.name)}Tensor"
    if isinstance(dtype, str):
        wanted = dtype.rpartition(".")[2].removesuffix("Tensor")
        dtype = types.DTYPES[next(k for k, v in names.items() if v == wanted)]
    return self.to(dtype)


Tensor.type = type_name  # type: ignore[attr-defined]  (the name `type` is needed below)


@method
def __rmatmul__(self, other):
    return ops.matmul(other, self)


@method
def __contains__(self, element) -> bool:
    if not isinstance(element, (Tensor, int, float, complex)):
        raise RuntimeError(
            f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
        )
    return bool(ops.eq(self, element).any())


@method
def __complex__(self) -> complex:
    return complex(interop.item(self))


@method
def __iter__(self):
    if self._layout.ndim == 0:
        raise TypeError("iteration over a 0-d tensor")
    return iter(ops.unbind(self, 0))


@method
def __reversed__(self):
    return self if self._layout.ndim == 0 else ops.flip(self, (0,))


@method
def __dir__(self):
    return sorted({*object.__dir__(self), *METHODS})


@method
def __deepcopy__(self, memo):
    from .copying import deepcopy

    return deepcopy(self, memo)


@method
def __reduce_ex__(self, protocol):
    from .copying import reduce

    return reduce(self, protocol)


@method
def __array__(self, dtype=None, copy=None):
    found = self.numpy()
    if dtype is not None and found.dtype != dtype:
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        return found.astype(dtype)
    return found.copy() if copy else found


@method
def __dlpack__(self, *, stream=-1, max_version=None, dl_device=None, copy=None):
    """A DLPack capsule over the same memory."""
    from .dlpack import capsule_of

    return capsule_of(self, stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)


@method
def __dlpack_device__(self) -> tuple[int, int]:
    """Type and index of the device, in DLPack's numbers."""
    from .dlpack import device_of

    return device_of(self)


@method
def __array_wrap__(self, array, context=None, return_scalar=False):
    return interop.as_tensor(array)


Tensor.__array_priority__ = 1000  # type: ignore[attr-defined]


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


def _new(cls, *args, **keywords):
    from .legacy import new_tensor_object

    return new_tensor_object(cls, *args, **keywords)


Tensor.__new__ = staticmethod(_new)  # type: ignore[method-assign, assignment]


@method
def new(self, *args, data=None, device=None):
    """A tensor of this one's type from sizes or data. Deprecated: use `new_empty` or `new_tensor`."""
    from .legacy import new as make_new

    return make_new(self, *args, data=data, device=device)


@method
def new_tensor(
    self, data, *, dtype=None, device=None, requires_grad: bool = False, layout=None, pin_memory: bool = False
):
    """A tensor with a copy of `data`, of this one's type and device unless said otherwise."""
    if isinstance(data, Tensor):
        data = data.detach().clone()
        made = data.to(device=device or self.device, dtype=dtype or self.dtype)
    else:
        made = interop.tensor(data, dtype=dtype or self.dtype, device=device or self.device)
    return made.requires_grad_() if requires_grad else made


@method
def cuda(self, device=None, non_blocking: bool = False, memory_format=None):
    """This tensor in the memory of a GPU."""
    return self.to(device=Device("cuda") if device is None else Device(device))


@attribute
def output_nr(self) -> int:
    """Which output of its node this tensor is."""
    return 0 if self._node is None else self._node.index()


@attribute
def grad_dtype(self) -> DType:
    """The type that `.grad` must have: this tensor's own."""
    return self._layout.dtype


@attribute
def name(self) -> None:
    """Tensors have no names of their own."""
    return


@attribute
def volatile(self) -> bool:
    """Kept for old programs: always False."""
    return False


Tensor._make_subclass = staticmethod(_make_subclass)  # type: ignore[attr-defined]
_ = (Layout, show)
