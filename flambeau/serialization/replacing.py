"""Files that appear complete or not at all: written beside their place, then moved there."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import IO


class Replacement:
    """Context manager over a new file that takes the place of `path` when the block ends without an error.

    The old file stays until the new one is complete and on the disk, so a crash at any moment leaves one of
    the two. A symbolic link keeps pointing at its file, and the file keeps its permissions. What cannot be
    replaced (a pipe, a device, a file in a folder that takes no new files) is written in place.

    Raises: RuntimeError when the parent folder does not exist or the file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._given = Path(os.fspath(path))
        if not self._given.parent.is_dir():
            raise RuntimeError(f"Parent directory {self._given.parent} does not exist.")
        self._final = self._given.resolve()
        self._temporary: Path | None = None

    def __enter__(self) -> IO[bytes]:
        mode = _mode(self._final)
        if (mode is None or stat.S_ISREG(mode)) and self._open_beside(mode):
            return self._file
        try:
            self._file = open(self._final, "wb", buffering=0)
        except OSError as error:
            raise self._cannot(error) from error
        return self._file

    def _open_beside(self, mode: int | None) -> bool:
        """Open the temporary file; False when the folder takes no new files."""
        beside = self._final.with_name(f".{self._final.name[:80]}.{secrets.token_hex(6)}.tmp")
        try:
            descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        except PermissionError:
            return False  # the file itself may be writable all the same
        except OSError as error:
            raise self._cannot(error) from error
        self._temporary = beside
        self._file: IO[bytes] = os.fdopen(descriptor, "w+b", buffering=0)
        if mode is not None:
            os.chmod(beside, stat.S_IMODE(mode))
        return True

    def _cannot(self, error: OSError) -> RuntimeError:
        return RuntimeError(
            f"File {self._given} cannot be opened: {error.strerror}\n"
            "  fix   save to a file in a folder that you may write to"
        )

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None and self._temporary is not None:
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
            if self._temporary is not None and kind is not None:
                self._temporary.unlink(missing_ok=True)
        if kind is None and self._temporary is not None:
            try:
                os.replace(self._temporary, self._final)
            finally:
                self._temporary.unlink(missing_ok=True)
            _sync_folder(self._final.parent)


_BINARY = getattr(os, "O_BINARY", 0)


def _mode(path: Path) -> int | None:
    """The kind and permission bits of a file, or None where there is none."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk too, where the system can."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
