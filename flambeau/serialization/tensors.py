"""Tensors as a saved file knows them: a storage's bytes and a view of it, under PyTorch's names."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

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


class StorageKind:
    """Stands for one of PyTorch's storage classes inside a saved file."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> str:
        return self.name


# Module attributes, because a pickle refers to a global by its module and name.
globals().update({name: StorageKind(name) for name in (*STORAGE_DTYPES, "UntypedStorage")})


class LoadedStorage(NamedTuple):
    """A storage read from a file; `storage` is the untyped storage, None on the meta device."""

    storage: Any
    dtype: Any
    byte_count: int


def storage_kind(dtype) -> StorageKind:
    """The storage class that a tensor of this type is saved with."""
    return globals()[DTYPE_STORAGES.get(dtype_name(dtype), "UntypedStorage")]


def dtype_name(dtype) -> str:
    """``"float32"`` for ``torch.float32``."""
    return str(dtype).removeprefix("torch.")


def rebuild_tensor(source, storage_offset, size, stride, requires_grad, backward_hooks=None, metadata=None):
    """A tensor over a loaded storage of its own type (PyTorch's ``_rebuild_tensor_v2``)."""
    return _view(source, source.dtype, storage_offset, size, stride, requires_grad)


def rebuild_typed_tensor(
    source, storage_offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None
):
    """A tensor over an untyped storage (PyTorch's ``_rebuild_tensor_v3``: types without a storage class)."""
    return _view(source, dtype, storage_offset, size, stride, requires_grad)


def rebuild_meta_tensor(dtype, size, stride, requires_grad):
    """A tensor of the meta device, which has no storage."""
    import flambeau

    return flambeau.empty_strided(size, stride, dtype=dtype, device="meta", requires_grad=requires_grad)


def rebuild_parameter(data, requires_grad, backward_hooks=None):
    """A parameter around a tensor."""
    import flambeau

    return flambeau.nn.Parameter(data, requires_grad)


def rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    """A parameter with user attributes."""
    parameter = rebuild_parameter(data, requires_grad)
    attributes = state[0] if isinstance(state, tuple) else state
    if not isinstance(attributes, dict) or not all(isinstance(name, str) for name in attributes):
        raise TypeError(f"the state of a parameter is a dict of attributes, not {type(attributes).__name__}")
    parameter.__dict__.update(attributes)
    return parameter


def encode_bytes(text: str, encoding: str = "latin1") -> bytes:
    """Bytes, which pickle protocol 2 spells as text."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes are saved as latin1 text, not {encoding!r}")
    return text.encode("latin1")


def empty_bytes() -> bytes:
    """What pickle protocol 2 writes for ``b""``; `bytes` itself would allocate whatever size a file names."""
    return b""


def rebuild_bytearray(content: bytes | str = b"", encoding: str = "latin1") -> bytearray:
    """A bytearray, from bytes or the same spelling as theirs."""
    if not isinstance(content, (bytes, str)):
        raise TypeError(f"a bytearray is rebuilt from bytes, not {type(content).__name__}")
    return bytearray(content if isinstance(content, bytes) else encode_bytes(content, encoding))


def _view(source, dtype, offset, size, stride, requires_grad):
    """The strided view; every element lies inside the storage, whatever the file says."""
    import flambeau

    if not isinstance(source, LoadedStorage) or not isinstance(dtype, flambeau.dtype):
        raise TypeError(f"a tensor is rebuilt from a storage and a dtype, not {source!r} and {dtype!r}")
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or any(type(n) is not int or n < 0 for n in numbers):
        raise ValueError(
            f"size {tuple(size)}, stride {tuple(stride)} and offset {offset} do not make a tensor"
        )
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if 0 not in size and (last + 1) * dtype.itemsize > source.byte_count:
        raise ValueError(
            f"size {tuple(size)}, stride {tuple(stride)} and offset {offset} reach beyond a storage of "
            f"{source.byte_count} bytes"
        )
    if source.storage is None:
        return rebuild_meta_tensor(dtype, size, stride, requires_grad)
    return over_storage(source.storage, dtype, tuple(size), tuple(stride), offset).requires_grad_(
        requires_grad
    )


def over_storage(storage, dtype, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0):
    """A tensor over the memory of an untyped storage; the caller has checked that it stays inside."""
    from flambeau.base.layout import layout
    from flambeau.tensor.tensor import make

    return make(storage._memory, layout(size, stride, dtype, storage.device), offset * dtype.itemsize)


def torch_globals() -> dict[str, Callable | Any]:
    """What a file may name when it is loaded with ``weights_only=True``: none can run code from the file."""
    import flambeau

    table: dict[str, Any] = {
        "collections.OrderedDict": OrderedDict,
        "collections.Counter": Counter,
        "builtins.set": set,
        "builtins.frozenset": frozenset,
        "builtins.complex": complex,
        "builtins.bytes": empty_bytes,
        "builtins.bytearray": rebuild_bytearray,
        "_codecs.encode": encode_bytes,
        "torch.Size": flambeau.Size,
        "torch.device": flambeau.device,
        "torch._utils._rebuild_tensor_v2": rebuild_tensor,
        "torch._utils._rebuild_tensor_v3": rebuild_typed_tensor,
        "torch._utils._rebuild_meta_tensor_no_storage": rebuild_meta_tensor,
        "torch._utils._rebuild_parameter": rebuild_parameter,
        "torch._utils._rebuild_parameter_with_state": rebuild_parameter_with_state,
    }
    for name in STORAGE_DTYPES:
        table[f"torch.{name}"] = table[f"torch.storage.{name}"] = globals()[name]
    table["torch.storage.UntypedStorage"] = table["torch.UntypedStorage"] = globals()["UntypedStorage"]
    for name in (*DTYPE_STORAGES, "uint16", "uint32", "uint64"):
        if hasattr(flambeau, name):
            table[f"torch.{name}"] = getattr(flambeau, name)
    return table
