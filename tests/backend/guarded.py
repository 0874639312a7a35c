"""Arrays between guard pages, to catch kernels that read or write out of bounds."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

from flambeau.backend.cpu import runtime

PAGE = mmap.PAGESIZE
CANARY = 0xA5
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Guarded:
    """Bytes that end exactly before an unreadable page; the bytes before them are canaries."""

    def __init__(self, nbytes: int, align: int = 1):
        room = -(-max(nbytes, 1) // PAGE) * PAGE + PAGE
        self.map = mmap.mmap(-1, room + PAGE)
        view = np.frombuffer(self.map, np.uint8)
        base = view.ctypes.data
        self.start = (room - nbytes) // align * align
        view[:room] = CANARY
        assert _libc.mprotect(base + room, PAGE, 0) == 0
        self.before, self.data = view[: self.start], view[self.start : self.start + nbytes]
        self.after = view[self.start + nbytes : room]
        self.address, self.nbytes = base + self.start, nbytes
        self.memory = runtime.wrap(self.address, max(nbytes, 1), self.map)

    def array(self, shape, dtype) -> np.ndarray:
        return self.data[: int(np.prod(shape)) * np.dtype(dtype).itemsize].view(dtype).reshape(shape)

    def check(self) -> None:
        """Fail if a canary was overwritten."""
        assert (self.before == CANARY).all(), "bytes before the array were written"
        assert (self.after == CANARY).all(), "bytes after the array were written"


def guarded(array: np.ndarray) -> Guarded:
    """A copy of an array between guards."""
    made = Guarded(array.nbytes)
    made.array(array.shape, array.dtype)[...] = array
    return made


def run(schedule, buffers: list[Guarded]) -> None:
    """Run steps on buffers in slots 4, 5, ...; the scratch buffer, the last slot, is guarded too."""
    scratch = Guarded(schedule.scratch_bytes, align=64)
    call = runtime.program([], len(buffers) + 1, schedule.steps)
    arguments = [x for b in [*buffers, scratch] for x in (b.memory, 0)]
    assert call(*arguments) is True
    for one in [*buffers, scratch]:
        one.check()


def to_bfloat16(x: np.ndarray) -> np.ndarray:
    """Bits of the nearest bfloat16."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)
