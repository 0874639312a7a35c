"""Checkpoint files made by hand for the tests: PyTorch's old format, zip archives whose numbers can lie."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
import zlib

import flambeau as torch
from flambeau.serialization import pickler, tensors
from flambeau.serialization.legacy import MAGIC_NUMBER, PROTOCOL_VERSION
from flambeau.serialization.storages import bytes_of
from flambeau.serialization.zip_writer import ZipWriter


def legacy_file(value, protocol: int = 2) -> bytes:
    """A file in the format of PyTorch 1.5: four pickles, then the storages."""
    data, made = _pickled(value, protocol)
    data = _with_views(data)
    about = {"protocol_version": PROTOCOL_VERSION, "little_endian": True, "type_sizes": {"int": 4}}
    parts = [pickle.dumps(part, protocol) for part in (MAGIC_NUMBER, PROTOCOL_VERSION, about)]
    parts += [data, pickle.dumps([str(key) for key in range(len(made))], protocol)]
    for storage, _, dtype in made:
        count = storage.nbytes() // tensors.storage_type(dtype).dtype.itemsize
        parts += [count.to_bytes(8, "little"), bytes(bytes_of(storage))]
    return b"".join(parts)


def _pickled(value, protocol: int) -> tuple[bytes, list]:
    """The pickle that `save` writes, and (storage, key, dtype) of each storage."""
    buffer = io.BytesIO()
    late = protocol < 4
    made = (pickler._fast_pickler if late else pickler._renaming_pickler)(pickle)(buffer, protocol)
    made.dump(value)
    data = buffer.getvalue()
    return pickler._with_torch_names(data) if late else data, list(made.storages.values())


def _with_views(data: bytes) -> bytes:
    """The same pickle with None as a sixth part of every storage's id."""
    out, done, previous = [], 0, []
    for opcode, _, position in pickletools.genops(data):
        assert position is not None
        if opcode.name == "BINPERSID":
            at = next(p for name, p in reversed(previous) if name == "TUPLE")
            if data[at - 1 : at] != b"N":
                out += [data[done:at], b"N"]
                done = at
        previous.append((opcode.name, position))
    return b"".join((*out, data[done:]))


def archive_of(data: bytes, storages: list[bytes], *, extra: dict[str, bytes] | None = None) -> bytes:
    """A zip archive in PyTorch's layout around any pickle and any bytes, with right checksums."""
    buffer = io.BytesIO()
    with ZipWriter(buffer) as writer:
        writer.record("data.pkl", data)
        writer.describe()
        for key, content in enumerate(storages):
            writer.record(f"data/{key}", content)
        for name, content in (extra or {}).items():
            writer.record(name, content)
    return buffer.getvalue()


def archive_with(data: bytes, **records: bytes) -> io.BytesIO:
    """An archive of Python's `zipfile` with a pickle and storages ``k0``, ``k1``, ..."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/data.pkl", data)
        for key, content in records.items():
            archive.writestr(f"x/data/{key.removeprefix('k')}", content)
    buffer.seek(0)
    return buffer


def tensor_pickle(count=4, offset=0, size=(4,), stride=(1,), key="0") -> bytes:
    """A tensor's pickle, written by hand so that its numbers can lie."""
    hooks = b"ccollections\nOrderedDict\n)R"
    storage = (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(count) + b"tQ"
    )
    view = number(offset) + numbers(size) + numbers(stride)
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + b"\x89" + hooks + b"tR."


def text(value: str) -> bytes:
    """The opcode for a text."""
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def number(value: int) -> bytes:
    """The opcode for an int."""
    content = pickle.encode_long(value)
    return b"\x8a" + bytes([len(content)]) + content


def numbers(values) -> bytes:
    """The opcodes for a tuple of ints."""
    return b"(" + b"".join(map(number, values)) + b"t"


def sample_value() -> dict:
    """A small state dict with a bit of everything."""
    torch.manual_seed(0)
    base = torch.arange(12.0).reshape(3, 4)
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    noted = torch.ones(2)
    noted.note = "kept"
    return {
        "state": net.state_dict(),
        "views": [base, base.t()[1:], base[:0]],
        "types": [torch.ones(3).to(getattr(torch, n)) for n in ("bool", "bfloat16", "int64", "uint16", "complex64")],
        "parameter": net[0].weight,
        "noted": noted,
        "plain": [None, True, 1, 300, 70000, -1, 2**70, 1.5, "é", b"\0\xff", (1, (2, 3)), {1, 2}, 3j, {(1, 2): 3}],
        "torch": [torch.float32, torch.device("cpu"), torch.Size([2, 3]), torch.empty(2, device="meta")],
    }  # fmt: skip


def fixed_checksums(data: bytearray) -> bytearray:
    """The same archive with the checksums that its stored records really have; for mutations inside a record."""
    at = data.find(b"PK\1\2")
    while 0 <= at <= len(data) - 46:
        size, offset = (
            int.from_bytes(data[at + 24 : at + 28], "little"),
            int.from_bytes(data[at + 42 : at + 46], "little"),
        )
        start = offset + 30 + int.from_bytes(data[offset + 26 : offset + 28], "little")
        start += int.from_bytes(data[offset + 28 : offset + 30], "little")
        data[at + 16 : at + 20] = zlib.crc32(data[start : start + size]).to_bytes(4, "little")
        at = data.find(b"PK\1\2", at + 46)
    return data
