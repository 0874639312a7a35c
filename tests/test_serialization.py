"""torch.save and torch.load: what comes back, what is refused, what failures leave, PyTorch's files."""

from __future__ import annotations

import io
import os
import pickle
import stat
import threading
import zipfile
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flambeau as torch
from flambeau.serialization import get_safe_globals, safe_globals

DTYPES = """bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128""".split()


def round_trip(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    buffer.seek(0)
    return torch.load(buffer, **options)


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


def same_tensor(a, b) -> bool:
    facts = ("dtype", "shape", "device", "requires_grad")
    return (
        all(getattr(a, f) == getattr(b, f) for f in facts) and a.stride() == b.stride() and torch.equal(a, b)
    )


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3)])
def test_every_dtype_and_shape(name, shape):
    tensor = torch.ones(shape).to(getattr(torch, name))
    assert same_tensor(round_trip(tensor), tensor)


def test_state_dict_comes_back_with_its_metadata():
    state = model().state_dict()
    again = round_trip(state)
    assert type(again) is OrderedDict
    assert list(again) == list(state)
    assert all(same_tensor(again[name], state[name]) for name in state)
    assert again._metadata == state._metadata
    fresh = model()
    with torch.no_grad():
        fresh[0].weight.zero_()
    fresh.load_state_dict(again)
    assert torch.equal(fresh[0].weight, state["0.weight"])


def test_optimizer_state_comes_back():
    net = model()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    again = round_trip(optimizer.state_dict())
    assert again["param_groups"] == optimizer.state_dict()["param_groups"]
    assert torch.equal(again["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])


def test_views_keep_strides_and_share_storage():
    base = torch.arange(12.0).reshape(3, 4)
    first, second = round_trip([base.t()[1:], base])
    assert first.stride() == base.t()[1:].stride()
    assert torch.equal(first, base.t()[1:])
    second.zero_()
    assert first.sum() == 0


def test_parameter_and_requires_grad():
    weight = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    again = round_trip(weight)
    assert type(again) is torch.nn.Parameter
    assert not again.requires_grad
    assert round_trip(torch.ones(2, requires_grad=True)).requires_grad


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.lists(inner).map(tuple)
    ),
    max_leaves=20,
)


@given(plain)
def test_plain_python_values(value):
    again = round_trip(value)
    assert again == value
    assert type(again) is type(value)


def test_torch_values():
    value = {
        "d": torch.device("cpu"),
        "t": torch.bfloat16,
        "b": torch.bool,
        "s": torch.Size([2, 3]),
        "e": {1, 2},
    }
    again = round_trip(value)
    assert again == value
    assert type(again["s"]) is torch.Size
    assert again["b"] is torch.bool


def test_self_reference():
    value: list = [1]
    value.append(value)
    again = round_trip(value)
    assert again[1] is again


def test_meta_tensor_and_map_location():
    assert round_trip(torch.empty(2, 3, device="meta")).device.type == "meta"
    for location in ("meta", torch.device("meta"), {"cpu": "meta"}):
        loaded = round_trip(torch.ones(2, 3), map_location=location)
        assert loaded.device.type == "meta"
        assert loaded.shape == (2, 3)
    seen = []
    assert (
        round_trip(torch.ones(2), map_location=lambda storage, place: seen.append(place)).device.type == "cpu"
    )
    assert seen == ["cpu"]


def test_storages_are_aligned_and_not_compressed(tmp_path):
    path = tmp_path / "aligned.pt"
    torch.save([torch.ones(i) for i in range(1, 9)], path)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            if "/data/" in entry.filename:
                header = data[entry.header_offset : entry.header_offset + 30]
                lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
                assert (entry.header_offset + 30 + lengths) % 64 == 0


class Harmless:
    """Stands for a class that a file names."""

    def __init__(self, value=0):
        self.value = value

    def __eq__(self, other):
        return type(other) is type(self) and other.value == self.value

    __hash__ = None


class Attack:
    """Would make a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_file_does_not_run(tmp_path):
    target = tmp_path / "made"
    torch.save({"weights": torch.ones(2), "attack": Attack(str(target))}, tmp_path / "attack.pt")
    with pytest.raises(pickle.UnpicklingError, match=r"^Weights only load failed\. .*mkdir"):
        torch.load(tmp_path / "attack.pt")
    assert not target.exists()
    torch.load(tmp_path / "attack.pt", weights_only=False)
    assert target.exists()


def test_classes_need_permission():
    value = Harmless(3)
    with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
        round_trip(value)
    with safe_globals([Harmless]):
        assert Harmless in get_safe_globals()
        assert round_trip(value) == value
    with pytest.raises(pickle.UnpicklingError):
        round_trip(value)
    assert round_trip(value, weights_only=False) == value


def archive_with(data: bytes, **records: bytes) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/data.pkl", data)
        for key, content in records.items():
            archive.writestr(f"x/data/{key.removeprefix('k')}", content)
    buffer.seek(0)
    return buffer


def tensor_pickle(count=4, offset=0, size=(4,), stride=(1,), key="0") -> bytes:
    """A tensor's pickle, written by hand so that its numbers can lie."""

    def number(n):
        return b"L%dL\n" % n

    def numbers(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    storage = b"(V%s\nctorch\nFloatStorage\nV%s\nVcpu\n%stQ" % (b"storage", key.encode(), number(count))
    view = number(offset) + numbers(size) + numbers(stride)
    hooks = b"I00\nccollections\nOrderedDict\n(tR"
    body = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + hooks + b"tR."
    return pickle_2(body)


def pickle_2(text_form: bytes) -> bytes:
    """The same program in the opcodes of protocol 2."""
    out, lines = bytearray(b"\x80\x02"), io.BytesIO(text_form)
    while code := lines.read(1):
        if code == b"V":
            text = lines.readline()[:-1]
            out += b"X" + len(text).to_bytes(4, "little") + text
        elif code == b"L":
            value = int(lines.readline()[:-2])
            content = pickle.encode_long(value)
            out += b"\x8a" + bytes([len(content)]) + content
        elif code == b"I":
            out += b"\x89"
            lines.readline()
        elif code == b"c":
            out += code + lines.readline() + lines.readline()
        else:
            out += code
    return bytes(out)


def test_a_tensor_written_by_hand_loads():
    loaded = torch.load(archive_with(tensor_pickle(), k0=b"\0\0\x80\x3f" * 4))
    assert loaded.tolist() == [1.0] * 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (5,)},
        {"offset": 1},
        {"offset": -1},
        {"size": (4,), "stride": (2,)},
        {"size": (-1,)},
        {"stride": (-1,)},
        {"size": (2, 2), "stride": (1,)},
        {"size": (2**62,), "stride": (2**62,)},
        {"offset": 2**70},
        {"count": 5},
        {"count": -4},
        {"count": 2**61},
        {"key": "1"},
        {"key": "../x"},
    ],
    ids=str,
)
def test_a_file_cannot_reach_outside_its_storage(wrong):
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        torch.load(archive_with(tensor_pickle(**wrong), k0=b"\0" * 16))


@pytest.mark.parametrize(
    "program",
    [
        b"",  # nothing at all
        b"\x80\x02",  # no end
        b"\x80\x02.",  # nothing to return
        b"\x80\x02K\x01",  # no stop
        b"\x80\x02e.",  # items without a mark
        b"\x80\x02h\x07.",  # a memo entry that is not there
        b"\x80\x02K\x01K\x02\x86R.",  # a call of a number
        b"\x80\x02K\x01}b.",  # attributes of a number
        b"\x80\x02K\x01K\x02a.",  # append to a number
        b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x02cflambeau.serialization.tensors\nrebuild_tensor\n.",
        b"\x80\x02cbuiltins\nbytes\nM\xff\xff\x85R.",
        b"\x80\x02}X\x01\x00\x00\x00aK\x01sK\x02Q.",  # a persistent id that is a number
        b"\x80\x02X\xff\xff\xff\xffab.",  # a text longer than the file
        b"\x80\x02((((((((((",
    ],
)
def test_odd_pickles_are_refused(program):
    with pytest.raises(pickle.UnpicklingError, match=r"^Weights only load failed\."):
        torch.load(archive_with(program))


@given(st.binary(max_size=60))
def test_random_pickles_never_crash(noise):
    try:
        torch.load(archive_with(b"\x80\x02" + noise))
    except (pickle.UnpicklingError, RuntimeError):
        pass


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(torch.arange(1000.0), path)
    data = path.read_bytes()
    for cut in (10, len(data) // 2, len(data) - 5):
        path.write_bytes(data[:cut])
        with pytest.raises(RuntimeError, match="PytorchStreamReader failed"):
            torch.load(path)
    at = data.index(torch.arange(3.0, 6.0).numpy().tobytes())
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    with pytest.raises(RuntimeError, match=r"failed reading file data/0: Bad CRC"):
        torch.load(path)


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", EOFError), (b"not a zip file", pickle.UnpicklingError), (b"PK\3\4", RuntimeError)],
)
def test_what_is_not_an_archive(content, error):
    with pytest.raises(error):
        torch.load(io.BytesIO(content))


def test_errors_name_the_place(tmp_path):
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "missing.pt")
    with pytest.raises(RuntimeError, match=r"^Parent directory .*missing does not exist\."):
        torch.save(1, tmp_path / "missing" / "a.pt")
    with pytest.raises(AttributeError, match="expected 'f' to be string, path, or a file-like object"):
        torch.save(1, 5)
    with pytest.raises(AttributeError, match="'int' object has no attribute 'seek'"):
        torch.load(5)
    with pytest.raises(ValueError, match="protocol 2"):
        torch.save(1, tmp_path / "a.pt", pickle_protocol=4)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.pt"
    torch.save([1], path)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        torch.save([torch.ones(3), lambda: 0], path)
    assert torch.load(path) == [1]
    assert os.listdir(tmp_path) == ["model.pt"]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    torch.save([1], path)

    def full(self, name, mode="r", **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "open", full)
    with pytest.raises(OSError, match="No space left"):
        torch.save([2], path)
    monkeypatch.undo()
    assert torch.load(path) == [1]
    assert os.listdir(tmp_path) == ["model.pt"]


def test_a_saved_file_keeps_permissions_and_links(tmp_path):
    path, link = tmp_path / "model.pt", tmp_path / "latest.pt"
    torch.save([1], path)
    os.chmod(path, 0o640)
    link.symlink_to(path)
    torch.save([2], link)
    assert link.is_symlink()
    assert torch.load(path) == [2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_stream_that_cannot_seek():
    class Pipe:
        def __init__(self):
            self.parts = []

        def write(self, data):
            self.parts.append(bytes(data))
            return len(data)

    pipe = Pipe()
    torch.save({"a": torch.ones(3)}, pipe)
    assert torch.load(io.BytesIO(b"".join(pipe.parts)))["a"].tolist() == [1.0] * 3


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


@pytest.mark.parity
class TestParity:
    """PyTorch reads our files and we read PyTorch's, with equal values, strides and sharing."""

    @staticmethod
    def value(torch):
        torch.manual_seed(0)
        base = torch.arange(12.0).reshape(3, 4)
        tensors = [torch.ones(3).to(getattr(torch, name)) for name in DTYPES]
        net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        return {
            "state": net.state_dict(),
            "tensors": tensors,
            "views": [base, base.t()[1:], base[:0]],
            "scalar": torch.tensor(2.5),
            "parameter": net[0].weight,
            "meta": torch.empty(2, 3, device="meta"),
            "dtype": [torch.float32, torch.bool, torch.bfloat16],
            "device": torch.device("cpu"),
            "size": torch.Size([1, 2]),
            "plain": [None, True, 1, 2**70, -1.5, "é", b"\x00\xff", bytearray(b"12"), (1, 2), {1, 2}, 3j],
        }

    @staticmethod
    def plain(value):
        """The same value without any library's types, tensors as facts and numbers."""
        if hasattr(value, "stride"):
            numbers = None if value.device.type == "meta" else str(value.detach().cpu().tolist())
            kind = type(value).__name__
            return (kind, str(value.dtype), tuple(value.shape), value.stride(), value.requires_grad, numbers)
        if isinstance(value, dict):
            items = {name: TestParity.plain(item) for name, item in value.items()}
            return (items, getattr(value, "_metadata", None))
        if isinstance(value, list):
            return [TestParity.plain(item) for item in value]
        return str(value) if type(value).__module__ != "builtins" else value

    def test_pytorch_reads_ours(self, oracle, tmp_path):
        value = self.value(torch)
        torch.save(value, tmp_path / "ours.pt")
        for options in ({}, {"mmap": True}, {"weights_only": False}):
            loaded = oracle.load(tmp_path / "ours.pt", **options)
            assert self.plain(loaded) == self.plain(value)
            loaded["views"][0].fill_(7)
            assert loaded["views"][1].min() == 7

    @pytest.mark.parametrize("weights_only", [True, False])
    def test_we_read_pytorch(self, oracle, tmp_path, weights_only):
        value = self.value(oracle)
        oracle.save(value, tmp_path / "theirs.pt")
        loaded = torch.load(tmp_path / "theirs.pt", weights_only=weights_only)
        assert self.plain(loaded) == self.plain(value)
        loaded["views"][0].fill_(7)
        assert loaded["views"][1].min() == 7

    def test_first_lines_of_errors(self, oracle, tmp_path):
        torch.save(torch.ones(2), tmp_path / "a.pt")
        data = (tmp_path / "a.pt").read_bytes()
        (tmp_path / "cut.pt").write_bytes(data[:-30])
        calls = [
            lambda torch: torch.load(tmp_path / "missing.pt"),
            lambda torch: torch.save(1, tmp_path / "no" / "a.pt"),
            lambda torch: torch.save(1, 5),
            lambda torch: torch.load(5),
            lambda torch: torch.load(tmp_path / "a.pt", map_location="cuda"),
        ]
        for call in calls:
            with pytest.raises(Exception) as theirs:
                call(oracle)
            with pytest.raises(type(theirs.value)) as ours:
                call(torch)
            assert str(ours.value).splitlines()[0] == str(theirs.value).splitlines()[0]
        for library in (oracle, torch):
            with pytest.raises(
                RuntimeError, match=r"^PytorchStreamReader failed reading zip archive: failed finding"
            ):
                library.load(tmp_path / "cut.pt")
