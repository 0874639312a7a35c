"""Storages of a file: each is read once, checked against the file, and placed where `map_location` says."""

from __future__ import annotations

import ctypes
import mmap
import sys
from pickle import UnpicklingError
from typing import Any

from flambeau.serialization import locations, options, tensors
from flambeau.serialization.zip_reader import ZipReader


def bytes_of(storage) -> memoryview:
    """The memory of an untyped storage, writable, not copied."""
    size = storage.nbytes()
    if not size:
        return memoryview(bytearray())
    view = memoryview((ctypes.c_char * size).from_address(storage.data_ptr()))
    return view.cast("B")


class Mapping:
    """A file mapped into memory; what is written to it stays in memory, unless it is mapped shared."""

    def __init__(self, path) -> None:
        from flambeau.tensor.interop import buffer_address

        self.shared = shared = options.get_default_mmap_options() == getattr(mmap, "MAP_SHARED", None)
        with open(path, "r+b" if shared else "rb") as file:
            access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
            self.owner = mmap.mmap(file.fileno(), 0, access=access)
        self.address = buffer_address(memoryview(self.owner))

    def storage(self, offset: int, size: int) -> Any:
        """The storage over `size` bytes from `offset` on; the caller has checked that the file has them."""
        from flambeau.base.device import cpu
        from flambeau.tensor import dispatch
        from flambeau.tensor.storage import UntypedStorage

        memory = dispatch.runtime().wrap(self.address + offset, size, self.owner)
        return UntypedStorage.over(memory, cpu)


def empty_storage(size: int) -> Any:
    """A storage in host memory whose bytes are not set."""
    from flambeau.tensor.storage import UntypedStorage

    return UntypedStorage(size)


def checked_identity(identity: Any, length: int) -> tuple:
    """The parts of a persistent id ``("storage", type, key, location, count, ...)``, each of its type.

    Raises: pickle.UnpicklingError when it is anything else.
    """
    if type(identity) is tuple and len(identity) == length:
        # Types first: comparing a tensor with a text would be an operator.
        parts = [part.decode("ascii") if type(part) is bytes else part for part in identity]
        word, kind, key, location, count = parts[:5]
        texts = type(word) is str and type(key) is str and type(location) is str and word == "storage"
        if texts and type(kind) is tensors.StorageType and type(count) is int and 0 <= count < 1 << 60:
            return tuple(parts[1:])
    shown = type(identity).__name__ if type(identity) is not tuple else f"tuple of {len(identity)}"
    raise UnpicklingError(f"Only persistent_load of storage is allowed, but got {shown}")


class ZipStorages:
    """Gives the storage of a persistent id of a zip archive."""

    def __init__(self, reader: ZipReader, map_location: Any, mapping: Mapping | None = None) -> None:
        self.reader, self._mapping = reader, mapping
        self._restore = locations.restorer(map_location)
        self._on_meta = locations.is_meta(map_location)
        self._swapped = _other_byte_order(reader)
        self._loaded: dict[str, Any] = {}

    def __call__(self, identity: Any) -> Any:
        kind, key, location, count = checked_identity(identity, 5)
        found = self._loaded.get(key)
        if found is None:
            found = self._loaded[key] = self._load(kind.dtype, key, location, count)
        elif found.nbytes() != count * kind.dtype.itemsize and not found.nbytes():
            raise UnpicklingError(f"storage {key} has two sizes in the file")
        return tensors.typed(found, kind.dtype)

    def _load(self, dtype: Any, key: str, location: str, count: int) -> Any:
        size, name = count * dtype.itemsize, f"data/{key}"
        from flambeau.tensor.storage import UntypedStorage

        if self._on_meta:
            return UntypedStorage(size, device="meta")
        record = self.reader.find(name)
        if record.size != size:
            raise UnpicklingError(
                f"storage {key} has {record.size} bytes in the file, its description says {size}"
            )
        storage = self._read(name, record, dtype)
        restored = self._restore(storage, location)
        return restored if isinstance(restored, UntypedStorage) else restored.untyped()

    def _read(self, name: str, record: Any, dtype: Any) -> Any:
        if options.data_is_skipped():
            self.reader.take(name)
            return empty_storage(record.size)
        place = self.reader.place(name)
        mappable = record.method == 0 and not self._swapped and record.size and place % dtype.itemsize == 0
        if self._mapping is not None and mappable:
            if self._mapping.shared:  # the file's content may change: its checksum no longer holds
                self._mapping.owner[record.checksum_at : record.checksum_at + 4] = bytes(4)
            return self._mapping.storage(self.reader.take(name), record.size)
        storage = empty_storage(record.size)
        target = bytes_of(storage)
        self.reader.read_into(name, target)
        if self._swapped:
            swap_bytes(target, dtype)
        return storage


def swap_bytes(target: memoryview, dtype: Any) -> None:
    """Turn every number around, in place; both parts of a complex number by themselves."""
    import numpy

    part = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
    if part > 1:
        numpy.frombuffer(target, dtype=f"u{part}").byteswap(inplace=True)


def _other_byte_order(reader: ZipReader) -> bool:
    """Whether the numbers in the archive have the byte order that this machine has not."""
    default = options.get_default_load_endianness()
    if "byteorder" in reader:
        order = reader.read("byteorder")
        if order not in (b"little", b"big"):
            raise ValueError(f"Unknown endianness type: {order[:20].decode('utf-8', 'replace')}")
        return order.decode() != sys.byteorder
    if default is options.LoadEndianness.NATIVE:
        return False
    return ("big" if default is options.LoadEndianness.BIG else "little") != sys.byteorder


def room_for(size: int) -> Any:
    """As many zero bytes, which take no memory until they are written."""
    return mmap.mmap(-1, size) if size else b""
