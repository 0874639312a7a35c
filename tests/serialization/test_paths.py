"""Where files are written and read: a path holds the old file or the new one, whatever happens."""

from __future__ import annotations

import io
import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import flambeau as torch
from flambeau.serialization import replacing, zip_writer


def test_paths_of_every_kind(tmp_path):
    for path in (tmp_path / "a.pt", str(tmp_path / "b.pt"), tmp_path / ("x" * 200 + ".pt")):
        torch.save({"a": torch.ones(3)}, path)
        assert torch.load(path)["a"].tolist() == [1.0] * 3
        with open(path, "rb") as file:
            assert torch.load(file)["a"].tolist() == [1.0] * 3


def test_a_file_object_is_read_from_its_position():
    buffer = io.BytesIO()
    buffer.write(b"before")
    torch.save([1, torch.ones(2)], buffer)
    buffer.seek(6)
    assert torch.load(buffer)[1].tolist() == [1.0, 1.0]


def test_errors_name_the_place(tmp_path):
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "missing.pt")
    with pytest.raises(IsADirectoryError):
        torch.load(tmp_path)
    with pytest.raises(RuntimeError, match=r"^File .* cannot be opened: Is a directory"):
        torch.save(1, tmp_path)
    with pytest.raises(RuntimeError, match=r"^Parent directory .*missing does not exist\."):
        torch.save(1, tmp_path / "missing" / "a.pt")
    with pytest.raises(AttributeError, match="expected 'f' to be string, path, or a file-like object"):
        torch.save(1, 5)
    with pytest.raises(AttributeError, match="'int' object has no attribute 'seek'"):
        torch.load(5)


def test_a_folder_that_takes_no_files(tmp_path, monkeypatch):
    def refuse(path, flags, *rest, **options):
        raise PermissionError(13, "Permission denied", path)

    path = tmp_path / "model.pt"
    torch.save([1], path)
    monkeypatch.setattr(replacing.os, "open", refuse)
    torch.save([2], path)  # the file itself may be written
    assert torch.load(path) == [2]
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(RuntimeError, match=r"cannot be opened: Permission denied"):
        torch.save([3], tmp_path / "other.pt")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["model.pt"]


def test_a_stream_that_cannot_seek():
    class Pipe:
        def __init__(self):
            self.parts = []

        def write(self, data):
            self.parts.append(bytes(data))
            return len(data)

        def read(self, count=-1):
            return b""

        def tell(self):
            raise io.UnsupportedOperation("tell")

        seek = tell

    pipe = Pipe()
    torch.save({"a": torch.ones(3)}, pipe)
    assert torch.load(io.BytesIO(b"".join(pipe.parts)))["a"].tolist() == [1.0] * 3
    with pytest.raises(
        io.UnsupportedOperation, match=r"You can only torch.load from a file that is seekable"
    ):
        torch.load(pipe)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.pt"
    torch.save([1], path)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        torch.save([torch.ones(3), lambda: 0], path)
    assert torch.load(path) == [1]
    assert os.listdir(tmp_path) == ["model.pt"]


@pytest.mark.parametrize("after", [0, 1, 3, 8, 15])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, after):
    path = tmp_path / "model.pt"
    torch.save([1], path)
    written, put = [0], zip_writer.ZipWriter._put

    def full(self, data):
        if written[0] == after:
            raise OSError(28, "No space left on device")
        written[0] += 1
        return put(self, data)

    monkeypatch.setattr(zip_writer.ZipWriter, "_put", full)
    with pytest.raises(OSError, match="No space left"):
        torch.save([2, torch.ones(5)], path)
    monkeypatch.undo()
    assert torch.load(path) == [1]
    assert os.listdir(tmp_path) == ["model.pt"]


_KILLED = """
import os, signal, sys
import flambeau as torch
from flambeau.serialization import zip_writer
put, count = zip_writer.ZipWriter._put, [0]
def dying(self, data):
    count[0] += 1
    if count[0] == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return put(self, data)
zip_writer.ZipWriter._put = dying
torch.save([2, torch.ones(1000)], sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
@pytest.mark.parametrize("after", [2, 20])
def test_a_killed_process_leaves_the_old_file(tmp_path, after):
    path = tmp_path / "model.pt"
    torch.save([1], path)
    root = str(Path(torch.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "FLAMBEAU_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _KILLED, str(path), str(after)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert torch.load(path) == [1]


def test_a_saved_file_keeps_permissions_and_links(tmp_path):
    path, link = tmp_path / "model.pt", tmp_path / "latest.pt"
    torch.save([1], path)
    os.chmod(path, 0o640)
    link.symlink_to(path)
    torch.save([2], link)
    assert link.is_symlink()
    assert torch.load(path) == [2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_threads_save_to_one_path(tmp_path):
    path = tmp_path / "model.pt"
    values = [torch.full((1000,), float(i)) for i in range(4)]
    workers = [threading.Thread(target=torch.save, args=(value, path)) for value in values]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert any(torch.equal(torch.load(path), value) for value in values)
    assert os.listdir(tmp_path) == ["model.pt"]
