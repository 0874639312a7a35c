"""Turns an object into the pickle that PyTorch reads, and the list of storages beside it."""

from __future__ import annotations

import io
import pickle
import pickletools
import sys
from collections import OrderedDict
from typing import Any

from flambeau.serialization import tensors


def dump(obj: object) -> tuple[bytes, list]:
    """The pickle of an object under PyTorch's names, and the bytes of its storages in key order."""
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    pickler.dump(obj)
    storages = [_bytes_of(storage) for storage, _ in pickler.storages.values()]
    return _with_torch_names(buffer.getvalue()), storages


class _StorageOf:
    """Marks a tensor's storage while it is pickled; it is written as a persistent id."""

    def __init__(self, tensor) -> None:
        self.tensor = tensor


class _Pickler(pickle.Pickler):
    def __init__(self, file) -> None:
        super().__init__(file, protocol=2)
        self.storages: dict[Any, tuple[Any, int]] = {}

    def persistent_id(self, obj: Any) -> Any:
        if type(obj) is not _StorageOf:
            return None
        tensor = obj.tensor
        storage = tensor.untyped_storage()
        # Storages without bytes have no address that tells them apart.
        identity = storage.data_ptr() or ("empty", len(self.storages))
        if identity not in self.storages:
            self.storages[identity] = (storage, len(self.storages))
        key = self.storages[identity][1]
        kind = tensors.storage_kind(tensor.dtype)
        itemsize = 1 if kind.name == "UntypedStorage" else tensor.dtype.itemsize
        return ("storage", kind, str(key), str(tensor.device), storage.nbytes() // itemsize)

    def reducer_override(self, obj: Any) -> Any:
        import flambeau

        kind = type(obj)
        if kind is flambeau.Tensor:
            return _reduce_tensor(obj)
        if kind is getattr(
            sys.modules.get("flambeau.nn.parameter"), "Parameter", None
        ):  # saving loads no `nn`
            return _reduce_parameter(obj)
        if kind is flambeau.dtype:
            name = tensors.dtype_name(obj)
            return name if getattr(sys.modules[kind.__module__], name, None) is obj else f"{name}_"
        if kind is flambeau.Size:
            return flambeau.Size, (tuple(obj),)
        if kind is flambeau.device:
            return flambeau.device, (str(obj),)
        return NotImplemented


def _reduce_tensor(tensor) -> tuple:
    if tensor.device.type == "meta":
        arguments = (tensor.dtype, tuple(tensor.size()), tensor.stride(), tensor.requires_grad)
        return tensors.rebuild_meta_tensor, arguments
    view = (tensor.storage_offset(), tuple(tensor.size()), tuple(tensor.stride()), tensor.requires_grad)
    arguments = (_StorageOf(tensor), *view, OrderedDict())
    if tensors.storage_kind(tensor.dtype).name == "UntypedStorage":
        return tensors.rebuild_typed_tensor, (*arguments, tensor.dtype)
    return tensors.rebuild_tensor, arguments


def _reduce_parameter(parameter) -> tuple:
    arguments = (parameter.data, parameter.requires_grad, OrderedDict())
    attributes = {name: value for name, value in vars(parameter).items() if not name.startswith("_")}
    if attributes:
        return tensors.rebuild_parameter_with_state, (*arguments, attributes)
    return tensors.rebuild_parameter, arguments


_TORCH_NAMES = {
    "rebuild_tensor": "torch._utils _rebuild_tensor_v2",
    "rebuild_typed_tensor": "torch._utils _rebuild_tensor_v3",
    "rebuild_meta_tensor": "torch._utils _rebuild_meta_tensor_no_storage",
    "rebuild_parameter": "torch._utils _rebuild_parameter",
    "rebuild_parameter_with_state": "torch._utils _rebuild_parameter_with_state",
    "UntypedStorage": "torch.storage UntypedStorage",
}


def _torch_name(name: str) -> str:
    """PyTorch's spelling of a global ``"module attribute"``; what PyTorch does not have keeps its name."""
    module, attribute = name.split(" ", 1)
    if module == tensors.__name__:
        return _TORCH_NAMES.get(attribute, f"torch {attribute}")
    if module.startswith("flambeau.") and attribute in ("Size", "device"):
        return f"torch {attribute}"
    if module.endswith(".dtype") and module.startswith("flambeau."):
        return f"torch {attribute.removesuffix('_')}"
    return name


def _with_torch_names(data: bytes) -> bytes:
    """The same pickle with every global renamed; in protocol 2 a name is plain text between line ends."""
    parts: list[bytes] = []
    done = 0
    for opcode, argument, position in pickletools.genops(data):
        if opcode.name != "GLOBAL" or position is None:
            continue
        old, new = str(argument), _torch_name(str(argument))
        if new != old:
            parts += [data[done:position], b"c", new.replace(" ", "\n", 1).encode(), b"\n"]
            done = position + len(old.encode()) + 2
    return b"".join((*parts, data[done:]))


def _bytes_of(storage) -> memoryview:
    """The memory of an untyped storage, not copied."""
    import flambeau

    flat = tensors.over_storage(storage, flambeau.uint8, (storage.nbytes(),), (1,))
    return memoryview(flat.numpy())
