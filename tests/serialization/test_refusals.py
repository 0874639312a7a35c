"""Loading runs nothing, stays inside the file, and says what is wrong with it."""

from __future__ import annotations

import io
import os
import pickle
import time
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flambeau as torch
from flambeau.serialization import get_safe_globals, get_unsafe_globals_in_checkpoint, safe_globals
from tests.serialization import fuzz
from tests.serialization.files import archive_of, archive_with, numbers, tensor_pickle

REFUSED = r"^Weights only load failed\."


def saved(value) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    buffer.seek(0)
    return buffer


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
    with safe_globals([os.mkdir]):  # even then: its module is blocked
        with pytest.raises(
            pickle.UnpicklingError, match=rf"(?s){REFUSED}.*mkdir whose module \w+ is blocked"
        ):
            torch.load(tmp_path / "attack.pt")
    assert not target.exists()
    torch.load(tmp_path / "attack.pt", weights_only=False)
    assert target.exists()


def test_classes_need_permission():
    value = Harmless(3)
    name = f"{Harmless.__module__}.Harmless"
    with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
        torch.load(saved(value))
    assert get_unsafe_globals_in_checkpoint(saved([value, torch.ones(1)])) == [name]
    with safe_globals([Harmless]):
        assert Harmless in get_safe_globals()
        assert torch.load(saved(value)) == value
        assert get_unsafe_globals_in_checkpoint(saved(value)) == []
    with safe_globals([(Harmless, name)]):
        assert torch.load(saved(value)) == value
    assert not get_safe_globals()
    assert torch.load(saved(value), weights_only=False) == value


@pytest.mark.parametrize("program", [b"\x80\x02", b"\x80\x02e.", b"\x80\x02h\x07.", b"\x80\x02K\x01"])
def test_listing_names_of_a_damaged_file(program):
    with pytest.raises(pickle.UnpicklingError, match="damaged"):
        get_unsafe_globals_in_checkpoint(archive_with(program))
    with pytest.raises(ValueError, match=r"^Expected input to be a checkpoint returned by torch\.save"):
        get_unsafe_globals_in_checkpoint(io.BytesIO(b"hello"))


def test_malformed_permissions():
    with pytest.raises(ValueError, match="Expected tuple of length 2"):
        torch.serialization.add_safe_globals([(Harmless, "a", "b")])
    with pytest.raises(TypeError, match="Expected second item in tuple to be str"):
        torch.serialization.add_safe_globals([(Harmless, 3)])


def test_the_explicit_word(monkeypatch):
    value = Harmless(3)
    with pytest.raises(RuntimeError, match=r"^Can not safely load weights when explicit pickle_module"):
        torch.load(saved(value), weights_only=True, pickle_module=pickle)
    assert torch.load(saved(value), pickle_module=pickle) == value
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(pickle.UnpicklingError, match=REFUSED):
        torch.load(saved(value), weights_only=False)


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
        {"size": (0,), "offset": 5},
        {"size": (1,) * 65, "stride": (1,) * 65},
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
        b"\x80\x01N.",  # a protocol that torch.save does not write
        b"\x80\x02e.",  # items without a mark
        b"\x80\x02h\x07.",  # a memo entry that is not there
        b"\x80\x02K\x01K\x02\x86R.",  # a call of a number
        b"\x80\x02K\x01}b.",  # attributes of a number
        b"\x80\x02K\x01K\x02a.",  # append to a number
        b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x02cflambeau.serialization.tensors\nover_storage\n.",
        b"\x80\x02cbuiltins\nbytes\nM\xff\xff\x85R.",  # as many zero bytes as the file likes
        b"\x80\x02cbuiltins\nbytearray\nM\xff\xff\x85R.",
        b"\x80\x02ctorch\nTensor\nJ\xff\xff\xff\x7f\x85R.",
        b"\x80\x02ctorch\nTensor\n)\x81.",
        b"\x80\x02(ios\nsystem\n.",  # INST and OBJ make objects too
        b"\x80\x02(cos\nsystem\no.",
        b"\x80\x02\x82\x01.",  # a class by its number in a registry
        b"\x80\x02}X\x01\x00\x00\x00aK\x01sK\x02Q.",  # a persistent id that is a number
        b"\x80\x02X\xff\xff\xff\xffab.",  # a text longer than the file
        b"\x80\x02\x8b\xff\xff\xff\xff.",  # a number of negative length
        b"\x80\x02((((((((((",
        b"\x80\x02]q\x00h\x00\x91.",  # unhashable
    ],
)
def test_odd_pickles_are_refused(program):
    with pytest.raises(pickle.UnpicklingError, match=REFUSED):
        torch.load(archive_with(program))


def deep_key(levels: int, twice: bool) -> bytes:
    """A dict whose key is a tuple in a tuple in a tuple..., perhaps each twice in the next."""
    step = b"q\x00h\x00\x86" if twice else b"\x85"
    return b"\x80\x02})" + step * levels + b"K\x01s."


@pytest.mark.parametrize("program", [deep_key(100_000, False), deep_key(200, True)], ids=["deep", "wide"])
def test_hashing_a_nest_of_tuples_ends(program):
    start = time.perf_counter()
    with pytest.raises(pickle.UnpicklingError, match=r"nested too deeply|many times its size"):
        torch.load(archive_with(program))
    assert time.perf_counter() - start < 5


def test_an_error_does_not_show_a_value_without_end():
    nest = b"\x80\x02)" + b"q\x00h\x00\x86" * 200
    for ending in (b")\x81.", b")R.", b"}b.", b"Q.", b"ctorch\nSize\nh\x00R."):
        start = time.perf_counter()
        with pytest.raises(pickle.UnpicklingError, match=REFUSED) as caught:
            torch.load(archive_with(nest + ending))
        assert time.perf_counter() - start < 1
        assert len(str(caught.value)) < 2000


def test_no_operator_runs_on_a_tensor_in_a_strange_place(monkeypatch):
    """A tensor compared with a text, or shown in an error, would be computed with."""
    meta = (
        b"ctorch._utils\n_rebuild_meta_tensor_no_storage\n(ctorch\nfloat32\n"
        + numbers((2,))
        + numbers((1,))
        + b"\x89tR"
    )

    def computed(*arguments):
        raise AssertionError("an operator ran")

    monkeypatch.setattr(torch.Tensor, "__eq__", computed)
    monkeypatch.setattr(torch.Tensor, "__repr__", computed)
    monkeypatch.setattr(torch.Tensor, "__bool__", computed)
    for ending in (b"NNNN(", b")\x81", b")R", b"}b", b"Q"):
        body = b"(" + meta + b"NNNNtQ" if ending == b"NNNN(" else meta + ending
        with pytest.raises(pickle.UnpicklingError, match=REFUSED):
            torch.load(archive_with(b"\x80\x02" + body + b"."))


def test_a_small_file_cannot_unfold():
    text = b"X" + (100_000).to_bytes(4, "little") + b"a" * 100_000
    calls = b"h\x01h\x02Ra" * 200
    program = b"\x80\x02]c_codecs\nencode\nq\x010" + text + b"\x85q\x020" + calls + b"."
    with pytest.raises(pickle.UnpicklingError, match="many times its size"):
        torch.load(archive_with(program))
    with pytest.raises(RuntimeError, match="unpacks to more than"):
        torch.load(bomb())


def bomb() -> io.BytesIO:
    """An archive whose one storage is a million zeros, compressed to a thousandth."""
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", tensor_pickle(250_000, 0, (250_000,)))
        archive.writestr("x/data/0", bytes(1_000_000))
    buffer.seek(0)
    return buffer


@given(st.binary(max_size=60))
def test_random_pickles_never_crash(noise):
    try:
        torch.load(archive_with(b"\x80\x02" + noise))
    except (pickle.UnpicklingError, RuntimeError):
        pass


def test_damaged_files_by_the_thousand():
    """A slice of ``python -m tests.serialization.fuzz``; the long run is by hand."""
    outcomes = fuzz.run(1500, seed=3)
    assert outcomes["loaded"] > 100
    assert outcomes["UnpicklingError"] > 400


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
    [
        (b"", EOFError),
        (b"not a zip file", pickle.UnpicklingError),
        (pickle.dumps({"a": 1}), pickle.UnpicklingError),
        (b"PK\3\4", RuntimeError),
        (b"\x93NUMPY\x01\x00", pickle.UnpicklingError),
    ],
)
def test_what_is_not_a_checkpoint(content, error):
    with pytest.raises(error):
        torch.load(io.BytesIO(content))


def test_a_state_dict_of_another_architecture():
    other = torch.nn.Sequential(torch.nn.Linear(3, 4)).state_dict()
    with pytest.raises(RuntimeError) as caught:
        torch.nn.Linear(5, 4).load_state_dict({"weight": other["0.weight"], **other})
    lines = str(caught.value).splitlines()
    assert lines[0] == "Error(s) in loading state_dict for Linear:"
    text = "\n".join(lines)
    assert 'Missing key(s) in state_dict: "bias"' in text
    assert 'Unexpected key(s) in state_dict: "0.weight", "0.bias"' in text
    assert "size mismatch for weight: copying a param with shape torch.Size([4, 3])" in text


def test_byte_order_and_torchscript():
    body, content = tensor_pickle(), b"\x3f\x80\0\0" * 4
    from flambeau.serialization.zip_writer import ZipWriter

    def archive(order: bytes | None, extra: str | None = None) -> io.BytesIO:
        buffer = io.BytesIO()
        with ZipWriter(buffer, byte_order_record=False) as writer:
            for name, data in (("data.pkl", body), ("byteorder", order), ("data/0", content), (extra, b"")):
                if name and data is not None:
                    writer.record(name, data)
        buffer.seek(0)
        return buffer

    assert torch.load(archive(b"big")).tolist() == [1.0] * 4
    assert torch.load(archive(None)).tolist() != [1.0] * 4
    endianness = torch.serialization.LoadEndianness
    torch.serialization.set_default_load_endianness(endianness.BIG)
    try:
        assert torch.serialization.get_default_load_endianness() is endianness.BIG
        assert torch.load(archive(None)).tolist() == [1.0] * 4
        assert torch.load(archive(b"little")).tolist() != [1.0] * 4
    finally:
        torch.serialization.set_default_load_endianness(None)
    with pytest.raises(ValueError, match="Unknown endianness type: middle"):
        torch.load(archive(b"middle"))
    with pytest.raises(TypeError, match="Invalid argument type"):
        torch.serialization.set_default_load_endianness("big")
    with pytest.raises(RuntimeError, match="TorchScript archives"):
        torch.load(archive(b"little", "constants.pkl"))


def test_types_that_only_pytorch_has():
    program = b"\x80\x02ctorch\nfloat8_e4m3fnuz\n."
    with pytest.raises(
        pickle.UnpicklingError, match=r"torch\.float8_e4m3fnuz, which this version does not have"
    ):
        torch.load(io.BytesIO(archive_of(program, [])))
    program = b"\x80\x02ctorch._utils\n_rebuild_qtensor\n)R."
    with pytest.raises(pickle.UnpicklingError, match="quantized, sparse or nested"):
        torch.load(io.BytesIO(archive_of(program, [])))


def test_attributes_of_an_ordered_dict_are_data():
    value = OrderedDict(a=1)
    value.note = [1]
    assert torch.load(saved(value)).note == [1]
