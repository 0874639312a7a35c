"""Reads the zip archive around a saved object. Every offset and size is checked before it is used."""

from __future__ import annotations

import io
import os
import struct
import zlib
from typing import Any, NamedTuple

_DAMAGED = (
    "PytorchStreamReader failed reading zip archive: {}. The file is damaged: it was cut off while it was "
    "saved or moved, or changed since."
)
_ENTRY = struct.Struct("<IHHHHHHIIIHHHHHII")
_LOCAL = struct.Struct("<IHHHIIIIHH")
_END = struct.Struct("<IHHHHIIH")
_WIDE_END = struct.Struct("<IQHHIIQQQQ")
_WIDE_LOCATOR = struct.Struct("<IIQI")
_MOST_UNPACKED = 8  # times the size of the file: what all records together may hold
_PIECE = 1 << 20


class ByteSource:
    """Random access to the bytes of an open binary file from its current position on."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.start = file.tell()
        file.seek(0, os.SEEK_END)
        self.size = file.tell() - self.start
        file.seek(self.start)

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes, or fewer at the end of the file."""
        self.file.seek(self.start + offset)
        parts, missing = [], min(count, max(0, self.size - offset))
        while missing:
            part = self.file.read(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def fill(self, offset: int, target: memoryview, checksum: bool) -> int:
        """Fill `target` from `offset` on and give the checksum (0 when it is not asked for)."""
        from flambeau.backend.cpu.checksum import crc32

        self.file.seek(self.start + offset)
        read_into, done, total = getattr(self.file, "readinto", None), 0, 0
        piece = _PIECE if checksum else len(target)
        while done < len(target):
            part = target[done : done + piece]
            if read_into is not None:
                count = read_into(part) or 0
            else:
                data = self.file.read(len(part))
                count = len(data)
                part[:count] = data
            if count <= 0:
                raise RuntimeError("it is cut off")
            total = crc32(part[:count], total) if checksum else 0
            done += count
        return total


class Record(NamedTuple):
    """What the archive's directory says of one record."""

    offset: int  # of the local header
    method: int
    flags: int
    checksum: int
    packed: int
    size: int
    checksum_at: int  # where the directory has the checksum


class ZipReader:
    """The records of an archive by their name inside its folder."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self._directory_at, size, count = _find_directory(source)
        data = source.read(self._directory_at, size)
        self.records: dict[str, Record] = {}
        self.folder = ""
        self._parse(data, count)
        self._left = _MOST_UNPACKED * source.size

    def _parse(self, data: bytes, count: int) -> None:
        at = 0
        for number in range(count):
            if at + _ENTRY.size > len(data):
                raise RuntimeError(_DAMAGED.format("its directory is cut off"))
            entry = _ENTRY.unpack_from(data, at)
            name_at, checksum_at = at + _ENTRY.size, self._directory_at + at + 16
            extra_at = name_at + entry[10]
            at = extra_at + entry[11] + entry[12]
            if entry[0] != 0x02014B50 or at > len(data):
                raise RuntimeError(_DAMAGED.format("invalid directory entry"))
            name = data[name_at:extra_at].decode("utf-8", "replace")
            folder, _, inner = name.partition("/")
            if number == 0:
                self.folder = folder
            if folder != self.folder:
                continue
            if inner in self.records:
                raise RuntimeError(_DAMAGED.format(f"it holds {name!r} twice"))
            packed, size, offset = entry[8], entry[9], entry[16]
            if 0xFFFFFFFF in (packed, size, offset):
                size, packed, offset = _wide_numbers(
                    data[extra_at : extra_at + entry[11]], size, packed, offset
                )
            self.records[inner] = Record(offset, entry[4], entry[3], entry[7], packed, size, checksum_at)

    def __contains__(self, name: str) -> bool:
        return name in self.records

    def find(self, name: str) -> Record:
        """What the directory says of a record."""
        found = self.records.get(name)
        if found is None:
            raise RuntimeError(f"PytorchStreamReader failed locating file {name}: file not found")
        return found

    def place(self, name: str) -> int:
        """Where the content of a record starts; all of it lies inside the file."""
        record = self.find(name)
        start = 0
        if record.offset + _LOCAL.size <= self._directory_at:
            header = _LOCAL.unpack(self.source.read(record.offset, _LOCAL.size))
            if header[0] == 0x04034B50:
                start = record.offset + _LOCAL.size + header[8] + header[9]
        if not start or start + record.packed > self._directory_at:
            raise _failed(name, "it lies outside the file")
        if record.flags & 1:
            raise _failed(name, "it is encrypted")
        if record.method not in (0, 8) or (record.method == 0 and record.packed != record.size):
            raise _failed(name, "its size or its compression is not known")
        if record.size > self._left:
            raise _failed(name, f"the file unpacks to more than {_MOST_UNPACKED} times its size")
        return start

    def take(self, name: str) -> int:
        """`place`, counting the record towards what all records together may unpack to."""
        start = self.place(name)
        self._left -= self.records[name].size
        return start

    def read(self, name: str) -> bytes:
        """The whole content of a record."""
        start, record = self.take(name), self.find(name)
        if record.method == 0:
            content = self.source.read(start, record.size)
        else:
            content = _unpack(name, self.source.read(start, record.packed), record.size)
        _check(name, record, len(content), zlib.crc32(content))
        return content

    def read_into(self, name: str, target: memoryview, checksum: bool = True) -> None:
        """Fill `target`, which is as long as the record, with its content, and compare the checksum."""
        start, record = self.take(name), self.find(name)
        checksum = checksum and record.checksum != 0
        if record.method == 0:
            try:
                total = self.source.fill(start, target, checksum)
            except (OSError, RuntimeError, ValueError) as error:
                raise _failed(name, error) from None
            _check(name, record, len(target), total if checksum else record.checksum)
        else:
            content = _unpack(name, self.source.read(start, record.packed), record.size)
            _check(name, record, len(content), zlib.crc32(content))
            target[:] = content


def _find_directory(source: ByteSource) -> tuple[int, int, int]:
    """Offset, size and number of entries of the archive's directory."""
    tail_at = max(0, source.size - (0xFFFF + _END.size))
    tail = source.read(tail_at, source.size - tail_at)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        raise RuntimeError(_DAMAGED.format("failed finding central directory"))
    _, disk, first_disk, _, count, size, offset, comment = _END.unpack_from(tail, at)
    end = tail_at + at
    if at + _END.size + comment > len(tail) or disk or first_disk:
        raise RuntimeError(_DAMAGED.format("failed finding central directory"))
    if count == 0xFFFF or 0xFFFFFFFF in (size, offset):
        count, size, offset = _wide_directory(source, end)
    if offset + size > end or count * _ENTRY.size > size or not count:
        raise RuntimeError(_DAMAGED.format("its directory lies outside the file"))
    return offset, size, count


def _wide_directory(source: ByteSource, end: int) -> tuple[int, int, int]:
    """The same numbers from the record for large archives, which stands before the end record."""
    locator = source.read(max(0, end - _WIDE_LOCATOR.size), _WIDE_LOCATOR.size)
    if len(locator) == _WIDE_LOCATOR.size and locator.startswith(b"PK\6\7"):
        place = _WIDE_LOCATOR.unpack(locator)[2]
        record = source.read(place, _WIDE_END.size) if place < source.size else b""
        if len(record) == _WIDE_END.size and record.startswith(b"PK\6\6"):
            numbers = _WIDE_END.unpack(record)
            return numbers[7], numbers[8], numbers[9]
    raise RuntimeError(_DAMAGED.format("failed finding central directory"))


def _wide_numbers(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Size, packed size and offset, of which those that fill 32 bits stand in the extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        body = extra[at + 4 : at + 4 + length]
        if kind == 1:
            numbers = [n for (n,) in struct.iter_unpack("<Q", body[: len(body) // 8 * 8])]
            wide = [numbers.pop(0) if n == 0xFFFFFFFF and numbers else n for n in (size, packed, offset)]
            return wide[0], wide[1], wide[2]
        at += 4 + length
    return size, packed, offset


def _unpack(name: str, packed: bytes, size: int) -> bytes:
    """Content of a compressed record; at most the size that the directory states is ever made."""
    try:
        engine = zlib.decompressobj(-15)
        content = engine.decompress(packed, size + 1)
    except zlib.error as error:
        raise _failed(name, error) from None
    return content


def _check(name: str, record: Record, size: int, checksum: int) -> None:
    if size != record.size:
        raise _failed(name, f"it has {size} bytes, the directory says {record.size}")
    if record.checksum and checksum != record.checksum:  # 0: the writer was told to take no checksums
        raise _failed(name, "Bad CRC-32: its content changed after it was saved")


def _failed(name: str, reason) -> RuntimeError:
    return RuntimeError(f"PytorchStreamReader failed reading file {name}: {reason}")


def open_binary(f: Any) -> tuple[Any, bool]:
    """An open file for a path or for a seekable file object, and whether the caller has to close it."""
    if isinstance(f, (str, os.PathLike)):
        return open(f, "rb", buffering=0), True
    for name in ("seek", "read"):
        if not hasattr(f, name):
            raise AttributeError(
                f"'{type(f).__name__}' object has no attribute '{name}'. You can only torch.load from a file "
                "that is seekable. Please pre-load the data into a buffer like io.BytesIO and try to load from "
                "it instead."
            )
    try:
        f.seek(f.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        raise type(error)(
            f"{error}. You can only torch.load from a file that is seekable. Please pre-load the data into a "
            "buffer like io.BytesIO and try to load from it instead."
        ) from None
    return f, False
