"""Process-wide choices about saving and loading, under PyTorch's names."""

from __future__ import annotations

import mmap as _mmap
import threading
from enum import Enum


class LoadEndianness(Enum):
    """Byte order of files that do not say theirs (PyTorch before 2.1 wrote such files)."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


class _Choices:
    load_endianness: LoadEndianness | None = None
    checksums = True
    mmap_flags: int = getattr(_mmap, "MAP_PRIVATE", 0)


class _OfThread(threading.local):
    skip_data = False


_of_thread = _OfThread()


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order assumed for files that do not say theirs; None means little."""
    return _Choices.load_endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Assume this byte order for files that do not say theirs.

    Raises: TypeError for anything but a `LoadEndianness` or None.
    """
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    _Choices.load_endianness = endianness


def get_crc32_options() -> bool:
    """Whether `save` records a checksum of everything that it writes."""
    return _Choices.checksums


def set_crc32_options(compute_crc32: bool) -> None:
    """Record checksums (the default) or not. Without them damage is not noticed, and ``unzip`` complains."""
    _Choices.checksums = compute_crc32


def get_default_mmap_options() -> int | None:
    """How ``load(..., mmap=True)`` maps files: ``mmap.MAP_PRIVATE`` (writes stay in memory) or ``MAP_SHARED``."""
    return _Choices.mmap_flags


class set_default_mmap_options:
    """Choose how files are mapped, for good or for the length of a ``with`` block.

    Args:
        flags: ``mmap.MAP_PRIVATE`` or ``mmap.MAP_SHARED`` (then writes to a loaded tensor change the file).
    """

    def __init__(self, flags: int) -> None:
        known = {getattr(_mmap, name, None) for name in ("MAP_PRIVATE", "MAP_SHARED")}
        if flags not in known or flags is None:
            raise ValueError(
                "Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE or "
                f"mmap.MAP_SHARED, but got {flags}"
            )
        self.prev, _Choices.mmap_flags = _Choices.mmap_flags, flags

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        _Choices.mmap_flags = self.prev


class skip_data:
    """Within this block `save` leaves room for the storages without writing them, and `load` does not read them.

    A checkpoint's bytes can then be written or read by other means. Tensors loaded so hold arbitrary numbers.

    Args:
        materialize_fake_tensors: accepted for PyTorch's signature; there are no fake tensors here.
    """

    def __init__(self, materialize_fake_tensors: bool = False) -> None:
        self.materialize_fake_tensors = materialize_fake_tensors

    def __enter__(self) -> None:
        self._before = _of_thread.skip_data
        _of_thread.skip_data = True

    def __exit__(self, kind, error, trace) -> None:
        _of_thread.skip_data = self._before


def data_is_skipped() -> bool:
    """Whether this thread is inside a `skip_data` block."""
    return _of_thread.skip_data
