"""Storages: the memory behind tensors, as bytes or as numbers of one type."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

from ..base import dtype as types
from ..base.device import cpu
from ..base.device import device as Device
from ..base.dtype import dtype as DType
from ..base.layout import contiguous_layout
from . import dispatch, interop
from .tensor import Tensor, make

#: one storage object a memory, so that pickling sees which tensors share
_known: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


def storage_of(tensor: Tensor) -> UntypedStorage:
    """The storage that a tensor views."""
    memory = tensor._memory
    if memory is None:
        made = UntypedStorage.over(None, tensor._layout.device)
        made._size = tensor._layout.extent * tensor._layout.dtype.itemsize
        return made
    place = dispatch.runtime().address(memory)
    found = _known.get(place)
    if found is None or dispatch.runtime().address(found._memory) != place:
        found = _known[place] = UntypedStorage.over(memory, tensor._layout.device)
    return found


class UntypedStorage:
    """The bytes behind a tensor, shared with its views. `len` and indices count bytes.

    >>> import flambeau as torch
    >>> torch.zeros(3).untyped_storage().nbytes()
    12
    """

    __slots__ = ("_memory", "device", "_size", "__weakref__")

    def __init__(self, *args, device: Any = "cpu"):
        self.device, self._memory, self._size = Device(device), None, 0
        given = args[0] if args else 0
        if isinstance(given, int):
            if self.device.type == "meta":
                self._size = given
            else:
                self._memory = dispatch.runtime().allocate(given)
        else:
            numbers = interop.tensor(list(given), dtype=types.uint8)
            self._memory = numbers._memory

    @classmethod
    def over(cls, memory, device: Device) -> UntypedStorage:
        """The storage of a block of memory."""
        made = object.__new__(cls)
        made._memory, made.device, made._size = memory, device, 0
        return made

    @classmethod
    def from_buffer(
        cls,
        buffer,
        *,
        dtype: DType = types.uint8,
        byte_order: str = "native",
        count: int = -1,
        offset: int = 0,
    ):
        """A storage with a copy of the bytes of an object with the buffer protocol."""
        return cls(memoryview(buffer).cast("B")[offset:].tolist())

    @classmethod
    def from_file(cls, filename, shared: bool = False, nbytes: int = 0):
        """A storage over a file mapped into memory.

        Args:
            shared: writes change the file, which is made or lengthened to `nbytes` if need be; otherwise they stay in
                memory.
            nbytes: size; 0 means all of the file.
        """
        import mmap
        import os

        if shared:
            with open(filename, "ab") as file:
                if file.tell() < nbytes:
                    file.truncate(nbytes)
        size = nbytes or os.path.getsize(filename)
        if not size:
            return cls(0)
        if size > os.path.getsize(filename):
            raise RuntimeError(f"unable to mmap {size} bytes from file <{filename}>: the file is shorter")
        with open(filename, "r+b" if shared else "rb") as file:
            access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
            mapped = mmap.mmap(file.fileno(), size, access=access)
        place = interop.buffer_address(memoryview(mapped))
        return cls.over(dispatch.runtime().wrap(place, size, mapped), cpu)

    def nbytes(self) -> int:
        """Size in bytes."""
        return self._size if self._memory is None else dispatch.runtime().nbytes(self._memory)

    size = __len__ = nbytes

    def element_size(self) -> int:
        """Bytes an element: one."""
        return 1

    def data_ptr(self) -> int:
        """Address of the first byte."""
        if self._memory is None:
            return 0
        dispatch.runtime().give_away(self._memory)
        return dispatch.runtime().address(self._memory)

    @property
    def _cdata(self) -> int:
        return self.data_ptr() or id(self)

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def type(self) -> str:
        """The name of the class."""
        return "torch.storage.UntypedStorage"

    def is_shared(self) -> bool:
        """Whether the memory is one that other processes may see."""
        from ..backend.cpu.shared import is_shared

        return is_shared(self._memory)

    def share_memory_(self) -> UntypedStorage:
        """Move the bytes to memory that other processes may see; gives the storage itself."""
        if self._memory is not None:
            from ..backend.cpu.shared import move

            move(self._memory)
        return self

    def is_pinned(self, device=None) -> bool:
        """Whether the memory is locked for a device: never."""
        return False

    def untyped(self) -> UntypedStorage:
        """The storage itself."""
        return self

    def cpu(self) -> UntypedStorage:
        """The storage in host memory: itself."""
        return self

    def _bytes(self) -> Tensor:
        """The storage as a tensor of bytes over the same memory."""
        return make(self._memory, contiguous_layout((self.nbytes(),), types.uint8, self.device))

    def tolist(self) -> list[int]:
        """The bytes as a list."""
        return interop.to_list(self._bytes())

    def _place(self, index: int) -> int:
        size = self.nbytes()
        place = index + size if index < 0 else index
        if not 0 <= place < size:
            raise IndexError(f"index {index} out of range for storage of size {size}")
        return place

    def __getitem__(self, index):
        if isinstance(index, slice):
            start, stop, step = index.indices(self.nbytes())
            if step != 1:
                raise ValueError(f"Tried to slice with a step of {step}, but only a step of 1 is supported")
            if self._memory is None:
                return UntypedStorage(max(0, stop - start), device=self.device)
            size = max(0, stop - start)
            shared = dispatch.runtime().wrap(self.data_ptr() + start, size, self._memory)
            return UntypedStorage.over(shared, self.device)
        return ctypes.c_uint8.from_address(self.data_ptr() + self._place(index)).value

    def __setitem__(self, index, value) -> None:
        if isinstance(index, slice):
            self._bytes()[index] = value
        else:
            ctypes.c_uint8.from_address(self.data_ptr() + self._place(index)).value = value

    def __iter__(self):
        return iter(self.tolist())

    def fill_(self, value: int) -> UntypedStorage:
        """Set every byte."""
        self._bytes().fill_(value)
        return self

    def copy_(self, source, non_blocking: bool | None = None) -> UntypedStorage:
        """Take the bytes of another storage of the same size."""
        if source.nbytes() != self.nbytes():
            raise RuntimeError("size does not match")
        ctypes.memmove(self.data_ptr(), source.data_ptr(), self.nbytes())
        return self

    def clone(self) -> UntypedStorage:
        """A copy in memory of its own."""
        return UntypedStorage(self.nbytes(), device=self.device).copy_(self)

    def resize_(self, size: int) -> UntypedStorage:
        """Take another size; the tensors over the old memory keep it."""
        old = self.nbytes()
        if self._memory is None:
            self._size = size
        elif size != old:
            fresh = dispatch.runtime().allocate(size)
            ctypes.memmove(dispatch.runtime().address(fresh), self.data_ptr(), min(size, old))
            self._memory = fresh
        return self

    def __copy__(self):
        return self.clone()

    def __deepcopy__(self, memo):
        memo = memo.setdefault("storages", {})
        found = memo.get(self._cdata)
        if found is None:
            found = memo[self._cdata] = self.clone()
        return found

    def __reduce__(self):
        if self._memory is None:
            return _empty_storage, (self._size, str(self.device))
        return _from_bytes, (ctypes.string_at(self.data_ptr(), self.nbytes()),)

    def __eq__(self, other) -> bool:
        return isinstance(other, UntypedStorage) and self._cdata == other._cdata

    def __hash__(self) -> int:
        return hash(self._cdata)

    def __repr__(self) -> str:
        head = "...\n" if self._memory is None else "".join(f" {x}\n" for x in self.tolist())
        return f"{head}[torch.storage.UntypedStorage(device={self.device}) of size {self.nbytes()}]"


def _from_bytes(data: bytes) -> UntypedStorage:
    made = UntypedStorage(len(data))
    ctypes.memmove(made.data_ptr(), data, len(data))
    return made


def _empty_storage(size: int, device: str) -> UntypedStorage:
    return UntypedStorage(size, device=device)


_WARNING = (
    "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the only storage class. This "
    "should only matter to you if you are using storages directly.  To access UntypedStorage directly, use "
    "tensor.untyped_storage() instead of tensor.storage()"
)


class TypedStorage:
    """The memory behind a tensor as numbers of one type. Deprecated, as in PyTorch: use `Tensor.untyped_storage`."""

    dtype: DType

    def __init__(
        self,
        *args,
        wrap_storage: UntypedStorage | None = None,
        dtype: DType | None = None,
        device: Any = "cpu",
    ):
        import warnings

        warnings.warn(_WARNING, UserWarning, stacklevel=2)
        self.dtype = dtype or getattr(type(self), "dtype", None) or types.default_float()
        if wrap_storage is not None:
            self._untyped_storage = wrap_storage
        elif args and not isinstance(args[0], int):
            numbers = interop.tensor(list(args[0]), dtype=self.dtype)
            self._untyped_storage = UntypedStorage.over(numbers._memory, cpu)
        else:
            count = args[0] if args else 0
            self._untyped_storage = UntypedStorage(count * self.dtype.itemsize, device=device)

    @property
    def device(self) -> Device:
        """Where the memory is."""
        return self._untyped_storage.device

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def untyped(self) -> UntypedStorage:
        """The bytes."""
        return self._untyped_storage

    def _numbers(self) -> Tensor:
        return make(self._untyped_storage._memory, contiguous_layout((self.size(),), self.dtype, self.device))

    def nbytes(self) -> int:
        """Size in bytes."""
        return self._untyped_storage.nbytes()

    def size(self) -> int:
        """Number of elements."""
        return self.nbytes() // self.dtype.itemsize

    __len__ = size

    def element_size(self) -> int:
        """Bytes an element."""
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        """Address of the first element."""
        return self._untyped_storage.data_ptr()

    def tolist(self) -> list:
        """The numbers as a list."""
        return interop.to_list(self._numbers())

    def __getitem__(self, index):
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        if not isinstance(index, int):
            raise RuntimeError(f"can't index a {type(self)} with {type(index)}")
        return interop.item(self._numbers().select(0, index))

    def __setitem__(self, index, value) -> None:
        self._numbers()[index] = value

    def __iter__(self):
        return iter(self.tolist())

    def fill_(self, value) -> TypedStorage:
        """Set every element."""
        self._numbers().fill_(value)
        return self

    def is_shared(self) -> bool:
        """Whether the memory is one that other processes may see."""
        return self._untyped_storage.is_shared()

    def share_memory_(self) -> TypedStorage:
        """Move the numbers to memory that other processes may see; gives the storage itself."""
        self._untyped_storage.share_memory_()
        return self

    def cpu(self) -> TypedStorage:
        """The storage in host memory: itself."""
        return self

    def __eq__(self, other) -> bool:
        return (
            isinstance(other, TypedStorage)
            and self.untyped() == other.untyped()
            and self.dtype is other.dtype
        )

    def __hash__(self) -> int:
        return hash(self._untyped_storage)

    def __repr__(self) -> str:
        head = "".join(f" {x}\n" for x in self.tolist())
        return f"{head}[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {self.size()}]"


def is_storage(obj: Any) -> bool:
    """Whether `obj` is a storage."""
    return isinstance(obj, (UntypedStorage, TypedStorage))


def _typed_class(name: str, dtype: DType) -> type:
    return type(
        name,
        (TypedStorage,),
        {"dtype": dtype, "__module__": "flambeau", "__doc__": f"A storage of {dtype.name}."},
    )


#: PyTorch's old classes of storages by element type
CLASSES = {
    f"{name}Storage": _typed_class(f"{name}Storage", kind)
    for name, kind in {
        "Float": types.float32, "Double": types.float64, "Half": types.float16, "BFloat16": types.bfloat16,
        "Long": types.int64, "Int": types.int32, "Short": types.int16, "Char": types.int8, "Byte": types.uint8,
        "Bool": types.bool_, "ComplexFloat": types.complex64, "ComplexDouble": types.complex128,
    }.items()
}  # fmt: skip
globals().update(CLASSES)
