"""torch.save and torch.load: what is saved comes back, with its strides, sharing, attributes and containers."""

from __future__ import annotations

import copy
import io
import pickle
import zipfile
from collections import Counter, OrderedDict, namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flambeau as torch
from flambeau.serialization import safe_globals

DTYPES = (
    "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128"
).split()


def round_trip(value, protocol=2, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, pickle_protocol=protocol)
    buffer.seek(0)
    return torch.load(buffer, **options)


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


def same_tensor(a, b) -> bool:
    facts = ("dtype", "shape", "device", "requires_grad")
    equal_facts = all(getattr(a, fact) == getattr(b, fact) for fact in facts)
    return equal_facts and a.stride() == b.stride() and a.tolist() == b.tolist()


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


def trained(optimizer_kind, schedule_kind=None):
    net = model()
    optimizer = optimizer_kind(net.parameters(), lr=0.1)
    schedule = schedule_kind(optimizer) if schedule_kind else None
    for k in range(2):
        net(torch.arange(15.0).reshape(5, 3) + k).sum().backward()
        optimizer.step()
        if schedule:
            schedule.step()
    return net, optimizer, schedule


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_optimizer_state_comes_back(kind):
    _, optimizer, _ = trained(getattr(torch.optim, kind))
    state = optimizer.state_dict()
    again = round_trip(state)
    assert again["param_groups"] == state["param_groups"]
    for number, values in state["state"].items():
        for name, value in values.items():
            found = again["state"][number][name]
            assert torch.equal(found, value) if isinstance(value, torch.Tensor) else found == value


@pytest.mark.parametrize(
    "make",
    [
        lambda o: torch.optim.lr_scheduler.StepLR(o, 2),
        lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [1, 1, 3]),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 5),
    ],
)
def test_schedule_state_comes_back(make):
    _, _, schedule = trained(torch.optim.SGD, make)
    assert round_trip(schedule.state_dict()) == schedule.state_dict()


def test_views_keep_strides_and_share_storage():
    base = torch.arange(12.0).reshape(3, 4)
    first, second = round_trip([base.t()[1:], base])
    assert first.stride() == base.t()[1:].stride()
    assert torch.equal(first, base.t()[1:])
    second.zero_()
    assert first.sum() == 0


def test_parameter_attributes_and_requires_grad():
    weight = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    weight.note = {"a": 1}
    again = round_trip(weight)
    assert type(again) is torch.nn.Parameter
    assert not again.requires_grad
    assert again.note == {"a": 1}
    assert round_trip(torch.ones(2, requires_grad=True)).requires_grad
    plain = torch.ones(2)
    plain.note = "kept"
    assert round_trip(plain).note == "kept"


values = st.recursive(
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


@given(values, st.sampled_from([2, 3, 4, 5]))
def test_plain_python_values(value, protocol):
    again = round_trip(value, protocol)
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_torch_values(protocol):
    value = {
        "d": torch.device("cuda", 1),
        "t": torch.bfloat16,
        "b": torch.bool,
        "s": torch.Size([2, 3]),
        "e": {1, (2, 3)},
        "f": frozenset([1]),
        "c": Counter("aab"),
        "o": OrderedDict(z=1, a=2),
        "y": bytearray(b"12"),
        "l": torch.strided,
    }
    again = round_trip(value, protocol)
    assert again == value
    assert {k: type(v) for k, v in again.items()} == {k: type(v) for k, v in value.items()}


def test_self_reference():
    value: list = [1]
    value.append(value)
    again = round_trip(value)
    assert again[1] is again


def test_storages_by_themselves():
    tensor = torch.arange(3.0)
    with pytest.warns(UserWarning, match="TypedStorage is deprecated"):
        typed = tensor.storage()
    alone, view = round_trip([typed, tensor])
    assert alone.tolist() == [0.0, 1.0, 2.0]
    view.zero_()
    assert alone.tolist() == [0.0, 0.0, 0.0]


Point = namedtuple("Point", "x y")


class Meters(torch.Tensor):
    """A subclass of tensors."""


def test_classes_need_permission_or_trust():
    point, length = Point(1, torch.ones(2)), torch.ones(2).as_subclass(Meters)
    for value in (point, length, model()):
        with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
            round_trip(value)
        assert type(round_trip(value, weights_only=False)) is type(value)
    with safe_globals([Point, Meters]):
        assert round_trip(point).x == 1
        assert type(round_trip(length)) is Meters


@pytest.mark.parametrize("protocol", [2, 5])
def test_python_pickles_and_copies(protocol):
    net, optimizer, schedule = trained(torch.optim.Adam, lambda o: torch.optim.lr_scheduler.StepLR(o, 2))
    for again in (pickle.loads(pickle.dumps(net, protocol)), copy.deepcopy(net)):
        assert torch.equal(again[0].weight, net[0].weight)
        assert type(again[0].weight) is torch.nn.Parameter
    assert (
        pickle.loads(pickle.dumps(optimizer, protocol)).state_dict()["param_groups"]
        == optimizer.state_dict()["param_groups"]
    )
    assert pickle.loads(pickle.dumps(schedule, protocol)).last_epoch == schedule.last_epoch
    generator = torch.Generator().manual_seed(4)
    again = pickle.loads(pickle.dumps(generator, protocol))
    assert torch.equal(torch.rand(3, generator=again), torch.rand(3, generator=generator))


def test_map_location():
    assert round_trip(torch.empty(2, 3, device="meta")).device.type == "meta"
    for location in ("meta", torch.device("meta"), {"cpu": "meta"}):
        loaded = round_trip(torch.ones(2, 3), map_location=location)
        assert loaded.device.type == "meta"
        assert loaded.shape == (2, 3)
    seen = []
    loaded = round_trip(
        torch.ones(2), map_location=lambda storage, place: seen.append((storage.nbytes(), place))
    )
    assert loaded.device.type == "cpu"
    assert seen == [(8, "cpu")]
    doubled = round_trip(torch.ones(2), map_location=lambda storage, place: storage.fill_(0))
    assert doubled.tolist() == [0.0, 0.0]
    with pytest.raises(KeyError, match="mine"):  # an error of the user's function stays what it is
        round_trip(torch.ones(2), map_location=lambda storage, place: {}["mine"])


def test_registered_devices():
    seen = []
    packages = list(torch.serialization.locations._packages)
    torch.serialization.register_package(
        5, lambda storage: "here:1", lambda storage, place: seen.append(place)
    )
    try:
        assert torch.serialization.location_tag(torch.ones(1).untyped_storage()) == "here:1"
        with pytest.raises(RuntimeError, match="don't know how to restore data location"):
            round_trip(torch.ones(2))
        assert seen == ["here:1"]
    finally:
        torch.serialization.locations._packages[:] = packages


def test_storages_are_aligned_and_not_compressed(tmp_path):
    path = tmp_path / "aligned.pt"
    torch.save([torch.ones(i) for i in range(9)], path)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            header = data[entry.header_offset : entry.header_offset + 30]
            lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
            assert (entry.header_offset + 30 + lengths) % 64 == 0


def test_what_cannot_be_saved():
    tensor = torch.ones(2)
    with pytest.raises(
        RuntimeError, match="Cannot save multiple tensors or storages that view the same data"
    ):
        torch.save([tensor, tensor.view(torch.int32)], io.BytesIO())
    with pytest.raises(ValueError, match="only read"):
        torch.save(tensor, io.BytesIO(), _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match="pickle_protocol"):
        torch.save(tensor, io.BytesIO(), pickle_protocol=1)
