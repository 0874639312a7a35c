"""How a batch travels from a worker to the process that asked for it.

A worker writes the elements of tensors (of NumPy arrays too, and long texts) into *blocks* of shared memory that both
processes map once; only a short message goes through the pipe. The receiver's tensors lie in the block itself. When
the last of them is gone, the receiver returns the block with its next request, and the worker writes into it again: in
a steady run, no memory is mapped or cleared.
"""

from __future__ import annotations

import ctypes
import io
import os
import pickle
import struct
import threading
import weakref
from collections.abc import Iterable
from typing import Any

from flambeau.backend.cpu.shared import AVAILABLE, Mapping, SharedOwner, nameless_file
from flambeau.base.device import cpu
from flambeau.base.dtype import DTYPES
from flambeau.base.layout import contiguous_layout, layout
from flambeau.tensor import dispatch
from flambeau.tensor.autograd import AccumulateGrad
from flambeau.tensor.interop import address, buffer_address, set_requires_grad
from flambeau.tensor.tensor import Tensor, make

__all__ = ["Receiver", "Sender", "current_sender"]

ALIGNMENT = 64
SMALLEST = 64 << 10  # bytes of a block; only pages that are touched cost memory
IN_BLOCK = 1 << 10  # texts and arrays from this size on go into a block, so that no message fills the pipe
IDLE_BLOCKS = 16  # blocks that a worker keeps for reuse
#: blocks in the hands of the program; whoever keeps more batches than that gets copies, so that mappings stay few
LENT_BLOCKS = 64
LEAF_ONLY = (
    "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support crossing "
    "process boundaries.  If you just want to transfer the data, call detach() on the tensor before serializing (e.g., "
    "putting it on the queue)."
)

# A message: task, kind, blocks used, blocks dropped, place of the pickle (block, -1: behind the header), start, length
HEADER = struct.Struct("<qBHHhqq")
USED = struct.Struct(
    "<qq"
)  # a block: number, size if the receiver does not know it yet (its descriptor follows)
DROPPED = struct.Struct("<q")
SPAN = struct.Struct("<hqq")  # bytes in a block: block, start, length


class _Block:
    """A block as the worker sees it. `user` dies when no tensor here lies in it any more."""

    __slots__ = ("number", "mapping", "nbytes", "filled", "user", "announced", "descriptor")

    def __init__(self, number: int, nbytes: int) -> None:
        self.number, self.nbytes, self.filled = number, nbytes, 0
        self.descriptor = nameless_file(nbytes)
        self.mapping = Mapping(self.descriptor, nbytes)
        self.user: Any = lambda: None
        self.announced = False

    def hand_over(self) -> int:
        """The descriptor, for the receiver; whoever calls this closes it."""
        descriptor, self.descriptor, self.announced = self.descriptor, -1, True
        return descriptor

    def __del__(self) -> None:
        if getattr(self, "descriptor", -1) >= 0:
            os.close(self.descriptor)


class _User(SharedOwner):
    """Held by every tensor of this process in a block."""

    __slots__ = ("mapping", "__weakref__")

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping


def capacity_for(nbytes: int) -> int:
    """The size of the block for so many bytes: a power of two, or 1.25, 1.5 or 1.75 of one."""
    wanted = max(nbytes, SMALLEST)
    step = 1 << max((wanted - 1).bit_length() - 3, 0)
    return -(-wanted // step) * step


class Sender:
    """The worker's side: lends out room for tensors, and packs batches into messages."""

    def __init__(self) -> None:
        self._numbers = 0
        self._blocks: dict[int, _Block] = {}
        self._idle: list[_Block] = []
        self._current: list[_Block] = []
        self._dropped: list[int] = []
        self._last_size = 0

    # -- room ----------------------------------------------------------------------------------------------------

    def take_back(self, numbers: Iterable[int]) -> None:
        """The receiver needs these blocks no more."""
        for number in numbers:
            block = self._blocks[number]
            if block.user() is None and len(self._idle) < IDLE_BLOCKS:
                self._idle.append(block)
            else:  # something here still reads it: it is not written again
                self._drop(block)

    def _drop(self, block: _Block) -> None:
        del self._blocks[block.number]
        self._dropped.append(block.number)

    def _open_block(self, nbytes: int) -> _Block:
        """A block with room for `nbytes`, and for as much as the last batch took where that is more."""
        wanted = max(nbytes, self._last_size)
        fitting = [block for block in self._idle if wanted <= block.nbytes <= 4 * capacity_for(wanted)]
        if fitting:
            block = min(fitting, key=lambda b: b.nbytes)
            self._idle.remove(block)
        else:
            if len(self._idle) >= IDLE_BLOCKS // 2:  # sizes have changed: what waits here fits no more
                self._drop(self._idle.pop(0))
            self._numbers += 1
            block = self._blocks[self._numbers] = _Block(self._numbers, capacity_for(wanted))
        block.filled = 0
        block.user = lambda: None
        self._current.append(block)
        return block

    def _place(self, nbytes: int) -> tuple[int, _Block, int]:
        """Which block of this batch, the block, and where in it there is room."""
        index = next((i for i, b in enumerate(self._current) if b.nbytes - b.filled >= nbytes), -1)
        block = self._current[index] if index >= 0 else self._open_block(nbytes)
        index = index if index >= 0 else len(self._current) - 1
        start = block.filled
        block.filled = -(-(start + nbytes) // ALIGNMENT) * ALIGNMENT
        return index, block, start

    def empty(self, where: Any) -> Tensor:
        """A tensor of a layout, not filled, in the memory that this batch will be sent in."""
        _, block, start = self._place(where.extent * where.dtype.itemsize)
        user = block.user()
        if user is None:
            user = _User(block.mapping)
            block.user = weakref.ref(user)
        memory = dispatch.runtime().wrap(
            block.mapping.address + start, where.extent * where.dtype.itemsize, user
        )
        return make(memory, where)

    def write(self, source: int, nbytes: int) -> tuple[int, int]:
        """Copy bytes into a block; which one, and where."""
        index, block, start = self._place(nbytes)
        ctypes.memmove(block.mapping.address + start, source, nbytes)
        return index, start

    def find(self, place: int, nbytes: int) -> tuple[int, int] | None:
        """Which block of this batch an address lies in, and where."""
        for index, block in enumerate(self._current):
            start = place - block.mapping.address
            if 0 <= start <= block.nbytes - nbytes:
                return index, start
        return None

    # -- messages --------------------------------------------------------------------------------------------------

    def pack(self, task: int, kind: int, value: Any) -> tuple[bytes, list[int]]:
        """A message with `value`, and the descriptors that follow it."""
        stream = io.BytesIO()
        pickler = _Pickler(stream, self)
        pickler.dump(value)
        body, spans = stream.getbuffer(), pickler.spans
        tail = b"".join(SPAN.pack(*span) for span in spans)
        block, start, length = -1, 0, len(body)
        if length >= IN_BLOCK and AVAILABLE:
            block, start = self.write(ctypes.addressof(ctypes.c_char.from_buffer(body)), length)
            body = b""
        self._last_size = sum(b.filled for b in self._current)
        used, descriptors = [], []
        for b in self._current:
            used.append(USED.pack(b.number, 0 if b.announced else b.nbytes))
            if not b.announced:
                descriptors.append(b.hand_over())
        dropped, self._dropped = self._dropped, []
        self._current = []
        head = HEADER.pack(task, kind, len(used), len(dropped), block, start, length)
        parts = (head, *used, *(DROPPED.pack(number) for number in dropped), body, tail)
        return b"".join(parts), descriptors

    def discard(self) -> None:
        """Forget what was written for a batch that could not be made or packed."""
        for block in self._current:
            if block.user() is None and block.announced:
                self._idle.append(block)
            elif block.announced:
                self._drop(block)
            else:
                del self._blocks[block.number]
        self._current = []


_here = threading.local()
_sender: Sender | None = None


def current_sender() -> Sender | None:
    """What batches leave this worker through; None outside of workers."""
    return _sender


def set_current_sender(sender: Sender | None) -> None:
    """Let tensors of batches be made where `sender` sends them from."""
    global _sender
    _sender = sender


class _Pickler(pickle.Pickler):
    """Writes tensors as places in blocks."""

    def __init__(self, stream: io.BytesIO, sender: Sender) -> None:
        # The callback must not know the pickler, which would then stay, with the batch, until the next collection.
        spans: list[tuple[int, int, int]] = []

        def stays(buffer: pickle.PickleBuffer) -> bool:
            """Whether the bytes stay in the pickle: not those of large arrays."""
            raw = buffer.raw()
            if raw.nbytes < IN_BLOCK or not AVAILABLE:
                return True
            spans.append((*sender.write(buffer_address(raw), raw.nbytes), raw.nbytes))
            return False

        super().__init__(stream, protocol=5, buffer_callback=stays)
        self.sender, self.spans = sender, spans
        self._copied: dict[int, tuple[int, int, Any]] = {}

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is not Tensor:
            if isinstance(obj, Tensor):
                _check_leaf(obj)
            return NotImplemented
        _check_leaf(obj)
        where = obj._layout
        if obj._memory is None or obj.__dict__ or not AVAILABLE or where.device.type != "cpu":
            return NotImplemented
        index, start, where = self._put(obj, where)
        strides = None if where.contiguous else where.strides
        return _rebuild, (index, start, tuple(where.shape), strides, where.dtype.name, obj._node is not None)

    def _put(self, tensor: Tensor, where: Any) -> tuple[int, int, Any]:
        """Where the tensor's elements are, copied there if need be, and with which strides."""
        nbytes = where.extent * where.dtype.itemsize
        place = address(tensor)
        found = self.sender.find(place, nbytes)
        if found is not None:
            return *found, where
        runtime = dispatch.runtime()
        memory = runtime.address(tensor._memory)
        whole = runtime.nbytes(tensor._memory)
        if memory in self._copied:
            index, start, _ = self._copied[memory]
            return index, start + place - memory, where
        if whole <= 2 * max(nbytes, 256):  # all of it, so that views of one memory stay that
            index, start = self.sender.write(memory, whole)
            self._copied[memory] = (index, start, tensor)
            return index, start + place - memory, where
        if nbytes > 2 * where.nbytes:
            tensor = tensor.detach().contiguous()
            where = contiguous_layout(where.shape, where.dtype, cpu)
            place, nbytes = address(tensor), where.nbytes
        return *self.sender.write(place, nbytes), where


def _check_leaf(tensor: Tensor) -> None:
    if tensor._node is not None and type(tensor._node) is not AccumulateGrad:
        raise RuntimeError(LEAF_ONLY)


# -- the receiver ------------------------------------------------------------------------------------------------------


class _Lease(SharedOwner):
    """Held by the tensors of a batch that lie in a block; returns the block when the last one goes."""

    __slots__ = ("mapping", "number", "returned", "__weakref__")

    def __init__(self, mapping: Mapping, number: int, returned: list[int]) -> None:
        self.mapping, self.number, self.returned = mapping, number, returned

    def __del__(self) -> None:
        self.returned.append(self.number)


class Receiver:
    """The other side of one worker: its blocks as this process maps them."""

    def __init__(self) -> None:
        self._mappings: dict[int, Mapping] = {}
        #: blocks that the worker may write into again; sent to it with the next request
        self.returned: list[int] = []
        self._lent = 0

    def take_returned(self) -> tuple[int, ...]:
        """The numbers of the blocks that came back since the last call."""
        numbers = tuple(self.returned)
        del self.returned[: len(numbers)]
        self._lent -= len(numbers)
        return numbers

    def accept(self, message: bytes, next_descriptor: Any) -> tuple[int, int, Any]:
        """Task, kind and what `open` needs. Maps new blocks, whose descriptors `next_descriptor()` gives."""
        task, kind, used, dropped, block, start, length = HEADER.unpack_from(message)
        at = HEADER.size
        leases = []
        for _ in range(used):
            number, nbytes = USED.unpack_from(message, at)
            at += USED.size
            if nbytes:
                descriptor = next_descriptor()
                try:
                    self._mappings[number] = Mapping(descriptor, nbytes)
                finally:
                    os.close(descriptor)
            leases.append(_Lease(self._mappings[number], number, self.returned))
            self._lent += 1
        for _ in range(dropped):
            self._mappings.pop(DROPPED.unpack_from(message, at)[0], None)
            at += DROPPED.size
        return task, kind, (message, at, block, start, length, leases)

    def open(self, accepted: Any) -> Any:
        """The value of a message."""
        message, at, block, start, length, leases = accepted
        if block < 0:
            body: Any = memoryview(message)[at : at + length]
            at += length
        else:
            body = ctypes.string_at(leases[block].mapping.address + start, length)
        buffers = []
        for offset in range(at, len(message), SPAN.size):
            index, first, nbytes = SPAN.unpack_from(message, offset)
            buffers.append(
                bytearray((ctypes.c_char * nbytes).from_address(leases[index].mapping.address + first))
            )
        _here.leases = leases
        _here.copies = self._lent - len(self.returned) > LENT_BLOCKS
        try:
            return pickle.loads(body, buffers=buffers)
        finally:
            _here.leases = None


def _rebuild(index: int, start: int, shape: tuple, strides: Any, dtype: str, requires_grad: bool) -> Tensor:
    """A tensor of a message that is being opened."""
    kind = DTYPES[dtype]
    where = contiguous_layout(shape, kind, cpu) if strides is None else layout(shape, strides, kind, cpu)
    lease = _here.leases[index]
    runtime = dispatch.runtime()
    nbytes = where.extent * kind.itemsize
    place = lease.mapping.address + start
    if _here.copies:
        memory = runtime.allocate(nbytes)
        ctypes.memmove(runtime.address(memory), place, nbytes)
    else:
        memory = runtime.wrap(place, nbytes, lease)
    made = make(memory, where)
    if requires_grad:
        set_requires_grad(made, True)
    return made
