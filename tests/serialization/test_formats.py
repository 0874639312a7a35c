"""The other ways to store and to read: mapped files, the old format, safetensors, and the options of saving."""

from __future__ import annotations

import io
import json
import mmap as system_mmap
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import flambeau as torch
from flambeau.serialization import load_safetensors, safetensors_metadata, save_safetensors, skip_data
from flambeau.serialization.safetensors import SafetensorsError
from flambeau.utils.serialization import config
from tests.serialization.files import legacy_file, sample_value

DTYPES = (
    "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128"
).split()


def same(a, b) -> bool:
    return a.dtype is b.dtype and a.shape == b.shape and a.tolist() == b.tolist()


# -- mapped files ----------------------------------------------------------------------------------------------


def test_a_mapped_file_is_read_when_it_is_used_and_not_written(tmp_path):
    path = tmp_path / "a.pt"
    base = torch.arange(10_000.0)
    torch.save({"base": base, "view": base[5:10], "empty": torch.empty(0)}, path)
    before = path.read_bytes()
    loaded = torch.load(path, mmap=True)
    assert torch.equal(loaded["base"], base)
    assert loaded["empty"].shape == (0,)
    loaded["view"].zero_()
    assert loaded["base"][4:11].tolist() == [4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 10.0]
    assert path.read_bytes() == before
    torch.save(loaded, path)  # replacing the file leaves the mapping as it is
    assert loaded["base"][4:11].tolist() == [4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 10.0]
    assert torch.equal(torch.load(path)["base"], loaded["base"])


def test_mapping_costs_no_memory(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(torch.ones(1_000_000), path)
    before = torch.memory_stats()["in_use"]
    loaded = torch.load(path, mmap=True)
    assert torch.memory_stats()["in_use"] - before < 100_000
    assert loaded.sum() == 1_000_000


def test_mapping_is_for_paths_and_for_zip_archives(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(torch.ones(1), path)
    with open(path, "rb") as file, pytest.raises(ValueError, match="f must be a file path"):
        torch.load(file, mmap=True)
    path.write_bytes(legacy_file(torch.ones(1)))
    with pytest.raises(RuntimeError, match="mmap can only be used with files saved with"):
        torch.load(path, mmap=True)


def test_mapping_by_default_and_shared(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(torch.ones(4), path)
    config.load.mmap = True
    try:
        with torch.serialization.set_default_mmap_options(system_mmap.MAP_SHARED):
            torch.load(path).fill_(7)
    finally:
        config.load.mmap = False
    assert torch.serialization.get_default_mmap_options() == system_mmap.MAP_PRIVATE
    assert torch.load(path).tolist() == [7.0] * 4
    with pytest.raises(ValueError, match=r"expected mmap.MAP_PRIVATE or mmap.MAP_SHARED"):
        torch.serialization.set_default_mmap_options(77)


def test_storages_that_are_not_aligned_are_read(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(torch.arange(5.0), path)
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        for name in ("a", "ab", "abc", "abcd"):
            with zipfile.ZipFile(path, "w", method) as archive:
                for record, content in records.items():
                    archive.writestr(record.replace("a/", f"{name}/", 1), content)
            assert torch.load(path, mmap=True).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


# -- options ---------------------------------------------------------------------------------------------------


def test_checksums_can_be_left_out(tmp_path):
    path = tmp_path / "a.pt"
    assert torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(torch.ones(100), path)
    finally:
        torch.serialization.set_crc32_options(True)
    with zipfile.ZipFile(path) as archive:
        assert {info.CRC for info in archive.infolist()} == {0}
    assert torch.load(path).sum() == 100


def test_the_data_can_be_left_out(tmp_path):
    path = tmp_path / "a.pt"
    with skip_data():
        torch.save({"a": torch.ones(1000)}, path)
    assert path.stat().st_size > 4000
    assert torch.load(path)["a"].tolist() == [0.0] * 1000
    torch.save({"a": torch.ones(1000)}, path)
    with skip_data():
        assert torch.load(path)["a"].shape == (1000,)


def test_other_pickle_modules_and_old_texts():
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(2)}, buffer, pickle_module=pickle)
    buffer.seek(0)
    assert torch.load(buffer, pickle_module=pickle)["a"].sum() == 2
    from tests.serialization.files import archive_of

    python_2 = archive_of(b"\x80\x02U\x03\xc3\xa9a.", [])
    assert torch.load(io.BytesIO(python_2)) == "éa"
    with pytest.warns(UserWarning, match="pickle_load_args only works"):
        assert torch.load(io.BytesIO(python_2), encoding="bytes") == b"\xc3\xa9a"


# -- the format before 1.6 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("weights_only", [True, False])
def test_the_old_format(protocol, weights_only):
    value = sample_value()
    loaded = torch.load(io.BytesIO(legacy_file(value, protocol)), weights_only=weights_only)
    for name in ("state", "views", "types"):
        new, old = loaded[name], value[name]
        pairs = zip(new.values(), old.values()) if isinstance(new, dict) else zip(new, old)
        assert all(same(a, b) for a, b in pairs)
    assert loaded["plain"] == value["plain"]
    loaded["views"][0].fill_(7)
    assert loaded["views"][1].min() == 7


def test_old_files_one_after_the_other():
    buffer = io.BytesIO(legacy_file(torch.ones(2)) + legacy_file([torch.zeros(3), 4]))
    assert torch.load(buffer).tolist() == [1.0, 1.0]
    assert torch.load(buffer)[1] == 4
    assert torch.load(io.BytesIO(legacy_file(torch.ones(2))), map_location="meta").device.type == "meta"


def test_damaged_old_files():
    data = legacy_file(torch.arange(4.0))
    with pytest.raises(RuntimeError, match=r"^unexpected EOF, expected 3 more bytes"):
        torch.load(io.BytesIO(data[:-3]))
    other_size = data.replace(b"K\x04N", b"K\x05N", 1)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(other_size))
    huge = data.replace(b"K\x04N", b"J\xff\xff\xff\x7fN", 1)
    assert huge != data
    with pytest.raises(pickle.UnpicklingError, match="has more bytes than the file"):
        torch.load(io.BytesIO(huge))


# -- safetensors -----------------------------------------------------------------------------------------------


def named() -> dict:
    tensors = {name: torch.arange(6).to(getattr(torch, name)).reshape(2, 3) for name in DTYPES}
    return {
        **tensors,
        "scalar": torch.tensor(1.5),
        "empty": torch.empty(0, 3),
        "turned": torch.arange(6.0).reshape(2, 3).t(),
    }


def test_safetensors_come_back(tmp_path):
    path, value = tmp_path / "a.safetensors", named()
    save_safetensors(value, path, {"made": "here"})
    for loaded in (
        torch.load(path),
        load_safetensors(path),
        load_safetensors(path, mmap=True),
        torch.load(path, mmap=True),
    ):
        assert loaded.keys() == value.keys()
        assert all(same(loaded[name], value[name]) for name in value)
    assert safetensors_metadata(path) == {"made": "here"}
    assert torch.load(path, map_location="meta")["float32"].device.type == "meta"
    loaded = torch.load(path, mmap=True)
    loaded["float32"].zero_()
    assert same(torch.load(path)["float32"], value["float32"])


def test_safetensors_in_memory():
    buffer = io.BytesIO()
    save_safetensors(named(), buffer)
    buffer.seek(0)
    assert same(torch.load(buffer)["bfloat16"], named()["bfloat16"])
    count = int.from_bytes(buffer.getvalue()[:8], "little")
    assert (8 + count) % 8 == 0


def safetensors_file(header, content: bytes = b"\0" * 8) -> io.BytesIO:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return io.BytesIO(len(text).to_bytes(8, "little") + text + content)


def entry(kind="F32", shape=(2,), offsets=(0, 8)) -> dict:
    return {"dtype": kind, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry(shape=(3,))},
        {"a": entry(offsets=(0, 12))},
        {"a": entry(offsets=(4, 12))},
        {"a": entry(shape=(1,), offsets=(0, 4))},
        {"a": entry(), "b": entry()},
        {"a": entry(shape=(-2,))},
        {"a": entry(shape=(2**61, 2**61))},
        {"a": entry(kind="F3")},
        {"a": entry(kind=["F32"])},
        {"a": {**entry(), "more": 1}},
        {"a": {"dtype": "F32"}},
        {"a": [1]},
        {"a": entry(), "__metadata__": {"x": 1}},
        b'{"a":' + json.dumps(entry()).encode() + b',"a":' + json.dumps(entry()).encode() + b"}",
        b"{" * 50,
        b'{"a":' + b"[" * 5000,
    ],
    ids=str,
)
def test_damaged_safetensors(header):
    with pytest.raises(SafetensorsError):
        load_safetensors(safetensors_file(header))


def test_safetensors_that_are_cut_off():
    buffer = io.BytesIO()
    save_safetensors(named(), buffer)
    data = buffer.getvalue()
    for cut in (4, 30, len(data) - 1):
        with pytest.raises(SafetensorsError):
            load_safetensors(io.BytesIO(data[:cut]))
    with pytest.raises(SafetensorsError, match="header too large"):
        load_safetensors(io.BytesIO(b"\xff" * 8 + b"{}"))


def test_what_safetensors_cannot_hold():
    with pytest.raises(TypeError, match=r"expected torch.Tensor but received int"):
        save_safetensors({"a": 3}, io.BytesIO())
    with pytest.raises(TypeError, match="metadata"):
        save_safetensors({}, io.BytesIO(), {"a": 1})
    with pytest.raises(SafetensorsError, match="meta device"):
        save_safetensors({"a": torch.empty(2, device="meta")}, io.BytesIO())


_THE_LIBRARY = """
import flambeau.compat
flambeau.compat.install()
import sys, torch
from safetensors import safe_open
from safetensors.torch import load, load_file, load_model, save, save_file, save_model
value = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16), "e": torch.empty(0, 2)}
path = sys.argv[1]
save_file(value, path, {"k": "v"})
for found in (load(save(value)), load_file(path), load_file(path, backend="pread"), torch.load(path)):
    assert found.keys() == value.keys()
    assert all(torch.equal(found[name], value[name]) for name in value)
with safe_open(path, framework="pt") as file:
    assert file.get_slice("a")[:, 1:].tolist() == [[1.0, 2.0], [4.0, 5.0]]
net = torch.nn.Linear(2, 3)
save_model(net, path)
assert load_model(net, path) == (set(), [])
"""


def test_the_safetensors_library_runs_on_flambeau(tmp_path):
    pytest.importorskip("safetensors")
    root = str(Path(torch.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "FLAMBEAU_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _THE_LIBRARY, str(tmp_path / "a.safetensors")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_storages_over_a_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(10)))
    storage = torch.UntypedStorage.from_file(str(path))
    part = storage[2:5]
    part.fill_(9)
    assert storage.tolist() == [0, 1, 9, 9, 9, 5, 6, 7, 8, 9]
    assert path.read_bytes() == bytes(range(10))
    torch.UntypedStorage.from_file(str(path), True, 12)[10:12].fill_(3)
    assert path.read_bytes() == bytes(range(10)) + b"\3\3"
    with pytest.raises(RuntimeError, match="the file is shorter"):
        torch.UntypedStorage.from_file(str(path), False, 100)
