"""Reads the format that PyTorch wrote before 1.6: pickles one after the other, then the bytes of the storages."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

from flambeau.serialization import locations, options, tensors
from flambeau.serialization.machine import Machine
from flambeau.serialization.storages import bytes_of, checked_identity, empty_storage, swap_bytes

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
_COUNT = 8  # bytes before each storage that hold its number of elements


class LegacyStorages:
    """Gives the storage of a persistent id; its bytes, which follow later in the file, are filled in at the end."""

    def __init__(self, size: int, map_location: Any) -> None:
        self._left = size
        self._restore = locations.restorer(map_location)
        self._made: dict[str, tuple[Any, Any, Any]] = {}  # key: bytes in host memory, storage in place, dtype
        self._views: dict[str, Any] = {}

    def __call__(self, identity: Any) -> Any:
        if type(identity) is tuple and len(identity) == 5:
            identity = (*identity, None)  # the oldest files have no views
        kind, key, location, count, view = checked_identity(identity, 6)
        dtype = kind.dtype
        size = count * dtype.itemsize
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._make(key, dtype, size, location)
        if found[1].nbytes() != size:
            raise UnpicklingError(f"storage {key} has two sizes in the file")
        return tensors.typed(found[1] if view is None else self._view(key, found[1], dtype, view), dtype)

    def _make(self, key: str, dtype: Any, size: int, location: str) -> tuple[Any, Any, Any]:
        self._left -= size + _COUNT
        if self._left < 0:
            raise UnpicklingError(f"storage {key} has more bytes than the file")
        storage = empty_storage(size)
        return storage, self._restore(storage, location), dtype

    def _view(self, key: str, root: Any, dtype: Any, view: Any) -> Any:
        """A storage that is a part of another, as PyTorch 0.3 wrote them."""
        numbers = type(view) is tuple and len(view) == 3 and all(type(n) is int and n >= 0 for n in view[1:])
        if not numbers or type(view[0]) is not str:
            raise UnpicklingError("The file is damaged: a view of a storage is malformed")
        start, size = view[1] * dtype.itemsize, view[2] * dtype.itemsize
        if start + size > root.nbytes():
            raise UnpicklingError(f"a view of storage {key} reaches beyond it")
        found = self._views.get(f"{key} {view}")
        if found is None:
            from flambeau.tensor import dispatch
            from flambeau.tensor.storage import UntypedStorage

            if root._memory is None:
                return UntypedStorage(size, device="meta")
            memory = dispatch.runtime().wrap(root.data_ptr() + start, size, root._memory)
            found = self._views[f"{key} {view}"] = UntypedStorage.over(memory, root.device)
        return found

    def fill(self, data: Any, at: int, keys: Any) -> int:
        """Copy each storage's bytes from `data`; gives the position after the last one."""
        if type(keys) is not list or any(type(key) is not str for key in keys):
            raise UnpicklingError("The file is damaged: the list of its storages is malformed")
        for key in dict.fromkeys(keys):
            if key not in self._made:
                raise UnpicklingError(f"storage key {key[:40]!r} not found in deserialized_objects")
            storage, placed, dtype = self._made.pop(key)
            size = storage.nbytes()
            found = data[at : at + _COUNT]
            if len(found) == _COUNT and int.from_bytes(found, "little") * dtype.itemsize != size:
                raise UnpicklingError(f"storage {key} has another size than its description says")
            at += _COUNT + size
            if at > len(data):
                raise RuntimeError(
                    f"unexpected EOF, expected {at - len(data)} more bytes. The file might be corrupted."
                )
            target = bytes_of(storage)
            target[:] = memoryview(data)[at - size : at]
            if sys.byteorder == "big":
                swap_bytes(target, dtype)
            _hand_over(storage, placed)
        if any(storage.nbytes() for storage, _, _ in self._made.values()):
            raise UnpicklingError("The file is damaged: it has no bytes for some of its storages")
        return at


def _hand_over(storage: Any, placed: Any) -> None:
    """Copy to a storage on another device, made before the bytes were known."""
    if placed._memory is None or placed.data_ptr() == storage.data_ptr():
        return
    placed.copy_(storage)


def load(data: Any, map_location: Any, run: Callable, *, size: int) -> tuple[Any, int]:
    """The object in a legacy file, and where it ends.

    Args:
        data: the bytes from the object's start on.
        run: runs one pickle: ``run(data, at, storages)`` gives its value and where it ends.
    """
    magic, at = Machine(data, _no_storages, size=size), 0
    number = magic.run()
    if type(number) is not int or number != MAGIC_NUMBER:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version = Machine(data, _no_storages, at=magic.at, size=size)
    number = version.run()
    if type(number) is not int or number != PROTOCOL_VERSION:
        raise RuntimeError(
            f"Invalid protocol version: {number if type(number) is int else type(number).__name__}"
        )
    about = Machine(data, _no_storages, at=version.at, size=size)
    about.run()
    storages = LegacyStorages(size, map_location)
    result, at = run(data, about.at, storages)
    keys = Machine(data, _no_storages, at=at, size=size)
    names = keys.run()
    if options.data_is_skipped():
        return result, keys.at
    return result, storages.fill(data, keys.at, names)


def starts_like_one(head: bytes) -> bool:
    """Whether a file that begins so may be in this format: a pickle of the magic number."""
    number = MAGIC_NUMBER.to_bytes(10, "little")
    return head[:1] == b"\x80" and number in head[:32]


def _no_storages(identity: Any) -> Any:
    raise UnpicklingError("The file is damaged: a storage where none can be")


def trusted_runner(unpickler: Callable) -> Callable:
    """`run` for `load` with a real unpickler: ``unpickler(stream, storages)`` makes one."""

    def run(data: Any, at: int, storages: LegacyStorages) -> tuple[Any, int]:
        stream = io.BytesIO(memoryview(data)[at:])
        value = unpickler(stream, storages).load()
        return value, at + stream.tell()

    return run


def plain_runner(encoding: str, size: int) -> Callable:
    """`run` for `load` with the data-only machine."""

    def run(data: Any, at: int, storages: LegacyStorages) -> tuple[Any, int]:
        machine = Machine(data, storages, at=at, size=size, encoding=encoding)
        return machine.run(), machine.at

    return run
