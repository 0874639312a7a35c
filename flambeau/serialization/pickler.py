"""Turns an object into the pickle that PyTorch reads, and the list of storages beside it."""

from __future__ import annotations

import io
import pickle
import re
import sys
from collections import OrderedDict
from functools import cache
from types import FunctionType
from typing import Any

from flambeau.serialization import locations, plain, tensors
from flambeau.serialization.allowed import torch_name


def dump(obj: object, pickle_module: Any, protocol: int) -> tuple[bytes, list]:
    """The pickle of an object under PyTorch's names, and its untyped storages in key order."""
    buffer = io.BytesIO()
    # The C pickler cannot rename globals; in protocols 2 and 3 they are text, which is renamed afterwards.
    late = protocol < 4 and pickle_module is pickle
    pickler = (_fast_pickler if late else _renaming_pickler)(pickle_module)(buffer, protocol)
    pickler.dump(obj)
    data = buffer.getvalue()
    return (_with_torch_names(data) if late else data), [found[0] for found in pickler.storages.values()]


class _StorageOf:
    """Marks a tensor's storage while it is pickled; it is written as a persistent id."""

    def __init__(self, storage, dtype) -> None:
        self.storage, self.dtype = storage, dtype


class _Saving:
    """What saving adds to a pickler: storages become persistent ids, tensors a view of one."""

    def __init__(self, file, protocol: int) -> None:
        super().__init__(file, protocol=protocol)  # type: ignore[call-arg]
        self.storages: dict[Any, tuple[Any, int, Any]] = {}

    def persistent_id(self, obj: Any) -> Any:
        obj = obj if type(obj) is _StorageOf else _as_storage(obj)
        if obj is None:
            return None
        storage, kind = obj.storage, tensors.storage_type(obj.dtype)
        size = storage.nbytes()
        # Storages without bytes have no address that tells them apart.
        identity = (
            (storage.data_ptr(), size) if size and storage.data_ptr() else ("empty", len(self.storages))
        )
        if identity not in self.storages:
            self.storages[identity] = (storage, len(self.storages), obj.dtype)
        _, key, dtype = self.storages[identity]
        if dtype is not obj.dtype and kind is not tensors.storage_type(dtype):
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different types"
            )
        return ("storage", kind, str(key), locations.location_tag(storage), size // kind.dtype.itemsize)

    def reducer_override(self, obj: Any) -> Any:
        return _reduced(obj)


@cache
def _fast_pickler(pickle_module: Any) -> Any:
    return type("Pickler", (_Saving, pickle_module.Pickler), {})


@cache
def _renaming_pickler(pickle_module: Any) -> Any:
    """A pickler in Python, which writes PyTorch's names as it goes."""
    base: Any = pickle._Pickler if pickle_module is pickle else pickle_module.Pickler

    class Pickler(_Saving, base):
        def save_global(self, obj: Any, name: str | None = None) -> None:
            own = name or getattr(obj, "__qualname__", None)
            module = pickle.whichmodule(obj, own) if own else ""
            renamed = _torch_global(f"{module} {own}") if own else ""
            if not own or renamed == f"{module} {own}":
                super().save_global(obj, name)
                return
            module, own = renamed.split(" ", 1)
            if self.proto >= 4:
                self.save(module)
                self.save(own)
                self.write(pickle.STACK_GLOBAL)
            else:
                self.write(pickle.GLOBAL + f"{module}\n{own}\n".encode())
            self.memoize(obj)

    # Functions are looked up by their type there, past the method.
    Pickler.dispatch = {**getattr(base, "dispatch", {}), FunctionType: Pickler.save_global}
    return Pickler


def _as_storage(obj: Any) -> _StorageOf | None:
    """A storage that is saved by itself; None for anything else."""
    if type(obj).__module__ == "builtins":
        return None
    found = sys.modules.get("flambeau.tensor.storage")
    if found is None or not found.is_storage(obj):
        return None
    from flambeau.base.dtype import uint8

    untyped = isinstance(obj, found.UntypedStorage)
    return _StorageOf(obj if untyped else obj.untyped(), uint8 if untyped else obj.dtype)


def _reduced(obj: Any) -> Any:
    import flambeau

    kind = type(obj)
    if isinstance(obj, flambeau.Tensor):
        return _reduce_tensor(obj, kind)
    if kind is flambeau.dtype:
        return obj.name if getattr(sys.modules[kind.__module__], obj.name, None) is obj else f"{obj.name}_"
    if kind is flambeau.Size:
        return flambeau.Size, (tuple(obj),)
    if kind is flambeau.device:
        return flambeau.device, ((obj.type,) if obj.index is None else (obj.type, obj.index))
    if kind is flambeau.layout:
        return plain.layout_named, (str(obj),)
    return NotImplemented


def _reduce_tensor(tensor: Any, kind: type) -> Any:
    import flambeau

    parameter = getattr(sys.modules.get("flambeau.nn.parameter"), "Parameter", None)  # saving loads no `nn`
    if kind is parameter:
        return _reduce_parameter(tensor)
    own = getattr(kind, "__reduce_ex__", None)
    if (
        kind is not flambeau.Tensor
        and own is not flambeau.Tensor.__reduce_ex__
        and not issubclass(kind, parameter or ())
    ):
        return NotImplemented  # the class says itself how it is taken apart
    function, arguments = _reduce_plain(tensor)
    attributes = dict(tensor.__dict__)
    if kind is flambeau.Tensor and not attributes:
        return function, arguments
    return tensors.rebuild_from_type, (function, kind, arguments, attributes)


def _reduce_plain(tensor: Any) -> tuple:
    if tensor.device.type == "meta":
        arguments = (tensor.dtype, tuple(tensor.size()), tensor.stride(), tensor.requires_grad)
        return tensors.rebuild_meta_tensor, arguments
    storage = _StorageOf(tensor.untyped_storage(), tensor.dtype)
    view = (tensor.storage_offset(), tuple(tensor.size()), tuple(tensor.stride()), tensor.requires_grad)
    arguments = (storage, *view, OrderedDict())
    if tensors.storage_type(tensor.dtype).name == "UntypedStorage":
        return tensors.rebuild_typed_tensor, (*arguments, tensor.dtype)
    return tensors.rebuild_tensor, arguments


def _reduce_parameter(parameter: Any) -> tuple:
    arguments = (parameter.data, parameter.requires_grad, OrderedDict())
    attributes = dict(vars(parameter))
    if attributes:
        return tensors.rebuild_parameter_with_state, (*arguments, attributes)
    return tensors.rebuild_parameter, arguments


_REBUILDERS = {
    function.__name__: name.rpartition(".") for name, function in reversed(tensors.TORCH_NAMES.items())
}


def _torch_global(name: str) -> str:
    """PyTorch's spelling of a global ``"module attribute"``; what is not ours keeps its name."""
    module, attribute = name.split(" ", 1)
    if not module.startswith("flambeau"):
        return name
    if module == tensors.__name__:
        if attribute in _REBUILDERS:
            return f"{_REBUILDERS[attribute][0]} {_REBUILDERS[attribute][2]}"
        return "torch.storage UntypedStorage" if attribute == "UntypedStorage" else f"torch {attribute}"
    if module == plain.__name__ and attribute == "layout_named":
        return "torch.serialization _get_layout"
    if module == "flambeau.base.dtype" and attribute != "dtype":
        return f"torch {attribute.removesuffix('_')}"
    if module in ("flambeau.base.layout", "flambeau.base.device", "flambeau.tensor.tensor"):
        return f"torch {attribute}"
    if module.startswith(("flambeau.nn.", "flambeau.optim.")):
        return f"{torch_name(module)} {attribute}"
    return name


#: opcodes whose argument has a fixed length, any number of them
_FIXED = re.compile(
    rb"(?s:[N\x88\x89)\]}(t\x85\x86\x87aesuR\x81bQ.01]|[Kqh\x80\x82].|[M\x83]..|[Jrj\x84]....|G........)*+"
)
#: bytes that hold the length of what follows
_COUNTED = {ord("X"): 4, ord("B"): 4, ord("C"): 1, 0x8A: 1, 0x8B: 4}


def _with_torch_names(data: bytes) -> bytes:
    """The same pickle with every global renamed; below protocol 4 a name is plain text between line ends."""
    parts: list[bytes] = []
    done = at = 0
    while (at := _FIXED.match(data, at).end()) < len(data):  # type: ignore[union-attr]
        width = _COUNTED.get(data[at])
        if width is not None:
            at += 1 + width
            at += int.from_bytes(data[at - width : at], "little")
            continue
        assert data[at] == ord("c"), f"the pickler wrote an opcode {data[at]} that is not known here"
        end = data.index(b"\n", data.index(b"\n", at) + 1)
        old = data[at + 1 : end].decode().replace("\n", " ", 1)
        if (new := _torch_global(old)) != old:
            parts += [data[done:at], b"c", new.replace(" ", "\n", 1).encode()]
            done = end
        at = end + 1
    return b"".join((*parts, data[done:]))
