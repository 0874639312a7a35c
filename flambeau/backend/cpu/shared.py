"""Memory that several processes see: files without a name, mapped by each process.

Such a file lives as long as someone holds its descriptor or a mapping of it, so however a process ends, nothing is
left behind. It is not bound by the size of ``/dev/shm`` either.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from typing import Any

#: whether this system has files without a name that processes can hand on
AVAILABLE = sys.platform != "win32"
_POPULATE = getattr(mmap, "MAP_POPULATE", 0)
#: mappings are filled with pages at once up to this size; beyond, only what is touched costs memory
_POPULATED = 256 << 20
_FAILED = ctypes.c_void_p(-1).value
_library: Any = None


def _system() -> Any:
    """`mmap` and `munmap` of the C library: Python's own would hold a descriptor for every mapping."""
    global _library
    if _library is None:
        library = ctypes.CDLL(None, use_errno=True)
        library.mmap.restype = ctypes.c_void_p
        library.mmap.argtypes = (
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
        )  # fmt: skip
        library.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
        _library = library
    return _library


def nameless_file(nbytes: int) -> int:
    """The descriptor of a new file of zeros in memory that no name leads to."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("flambeau", os.MFD_CLOEXEC)
    else:
        import _posixshmem  # type: ignore[import-not-found]

        name = f"/flambeau-{os.getpid()}-{os.urandom(6).hex()}"
        descriptor = _posixshmem.shm_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode=0o600)
        _posixshmem.shm_unlink(name)
    try:
        os.ftruncate(descriptor, nbytes)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Mapping:
    """The bytes of a file, mapped for reading and writing until the object goes.

    Raises:
        OSError: the system has no room for the mapping.
    """

    __slots__ = ("address", "nbytes", "__weakref__")

    def __init__(self, descriptor: int, nbytes: int) -> None:
        self.address: int | None = None
        self.nbytes = nbytes
        flags = mmap.MAP_SHARED | (_POPULATE if nbytes <= _POPULATED else 0)
        place = _system().mmap(None, nbytes, mmap.PROT_READ | mmap.PROT_WRITE, flags, descriptor, 0)
        if place == _FAILED or place is None:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot map {nbytes} bytes of shared memory: {os.strerror(number)}")
        self.address = place

    def __del__(self) -> None:
        if self.address is not None and _library is not None:
            _library.munmap(self.address, self.nbytes)
            self.address = None


def _runtime() -> Any:
    from . import runtime  # loads native code: only when there is memory to speak of

    return runtime


class SharedOwner:
    """Marks what keeps shared bytes alive."""

    __slots__ = ()


class SharedBlock(SharedOwner):
    """Shared memory with the descriptor that leads to it: what tensors in `share_memory_` lie in."""

    __slots__ = ("descriptor", "mapping", "nbytes", "replaced", "__weakref__")

    def __init__(self, nbytes: int, descriptor: int | None = None) -> None:
        self.nbytes = nbytes
        self.replaced: Any = None
        self.descriptor = nameless_file(max(nbytes, 1)) if descriptor is None else descriptor
        try:
            self.mapping = Mapping(self.descriptor, max(nbytes, 1))
        except OSError:
            os.close(self.descriptor)
            self.descriptor = -1
            raise

    @property
    def address(self) -> int:
        """Address of the first byte in this process."""
        return self.mapping.address or 0

    def __del__(self) -> None:
        if getattr(self, "descriptor", -1) >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def owner_of(memory: Any) -> Any:
    """The object that keeps foreign bytes alive; None for memory of the pool."""
    runtime = _runtime()
    if runtime.word(memory, 3) >= 0:
        return None
    owner = ctypes.cast(runtime.word(memory, 4), ctypes.py_object).value
    # a handle on the same bytes with a count of writes of its own
    return owner_of(owner) if type(owner) is type(memory) else owner


def block_of(memory: Any) -> SharedBlock | None:
    """The shared block that memory lies in, or None."""
    owner = None if memory is None else owner_of(memory)
    return owner if isinstance(owner, SharedBlock) else None


def is_shared(memory: Any) -> bool:
    """Whether other processes may see the bytes."""
    return memory is not None and isinstance(owner_of(memory), SharedOwner)


def memory_of(block: SharedBlock) -> Any:
    """A handle on a block's bytes, for a tensor."""
    return _runtime().wrap(block.address, block.nbytes, block)


def move(memory: Any) -> SharedBlock:
    """Make the bytes of `memory` shared; every tensor over it sees the shared ones from now on."""
    found = block_of(memory)
    if found is not None:
        return found
    runtime = _runtime()
    nbytes = runtime.nbytes(memory)
    block = SharedBlock(nbytes)
    ctypes.memmove(block.address, runtime.address(memory), nbytes)
    fresh = memory_of(block)
    runtime.set_version(fresh, runtime.word(memory, 2))
    api = ctypes.pythonapi
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    api.PyCapsule_SetPointer.argtypes = (ctypes.py_object, ctypes.c_void_p)
    old, new = api.PyCapsule_GetPointer(memory, None), api.PyCapsule_GetPointer(fresh, None)
    api.PyCapsule_SetPointer(memory, new)
    api.PyCapsule_SetPointer(fresh, old)
    # NumPy arrays made before still read the old bytes: they live as long as the new ones.
    block.replaced = fresh
    return block
