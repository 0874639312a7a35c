"""PyTorch reads our files and we read PyTorch's, with equal values, strides, attributes, sharing and errors."""

from __future__ import annotations

import inspect
import io
import warnings
from collections import Counter, OrderedDict

import pytest

import flambeau

pytest.importorskip("torch")
pytestmark = pytest.mark.parity

DTYPES = (
    "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128"
).split()


def value_of(torch):
    """Everything that a checkpoint holds."""
    torch.manual_seed(0)
    base = torch.arange(24.0).reshape(4, 6)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    fixed, noted = torch.nn.Parameter(torch.ones(2), requires_grad=False), torch.ones(2)
    fixed.tag, noted.note = "x", {"a": 1}
    types = [getattr(torch, name) for name in DTYPES]
    return {
        "types": [torch.arange(6).to(kind) for kind in types],
        "scalars": [torch.tensor(1).to(kind) for kind in types],
        "empty": [torch.empty((0, 3), dtype=kind) for kind in types],
        "turned": [torch.arange(6).to(kind).reshape(2, 3).t() for kind in types],
        "views": [base, base[1:], base.t(), base[:, ::2], base.expand(2, 4, 6), base[4:]],
        "parameters": (torch.nn.Parameter(torch.ones(2)), fixed, noted, torch.ones(2, requires_grad=True)),
        "state": net.state_dict(),
        "plain": [None, True, 0, 255, 256, 65535, 65536, -1, 2**31, 2**70, 1.5, float("inf"), "é\n", b"\0\xff", 3j],
        "containers": [(), (1,), (1, 2, 3, 4), {1, 2}, bytearray(b"a"), {(1, 2): 4}, OrderedDict(a=1), Counter("aab")],
        "torch": [torch.Size([2, 3]), torch.device("cpu"), torch.device("cuda:1"), torch.strided, *types],
        "meta": torch.empty(2, 3, device="meta"),
        "storage": torch.ones(2).storage(),
        "optimizers": [optimizer_state(torch, name) for name in ("SGD", "Adam", "AdamW")],
        "schedules": [schedule_state(torch, name) for name in ("StepLR", "MultiStepLR", "CosineAnnealingLR")],
        "generator": torch.Generator().manual_seed(3).get_state(),
    }  # fmt: skip


def optimizer_state(torch, name: str):
    layer = torch.nn.Linear(3, 2)
    optimizer = getattr(torch.optim, name)(layer.parameters(), lr=0.1)
    layer(torch.arange(6.0).reshape(2, 3)).square().sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def schedule_state(torch, name: str):
    optimizer = torch.optim.SGD(torch.nn.Linear(3, 2).parameters(), lr=0.1)
    argument = {"StepLR": 2, "MultiStepLR": [1, 1, 3], "CosineAnnealingLR": 5}[name]
    return getattr(torch.optim.lr_scheduler, name)(optimizer, argument).state_dict()


def plain(value, torch):
    """The same value without any library's types: tensors as facts and numbers."""
    if isinstance(value, torch.Tensor):
        numbers = None if value.device.type == "meta" else repr(value.detach().tolist())
        view = (tuple(value.shape), value.stride(), value.storage_offset(), value.requires_grad, numbers)
        return (type(value).__name__, str(value.dtype), view, plain(dict(value.__dict__), torch))
    if isinstance(value, dict):
        items = [(plain(k, torch), plain(v, torch)) for k, v in value.items()]
        return (type(value).__name__, items, str(getattr(value, "_metadata", None)))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [plain(item, torch) for item in value])
    if isinstance(value, (set, frozenset)):
        return (type(value).__name__, sorted(value))
    return (type(value).__name__, value.tolist() if hasattr(value, "tolist") else str(value))


@pytest.fixture(scope="module")
def values():
    """The value in both libraries, each beside its plain form."""
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair = {library: value_of(library) for library in (flambeau, torch)}
        return {library: (value, plain(value, library)) for library, value in pair.items()}


@pytest.fixture(autouse=True)
def without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of storages, and of pickle protocols but 2
        yield


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("weights_only", [True, False])
def test_files_of_both_read_by_both(oracle, values, protocol, weights_only):
    for writer in (flambeau, oracle):
        buffer = io.BytesIO()
        writer.save(values[writer][0], buffer, pickle_protocol=protocol)
        for reader in (flambeau, oracle):
            if reader is oracle and protocol > 2 and weights_only:
                continue  # PyTorch itself does not read these
            buffer.seek(0)
            loaded = reader.load(buffer, weights_only=weights_only)
            assert plain(loaded, reader) == values[writer][1]
            loaded["views"][0].fill_(7)
            assert loaded["views"][2].min() == 7


def test_mapped_files(oracle, values, tmp_path):
    for writer in (flambeau, oracle):
        writer.save(values[writer][0], tmp_path / "a.pt")
        for reader in (flambeau, oracle):
            loaded = reader.load(tmp_path / "a.pt", mmap=True)
            assert plain(loaded, reader) == values[writer][1]


def test_pytorch_computes_our_offsets(oracle, tmp_path):
    """From version 1 of the format on, PyTorch takes offsets from the layout and not from the archive."""
    torch = flambeau
    torch.save([torch.arange(n * 1.0) for n in (3, 0, 100, 5)], tmp_path / "a.pt")
    data = (tmp_path / "a.pt").read_bytes()
    for tensor in oracle.load(tmp_path / "a.pt", map_location="meta"):
        if tensor.numel():
            start = tensor.untyped_storage()._checkpoint_offset
            expected = torch.arange(float(tensor.numel())).numpy().tobytes()
            assert data[start : start + len(expected)] == expected


@pytest.mark.parametrize("weights_only", [True, False])
def test_the_old_format(oracle, values, weights_only):
    value = dict(values[oracle][0])
    for name in ("types", "scalars", "empty", "turned"):  # no unsigned words, which PyTorch cannot read there
        value[name] = [
            t for t in value[name] if str(t.dtype) not in ("torch.uint16", "torch.uint32", "torch.uint64")
        ]
    buffer = io.BytesIO()
    oracle.save(value, buffer, _use_new_zipfile_serialization=False)
    buffer.seek(0)
    loaded = flambeau.load(buffer, weights_only=weights_only)
    assert plain(loaded, flambeau) == plain(value, oracle)
    assert buffer.tell() == len(buffer.getvalue())
    loaded["views"][0].fill_(7)
    assert loaded["views"][2].min() == 7


def test_our_test_writer_of_the_old_format(oracle):
    from tests.serialization.files import legacy_file

    loaded = oracle.load(io.BytesIO(legacy_file([flambeau.arange(3.0), 4])))
    assert loaded[0].tolist() == [0.0, 1.0, 2.0]


def test_lazy_conjugates_and_negatives(oracle):
    for make in (lambda x: x.conj(), lambda x: x.conj().imag):
        value = make(oracle.tensor([1 + 2j, 3 - 1j]))
        buffer = io.BytesIO()
        oracle.save(value, buffer)
        buffer.seek(0)
        assert flambeau.load(buffer).tolist() == value.tolist()


def test_whole_modules_and_optimizers_both_ways(oracle):
    for writer, reader in ((flambeau, oracle), (oracle, flambeau)):
        writer.manual_seed(0)
        layers = [writer.nn.Linear(3, 4), writer.nn.BatchNorm1d(4), writer.nn.Dropout(0.5), writer.nn.ReLU()]
        net = writer.nn.Sequential(*layers, writer.nn.Linear(4, 2)).eval()
        buffer = io.BytesIO()
        writer.save({"net": net, "optimizer": writer.optim.Adam(net.parameters())}, buffer)
        buffer.seek(0)
        loaded = reader.load(buffer, weights_only=False)
        x = [[0.5, -1.0, 2.0]]
        again, expected = loaded["net"](reader.tensor(x)).tolist(), net(writer.tensor(x)).tolist()
        assert again[0] == pytest.approx(expected[0], rel=1e-5)
        assert type(loaded["optimizer"]) is reader.optim.Adam


def test_names_a_file_may_not_use(oracle):
    for writer in (flambeau, oracle):
        buffer = io.BytesIO()
        net = writer.nn.Sequential(writer.nn.Linear(2, 2))
        writer.save({"net": net, "optimizer": writer.optim.SGD(net.parameters())}, buffer)
        found = []
        for reader in (flambeau, oracle):
            buffer.seek(0)
            found.append(sorted(reader.serialization.get_unsafe_globals_in_checkpoint(buffer)))
        assert found[0] == found[1]


def test_first_lines_of_errors(oracle, tmp_path):
    flambeau.save(flambeau.ones(2), tmp_path / "a.pt")
    data = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[:-30])
    calls = [
        lambda torch: torch.load(tmp_path / "missing.pt"),
        lambda torch: torch.load(tmp_path),
        lambda torch: torch.save(1, tmp_path / "no" / "a.pt"),
        lambda torch: torch.save(1, 5),
        lambda torch: torch.load(5),
        lambda torch: torch.load(tmp_path / "a.pt", map_location="cuda"),
        lambda torch: torch.load(tmp_path / "a.pt", map_location="xla"),
        lambda torch: torch.load(tmp_path / "a.pt", map_location=7),
        lambda torch: torch.load(io.BytesIO(data), mmap=True),
        lambda torch: torch.load(tmp_path / "a.pt", weights_only=True, pickle_module=warnings),
        lambda torch: torch.save([x := torch.ones(2), x.view(torch.int32)], io.BytesIO()),
        lambda torch: torch.nn.Linear(3, 3).load_state_dict({"weight": torch.ones(2, 2), "x": torch.ones(1)}),
        lambda torch: torch.nn.Linear(3, 3).load_state_dict([1]),
        lambda torch: torch.nn.Linear(1, 1).load_state_dict({"weight": 1, "bias": "q"}),
    ]
    for call in calls:
        with pytest.raises(Exception) as theirs:
            call(oracle)
        with pytest.raises(type(theirs.value)) as ours:
            call(flambeau)
        assert str(ours.value).splitlines()[0] == str(theirs.value).splitlines()[0]
    for library in (oracle, flambeau):
        with pytest.raises(
            RuntimeError, match=r"^PytorchStreamReader failed reading zip archive: failed finding"
        ):
            library.load(tmp_path / "cut.pt")


def test_load_state_dict_reports_all_at_once(oracle):
    texts = []
    for torch in (flambeau, oracle):
        state = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).state_dict()
        with pytest.raises(RuntimeError) as caught:
            torch.nn.Sequential(
                torch.nn.Linear(2, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 1)
            ).load_state_dict(state)
        texts.append([line.strip() for line in str(caught.value).splitlines()])
    assert texts[0][: len(texts[1])] == texts[1]


@pytest.mark.parametrize("module", ["serialization", "hub"])
def test_names_and_signatures(oracle, module):
    ours, theirs = getattr(flambeau, module), getattr(oracle, module)
    for name in theirs.__all__:
        assert hasattr(ours, name), name
        if inspect.isfunction(getattr(theirs, name)):
            a, b = (inspect.signature(getattr(library, name)) for library in (ours, theirs))
            assert list(a.parameters) == list(b.parameters), name
            for one, other in zip(a.parameters.values(), b.parameters.values()):
                safer = name == "load_state_dict_from_url" and one.name == "weights_only"
                assert one.default == other.default or safer, f"{name}({one.name})"


def test_safetensors_both_ways(oracle, tmp_path):
    library = pytest.importorskip("safetensors.torch")
    skipped = ("complex128",)
    ours = {name: flambeau.arange(6).to(getattr(flambeau, name)) for name in DTYPES if name not in skipped}
    ours |= {"scalar": flambeau.tensor(2.5), "none": flambeau.empty(0, 2)}
    flambeau.serialization.save_safetensors(ours, tmp_path / "a.safetensors", {"made": "here"})
    loaded = library.load_file(tmp_path / "a.safetensors")
    assert loaded.keys() == ours.keys()
    assert all(plain(loaded[name], oracle) == plain(ours[name], flambeau) for name in ours)
    library.save_file(loaded, tmp_path / "b.safetensors")
    for again in (
        flambeau.load(tmp_path / "b.safetensors"),
        flambeau.serialization.load_safetensors(tmp_path / "b.safetensors", mmap=True),
    ):
        assert all(plain(again[name], flambeau) == plain(ours[name], flambeau) for name in ours)
