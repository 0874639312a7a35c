"""The zip archive around a saved object: records without compression, storages on 64-byte boundaries."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import secrets
import stat
import sys
import zipfile
from pathlib import Path
from typing import cast

_ALIGNMENT = 64
_LOCAL_HEADER = 30  # bytes before the name in a zip local header
_ZIP64_EXTRA = 20  # bytes that zipfile adds to the local header of a record above 2 GiB
_LARGE = zipfile.ZIP64_LIMIT


class Writer:
    """Context manager that writes an archive to a path or a writable object; failure leaves no file."""

    def __init__(self, target, *, byte_order_record: bool = True) -> None:
        self._byte_order_record = byte_order_record
        self._temporary: Path | None = None
        if isinstance(target, (str, os.PathLike)):
            self._open_path(Path(os.fspath(target)))
        elif hasattr(target, "write"):
            self._final, self._folder, self._file = None, "archive", target
        else:
            raise AttributeError(
                "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
            )

    def _open_path(self, path: Path) -> None:
        """Open the file under a temporary name in the same folder, or itself where it cannot be replaced."""
        if not path.parent.is_dir():
            raise RuntimeError(f"Parent directory {path.parent} does not exist.")
        self._folder = path.stem or "archive"
        self._final = path.resolve()  # a symbolic link keeps pointing at its file
        mode = _mode(self._final)
        if mode is None or stat.S_ISREG(mode):
            temporary = self._final.with_name(f".{self._final.name}.{secrets.token_hex(6)}.tmp")
            try:
                descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            except PermissionError:
                pass  # the folder cannot take a new file, but the file itself may be writable
            else:
                if mode is not None:
                    os.chmod(temporary, stat.S_IMODE(mode))
                self._temporary = temporary
                self._file = os.fdopen(descriptor, "w+b")
                return
        self._file = open(self._final, "wb")  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> Writer:
        # A stream that cannot seek would get records of unknown length, which PyTorch does not read.
        self._seekable = bool(getattr(self._file, "seekable", lambda: False)())
        self._sink = self._file if self._seekable else io.BytesIO()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED, allowZip64=True)
        return self

    def record(self, name: str, content, *, align: bool = False) -> None:
        """Add a record; `content` is bytes or anything with the buffer interface."""
        info = zipfile.ZipInfo(f"{self._folder}/{name}")
        size = memoryview(content).nbytes
        large = size * 1.05 > _LARGE  # zipfile's own rule for adding its extra field
        if align:
            start = self._sink.tell() + _LOCAL_HEADER + len(info.filename.encode()) + large * _ZIP64_EXTRA + 4
            padding = -start % _ALIGNMENT
            info.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
        info.file_size = size
        with self._zip.open(info, "w", force_zip64=large) as record:
            record.write(content)

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None:
                self._finish()
            else:
                with contextlib.suppress(
                    OSError, ValueError
                ):  # the error on its way out is the one to report
                    self._zip.close()
        finally:
            if self._final is not None:
                self._file.close()
            if self._temporary is not None:
                self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        self.record(".format_version", b"1")
        self.record(".storage_alignment", str(_ALIGNMENT).encode())
        if self._byte_order_record:
            self.record("byteorder", sys.byteorder.encode())
        self.record("version", b"3\n")
        self._zip.close()
        if not self._seekable:
            self._file.write(self._sink.getvalue())
        if self._temporary is not None:
            self._file.close()
            os.replace(self._temporary, self._final)


class Reader:
    """Context manager over an archive in a path or a seekable object."""

    def __init__(self, source) -> None:
        self._own = isinstance(source, (str, os.PathLike))
        if self._own:
            self._file = open(source, "rb")  # noqa: SIM115 (closed by __exit__)
        elif hasattr(source, "seek") and hasattr(source, "read"):
            self._file = source
        else:
            missing = next(name for name in ("seek", "read") if not hasattr(source, name))
            raise AttributeError(
                f"'{type(source).__name__}' object has no attribute '{missing}'. You can only torch.load "
                "from a file that is seekable. Please pre-load the data into a buffer like io.BytesIO and "
                "try to load from it instead."
            )

    def __enter__(self) -> Reader:
        try:
            self._zip = _open_zip(self._file)
            self._folder = self._zip.namelist()[0].split("/", 1)[0]
            self.read("data.pkl")
            self.big_endian = self._has("byteorder") and self.read("byteorder").strip() == b"big"
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, error, trace) -> None:
        if self._own:
            self._file.close()

    def read(self, name: str) -> bytes:
        """The whole content of a record."""
        content = bytearray(self.size(name))
        self.read_into(name, content)
        return bytes(content)

    def size(self, name: str) -> int:
        """The number of bytes in a record."""
        return self._info(name).file_size

    def read_into(self, name: str, target) -> None:
        """Fill the buffer `target`, which is as long as the record, with its content, and check its sum."""
        view = memoryview(target)
        try:
            with cast(io.BufferedIOBase, self._zip.open(self._info(name))) as record:
                done = 0
                while done < len(view):
                    count = record.readinto(view[done:])
                    if not count:
                        raise EOFError
                    done += count
                record.read(1)  # the checksum is compared where the record ends
        except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as error:
            reason = error or "it is cut off"
            raise RuntimeError(f"PytorchStreamReader failed reading file {name}: {reason}") from None

    def _has(self, name: str) -> bool:
        return f"{self._folder}/{name}" in self._zip.NameToInfo

    def _info(self, name: str) -> zipfile.ZipInfo:
        if not self._has(name):
            raise RuntimeError(f"PytorchStreamReader failed locating file {name}: file not found")
        return self._zip.NameToInfo[f"{self._folder}/{name}"]


def _open_zip(file) -> zipfile.ZipFile:
    start = file.tell()
    head = file.read(4)
    file.seek(start)
    if not head:
        raise EOFError("Ran out of input")
    if head != b"PK\x03\x04":
        raise pickle.UnpicklingError(
            "Weights only load failed. The file is not in PyTorch's zip format.\n"
            "  fix   a file of PyTorch 1.5 or older must be saved once more with a newer PyTorch"
        )
    try:
        opened = zipfile.ZipFile(file)
        if opened.namelist():
            return opened
    except (zipfile.BadZipFile, ValueError, OSError):
        pass
    raise RuntimeError(
        "PytorchStreamReader failed reading zip archive: failed finding central directory. The file is "
        "damaged: it was cut off while it was saved or moved, or changed since."
    )


def _mode(path: Path) -> int | None:
    """The kind and permission bits of a file, or None where there is none."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
