"""Tensors as a saved file knows them: storages, and functions that rebuild a view of one, all of it checked."""

from __future__ import annotations

from pickle import UnpicklingError
from typing import Any

STORAGE_DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
DTYPE_STORAGES = {dtype: storage for storage, dtype in STORAGE_DTYPES.items()}
_MOST_DIMENSIONS = 64  # as many as PyTorch's operators take
_LARGEST = (1 << 63) - 1


class StorageType:
    """Stands for one of PyTorch's storage classes inside a saved file."""

    def __init__(self, name: str) -> None:
        if name != "UntypedStorage" and name not in STORAGE_DTYPES:
            raise KeyError(name)
        self.name = name

    @property
    def dtype(self) -> Any:
        """The type of the elements; bytes for an untyped storage."""
        from flambeau.base.dtype import DTYPES

        return DTYPES[STORAGE_DTYPES.get(self.name, "uint8")]

    def __str__(self) -> str:
        return f"StorageType(dtype={self.dtype})"

    def __reduce__(self) -> str:
        return self.name


# Module attributes, because a pickle refers to a global by its module and name.
globals().update({name: StorageType(name) for name in (*STORAGE_DTYPES, "UntypedStorage")})


def storage_type(dtype) -> StorageType:
    """The storage class that a tensor of this type is saved with."""
    return globals()[DTYPE_STORAGES.get(dtype.name, "UntypedStorage")]


def typed(storage, dtype) -> Any:
    """An untyped storage as numbers of one type, without the warning that users get who ask for this."""
    from flambeau.tensor.storage import TypedStorage

    made = object.__new__(TypedStorage)
    made._untyped_storage, made.dtype = storage, dtype
    return made


def rebuild_tensor(
    storage, storage_offset, size, stride, requires_grad=False, backward_hooks=None, metadata=None
) -> Any:
    """A tensor over a loaded storage of its own type (PyTorch's ``_rebuild_tensor`` and ``_rebuild_tensor_v2``)."""
    made = _view(storage, getattr(storage, "dtype", None), storage_offset, size, stride, requires_grad)
    return _with_lazy_bits(made, metadata)


def rebuild_typed_tensor(
    storage, storage_offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None
) -> Any:
    """A tensor over an untyped storage (PyTorch's ``_rebuild_tensor_v3``: types without a storage class)."""
    return _with_lazy_bits(_view(storage, dtype, storage_offset, size, stride, requires_grad), metadata)


def rebuild_meta_tensor(dtype, size, stride, requires_grad) -> Any:
    """A tensor of the meta device, which has no storage."""
    import flambeau

    if not isinstance(dtype, flambeau.dtype):
        raise TypeError(f"a tensor is rebuilt with a dtype, not {type(dtype).__name__}")
    _check_numbers(0, size, stride, requires_grad)
    made = flambeau.empty_strided(size, stride, dtype=dtype, device="meta")
    return made.requires_grad_() if requires_grad else made


def rebuild_parameter(data, requires_grad, backward_hooks=None) -> Any:
    """A parameter around a tensor."""
    import flambeau

    if not isinstance(data, flambeau.Tensor) or type(requires_grad) is not bool:
        raise TypeError(f"a parameter is rebuilt from a tensor, not {type(data).__name__}")
    return flambeau.nn.Parameter(data, requires_grad)


def rebuild_parameter_with_state(data, requires_grad, backward_hooks, state) -> Any:
    """A parameter with attributes of the user's."""
    return _with_attributes(rebuild_parameter(data, requires_grad), state)


def rebuild_from_type(function, kind, arguments, state) -> Any:
    """A tensor with attributes, or of a subclass (PyTorch's ``_rebuild_from_type_v2``)."""
    import flambeau

    if not any(function is known for known in REBUILDERS) or type(arguments) is not tuple:
        raise TypeError("a tensor is rebuilt by one of the known functions")
    if not isinstance(kind, type) or not issubclass(kind, flambeau.Tensor):
        raise TypeError("a tensor is rebuilt with a class that is none of tensors")
    made = function(*arguments)
    if type(made) is not kind:
        made = made.as_subclass(kind)
    if getattr(kind, "__setstate__", None) is not getattr(flambeau.Tensor, "__setstate__", None):
        made.__setstate__(state)
        return made
    return _with_attributes(made, state)


def not_supported(*arguments) -> Any:
    """Quantized, sparse and nested tensors, which PyTorch can save."""
    raise UnpicklingError(
        "The file holds a quantized, sparse or nested tensor; only dense ones can be loaded"
    )


REBUILDERS = (
    rebuild_tensor,
    rebuild_typed_tensor,
    rebuild_meta_tensor,
    rebuild_parameter,
    rebuild_parameter_with_state,
)

#: PyTorch's names of the functions above
TORCH_NAMES = {
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": rebuild_typed_tensor,
    "torch._utils._rebuild_meta_tensor_no_storage": rebuild_meta_tensor,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": rebuild_parameter_with_state,
    "torch._tensor._rebuild_from_type_v2": rebuild_from_type,
    "torch._utils._rebuild_qtensor": not_supported,
    "torch._utils._rebuild_sparse_tensor": not_supported,
    "torch._utils._rebuild_sparse_csr_tensor": not_supported,
    "torch._utils._rebuild_nested_tensor": not_supported,
    "torch._utils._rebuild_wrapper_subclass": not_supported,
}


def _with_attributes(made, state) -> Any:
    """Set what a file says of a tensor's attributes: (attributes, slots) or attributes alone."""
    parts = state if type(state) is tuple and len(state) == 2 else (state,)
    for attributes in parts:
        if attributes is None:
            continue
        if not isinstance(attributes, dict) or not all(type(name) is str for name in attributes):
            raise TypeError(f"the state of a tensor is a dict of attributes, not {type(attributes).__name__}")
        made.__dict__.update(attributes)
    return made


def _with_lazy_bits(made, metadata) -> Any:
    """Carry out the conjugation or negation that PyTorch saves as a flag beside the storage."""
    if metadata is None:
        return made
    if type(metadata) is not dict:
        raise TypeError(f"the metadata of a tensor is a dict, not {type(metadata).__name__}")
    if metadata.get("conj") is True:
        made = made.conj()
    return made.neg() if metadata.get("neg") is True else made


def _check_numbers(offset, size, stride, requires_grad) -> None:
    """Raise unless these are numbers that can describe a view."""
    shapes = isinstance(size, (tuple, list)) and isinstance(stride, (tuple, list))
    if not shapes or len(size) != len(stride) or len(size) > _MOST_DIMENSIONS:
        raise ValueError("the size and the stride of a tensor do not belong together")
    if any(type(n) is not int or not 0 <= n <= _LARGEST for n in (offset, *size, *stride)):
        raise ValueError("the size, the stride and the offset of a tensor are ints that are not negative")
    if type(requires_grad) is not bool:
        raise TypeError(f"requires_grad is a bool, not {type(requires_grad).__name__}")


def _view(storage, dtype, offset, size, stride, requires_grad) -> Any:
    """The strided view; every element lies inside the storage, whatever the file says."""
    from flambeau.base.dtype import dtype as Dtype
    from flambeau.tensor.storage import TypedStorage

    if not isinstance(storage, TypedStorage) or not isinstance(dtype, Dtype):
        kinds = f"{type(storage).__name__} and {type(dtype).__name__}"
        raise TypeError(f"a tensor is rebuilt from a storage and a dtype, not {kinds}")
    _check_numbers(offset, size, stride, requires_grad)
    untyped = storage._untyped_storage
    last = offset - 1
    if 0 not in size:
        last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if (last + 1) * dtype.itemsize > untyped.nbytes():
        raise ValueError(
            f"size {tuple(size)}, stride {tuple(stride)} and offset {offset} reach beyond a storage of "
            f"{untyped.nbytes()} bytes"
        )
    if untyped._memory is None:
        return rebuild_meta_tensor(dtype, tuple(size), tuple(stride), requires_grad)
    made = over_storage(untyped, dtype, tuple(size), tuple(stride), offset)
    return made.requires_grad_() if requires_grad else made


def over_storage(storage, dtype, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> Any:
    """A tensor over the memory of an untyped storage; the caller has checked that it stays inside."""
    from flambeau.base.layout import layout
    from flambeau.tensor.tensor import make

    return make(storage._memory, layout(size, stride, dtype, storage.device), offset * dtype.itemsize)
