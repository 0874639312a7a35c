"""Writes the zip archive around a saved object: one pass, no compression, every record on a 64-byte boundary.

The layout is byte for byte the one that PyTorch computes offsets from (``.format_version`` 1): a local header
without sizes, padding in an extra field named ``FB``, the content, then a data descriptor with checksum and size.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from flambeau.serialization.replacing import Replacement

ALIGNMENT = 64
_FLAGS = 0x0800  # names are UTF-8
_DESCRIPTOR_FOLLOWS = 0x0008
_LIMIT = 0xFFFFFFFF  # from here on a size or an offset needs 64 bits
_PIECE = 1 << 20  # bytes whose checksum is taken while they are still in the cache


class ZipWriter:
    """Context manager that writes an archive to a path or to an object with a `write` method.

    A path is replaced atomically (see `Replacement`); an object is written from its current position, in order.
    """

    def __init__(self, target, *, byte_order_record: bool = True, checksums: bool = True) -> None:
        self._byte_order_record, self._checksums = byte_order_record, checksums
        self._replacement: Replacement | None = None
        self._folder = "archive"
        self._write: Callable
        if isinstance(target, (str, os.PathLike)):
            self._replacement = Replacement(target)
            self._folder = Path(os.fspath(target)).stem or "archive"
        elif hasattr(target, "write"):
            self._write = target.write
        else:
            raise AttributeError(
                "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
            )
        self._position = 0
        self._directory: list[bytes] = []

    def __enter__(self) -> ZipWriter:
        if self._replacement is not None:
            self._write = self._replacement.__enter__().write
        return self

    def record(self, name: str, content) -> None:
        """Add a record; `content` is anything with the buffer interface."""
        view = memoryview(content).cast("B") if memoryview(content).nbytes else memoryview(b"")
        full = f"{self._folder}/{name}".encode()
        offset, size = self._position, view.nbytes
        flags = _FLAGS | (_DESCRIPTOR_FOLLOWS if size else 0)
        wide = size >= _LIMIT or offset >= _LIMIT
        known = _LIMIT if wide else 0
        extra = _wide_extra(size, offset) if wide else b""
        header = struct.pack(
            "<IHHHIIIIHH",
            0x04034B50, 0, flags, 0, 0, 0, known, known, len(full), 0,
        )  # fmt: skip
        start = offset + len(header) + len(full) + len(extra) + 4
        padding = ALIGNMENT - start % ALIGNMENT
        extra += b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
        self._put(header[:-2] + len(extra).to_bytes(2, "little") + full + extra)
        checksum = self._put_content(view)
        if size:
            self._put(struct.pack("<IIQQ" if wide else "<IIII", 0x08074B50, checksum, size, size))
        self._directory.append(_directory_entry(full, flags, checksum, size, offset))

    def _put(self, data) -> None:
        """Write all of `data`; an unbuffered file may take less than it was given."""
        view = memoryview(data)
        while view.nbytes:
            count = self._write(view)
            count = view.nbytes if not isinstance(count, int) else count
            if count <= 0:
                raise OSError("the file takes no more bytes")
            self._position += count
            view = view[count:]

    def _put_content(self, view: memoryview) -> int:
        from flambeau.backend.cpu.checksum import crc32

        checksum = 0
        for at in range(0, view.nbytes, _PIECE):
            piece = view[at : at + _PIECE]
            if self._checksums:
                checksum = crc32(piece, checksum)
            self._put(piece)
        return checksum

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            try:
                self._finish()
            except BaseException:
                if self._replacement is not None:
                    self._replacement.__exit__(*sys.exc_info())
                raise
        if self._replacement is not None:
            self._replacement.__exit__(kind, error, trace)

    def describe(self) -> None:
        """The records that say how the others are laid out; they stand before the storages."""
        self.record(".format_version", b"1")
        self.record(".storage_alignment", str(ALIGNMENT).encode())
        if self._byte_order_record:
            self.record("byteorder", sys.byteorder.encode())

    def _finish(self) -> None:
        self.record("version", b"3\n")
        start = self._position
        for entry in self._directory:
            self._put(entry)
        count, size = len(self._directory), self._position - start
        wide_at = self._position
        self._put(struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 798, 45, 0, 0, count, count, size, start))
        self._put(struct.pack("<IIQI", 0x07064B50, 0, wide_at, 1))
        count, size, start = min(count, 0xFFFF), min(size, _LIMIT), min(start, _LIMIT)
        self._put(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, size, start, 0))


def _wide_extra(size: int, offset: int) -> bytes:
    """The extra field with the numbers that do not fit into 32 bits."""
    numbers = [size, size] if size >= _LIMIT else []
    numbers += [offset] if offset >= _LIMIT else []
    return struct.pack(f"<HH{len(numbers)}Q", 1, 8 * len(numbers), *numbers)


def _directory_entry(name: bytes, flags: int, checksum: int, size: int, offset: int) -> bytes:
    extra = _wide_extra(size, offset) if size >= _LIMIT or offset >= _LIMIT else b""
    shown = min(size, _LIMIT)
    numbers = (flags, 0, 0, 0, checksum, shown, shown, len(name), len(extra), 0, 0, 0, 0, min(offset, _LIMIT))
    return struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 0, 0, *numbers) + name + extra
