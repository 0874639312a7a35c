"""Reads the pickle of a saved file: `load_plain` interprets a harmless subset, `load_trusted` obeys all."""

from __future__ import annotations

import io
import pickle
import pickletools
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from flambeau.serialization import tensors
from flambeau.serialization.allowed import find_user_global
from flambeau.serialization.archive import Reader


class TensorSource:
    """Gives each storage of an archive once, on the device that `map_location` says."""

    def __init__(self, reader: Reader, map_location) -> None:
        self.reader, self.map_location = reader, map_location
        self._loaded: dict[str, tensors.LoadedStorage] = {}

    def __call__(self, identity: Any) -> tensors.LoadedStorage:
        """The storage of a persistent id ``("storage", kind, key, location, element count)``."""
        if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
            raise pickle.UnpicklingError(f"Unsupported persistent id {identity!r}")
        _, kind, key, location, count = identity
        well_formed = isinstance(kind, tensors.StorageKind) and type(key) is str and type(location) is str
        if not well_formed or type(count) is not int or not key.isalnum():
            raise pickle.UnpicklingError(f"Unsupported persistent id {identity!r}")
        found = self._loaded.get(key)
        if found is None:
            found = self._loaded[key] = self._read(kind, key, location, count)
        return found._replace(dtype=_storage_dtype(kind))

    def _read(self, kind, key: str, location: str, count: int) -> tensors.LoadedStorage:
        import flambeau

        dtype = _storage_dtype(kind)
        byte_count = count * dtype.itemsize
        if self.reader.size(f"data/{key}") != byte_count:
            size = self.reader.size(f"data/{key}")
            raise RuntimeError(
                f"storage {key} has {size} bytes in the file, its description says {byte_count}"
            )
        if self._device(location) == "meta":
            return tensors.LoadedStorage(None, dtype, byte_count)
        memory = flambeau.empty(byte_count, dtype=flambeau.uint8)
        array = memory.numpy()
        self.reader.read_into(f"data/{key}", array)
        if self.reader.big_endian != (sys.byteorder == "big"):
            part = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
            array[:] = array.reshape(-1, part)[:, ::-1].reshape(-1)
        return self._place(memory.untyped_storage(), dtype, byte_count, location)

    def _place(self, storage, dtype, byte_count: int, location: str) -> tensors.LoadedStorage:
        """Move a storage from the CPU to its device."""
        if callable(self.map_location) and not _is_device(self.map_location):
            moved: Any = self.map_location(storage, location)
            if moved is not None:
                return tensors.LoadedStorage(moved, dtype, moved.nbytes())
        name = self._device(location)
        if name == "cpu":
            return tensors.LoadedStorage(storage, dtype, byte_count)
        if name.startswith("cuda"):
            raise RuntimeError(
                "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. "
                "If you are running on a CPU-only machine, please use torch.load with "
                "map_location=torch.device('cpu') to map your storages to the CPU."
            )
        raise RuntimeError(
            f"don't know how to restore data location of torch.storage.UntypedStorage (tagged with {name})"
        )

    def _device(self, location: str) -> str:
        chosen = self.map_location
        if isinstance(chosen, dict):
            chosen = chosen.get(location, location)
        elif chosen is None or (callable(chosen) and not _is_device(chosen)):
            chosen = location
        return str(chosen)


def _is_device(value) -> bool:
    import flambeau

    return isinstance(value, flambeau.device)


def _storage_dtype(kind: tensors.StorageKind):
    import flambeau

    return getattr(flambeau, tensors.STORAGE_DTYPES.get(kind.name, "uint8"))


def load_trusted(data: bytes, source: TensorSource, pickle_module: Any, arguments: dict) -> Any:
    """Unpickle with no restriction; PyTorch's names mean ours."""
    table = tensors.torch_globals()

    base: Any = (pickle_module or pickle).Unpickler

    class Unpickler(base):
        def persistent_load(self, pid: Any) -> Any:
            return source(pid)

        def find_class(self, module: str, name: str) -> Any:
            known = table.get(f"{module}.{name}")
            if known is not None:
                return known
            if module == "torch" or module.startswith("torch."):
                module = "flambeau" + module.removeprefix("torch")
            return super().find_class(module, name)

    return Unpickler(io.BytesIO(data), **arguments).load()


def load_plain(data: bytes, source: TensorSource) -> Any:
    """Interpret a pickle of tensors and plain containers; anything else raises and nothing of it runs."""
    try:
        return _Machine(source).run(data)
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(f"Weights only load failed. {error}") from None
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError) as error:
        # The pickle is damaged or malicious: it left the form that any writer produces.
        raise pickle.UnpicklingError(f"Weights only load failed. The file is damaged: {error}") from None


_MARK = object()
_PLAIN = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": set}
_VALUES = frozenset(
    """BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8
    BINBYTES SHORT_BINBYTES BINBYTES8 BINSTRING SHORT_BINSTRING""".split()
)
_PUTS, _GETS = frozenset(("BINPUT", "LONG_BINPUT")), frozenset(("BINGET", "LONG_BINGET"))
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The part of the pickle machine that data needs: no imports, and calls only of known functions."""

    def __init__(self, source: TensorSource) -> None:
        self.source = source
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.known = tensors.torch_globals()
        self.callables = {id(value): value for value in self.known.values() if callable(value)}

    def run(self, data: bytes) -> Any:
        """Execute the opcodes of a pickle and return its value."""
        program: Any = pickletools.genops(data)
        for opcode, argument, _ in program:
            name = opcode.name
            if name in _VALUES:
                self.stack.append(argument)
            elif name in _PUTS:
                self.memo[argument] = self.stack[-1]
            elif name in _GETS:
                self.stack.append(self.memo[argument])
            elif name in _PLAIN:
                self.stack.append(_PLAIN[name])
            elif name in _EMPTY:
                self.stack.append(_EMPTY[name]())
            elif name in _TUPLES:
                count = _TUPLES[name]
                self.stack[-count:] = [tuple(self.stack[-count:])]
            elif name == "STOP":
                return self.stack.pop()
            elif (step := _STEPS.get(name)) is not None:
                step(self, argument)
            elif name not in ("PROTO", "FRAME"):
                raise pickle.UnpicklingError(f"Unsupported operand {ord(opcode.code)} ({name})")
        raise pickle.UnpicklingError("The file is damaged: the pickle has no end")

    def pop_to_mark(self) -> list[Any]:
        """What stands above the topmost mark; the mark goes too."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise pickle.UnpicklingError("The file is damaged: a mark is missing")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def find(self, module: str, name: str) -> None:
        """Push what the global means: PyTorch's types and rebuild functions, or the user's choice."""
        module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        full = f"{module}.{name}"
        value = self.known.get(full)
        if value is None:
            value = find_user_global(full) or find_user_global("flambeau" + full.removeprefix("torch"))
            if value is None:
                raise pickle.UnpicklingError(_not_allowed(full))
            self.callables[id(value)] = value
        self.stack.append(value)

    def call(self, function: Any, arguments: Any) -> Any:
        """Call a function that `find` gave out, and nothing else."""
        if self.callables.get(id(function)) is not function or type(arguments) is not tuple:
            raise pickle.UnpicklingError(f"Trying to call {type(function).__name__}, which is not allowed")
        return function(*arguments)


def _not_allowed(full: str) -> str:
    return (
        f"Unsupported global: GLOBAL {full} was not an allowed global by default. Please use "
        f"`torch.serialization.add_safe_globals([{full}])` if you trust this class or function.\n"
        "  fix   torch.load(..., weights_only=False) loads it too, and runs whatever code the file contains"
    )


def _mark(machine: _Machine, argument: Any) -> None:
    machine.stack.append(_MARK)


def _global(machine: _Machine, argument: str) -> None:
    machine.find(*argument.split(" ", 1))


def _stack_global(machine: _Machine, argument: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise pickle.UnpicklingError("The file is damaged: the name of a global is not text")
    machine.find(module, name)


def _reduce(machine: _Machine, argument: Any) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(machine.call(function, arguments))


def _new_object(machine: _Machine, argument: Any) -> None:
    arguments, kind = machine.stack.pop(), machine.stack.pop()
    if not isinstance(kind, type) or machine.callables.get(id(kind)) is not kind:
        raise pickle.UnpicklingError("Trying to make an object of a class that is not allowed")
    machine.stack.append(kind.__new__(kind, *arguments))


def _build(machine: _Machine, argument: Any) -> None:
    """Attributes of an ordered dict (a state dict's metadata) or of an object of a class the user allowed."""
    state, target = machine.stack.pop(), machine.stack[-1]
    kind = type(target)
    allowed = kind is OrderedDict or find_user_global(f"{kind.__module__}.{kind.__qualname__}") is kind
    if not allowed:
        raise pickle.UnpicklingError(f"Can only build an object of an allowed class, but got {kind.__name__}")
    if kind is OrderedDict:
        target.__dict__.update(state)
        return
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
        return
    parts = state if type(state) is tuple and len(state) == 2 else (state, None)  # __dict__ and __slots__
    for name, value in [item for part in parts if part for item in part.items()]:
        if type(name) is not str:
            raise pickle.UnpicklingError("The file is damaged: the name of an attribute is not text")
        setattr(target, name, value)


def _container(machine: _Machine, *kinds: type) -> Any:
    target = machine.stack[-1]
    if type(target) not in kinds:
        raise pickle.UnpicklingError(
            f"Can only add items to {kinds[0].__name__}, but got {type(target).__name__}"
        )
    return target


def _append(machine: _Machine, argument: Any) -> None:
    item = machine.stack.pop()
    _container(machine, list).append(item)


def _appends(machine: _Machine, argument: Any) -> None:
    items = machine.pop_to_mark()
    _container(machine, list).extend(items)


def _set_item(machine: _Machine, argument: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _container(machine, dict, OrderedDict)[key] = value


def _set_items(machine: _Machine, argument: Any) -> None:
    items = machine.pop_to_mark()
    target = _container(machine, dict, OrderedDict)
    for at in range(0, len(items), 2):
        target[items[at]] = items[at + 1]


def _add_items(machine: _Machine, argument: Any) -> None:
    items = machine.pop_to_mark()
    _container(machine, set).update(items)


def _tuple(machine: _Machine, argument: Any) -> None:
    machine.stack.append(tuple(machine.pop_to_mark()))


def _memoize(machine: _Machine, argument: Any) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _persistent_id(machine: _Machine, argument: Any) -> None:
    machine.stack.append(machine.source(machine.stack.pop()))


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _mark,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _new_object,
    "BUILD": _build,
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "ADDITEMS": _add_items,
    "TUPLE": _tuple,
    "MEMOIZE": _memoize,
    "BINPERSID": _persistent_id,
}
