"""Datasets, samplers, joining samples, and the loader."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import numpy
import pytest

import flambeau
from flambeau.utils import data

Point = namedtuple("Point", "x y")


class Squares(data.Dataset):
    """Pairs of a number and its square."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        if not 0 <= index < self.count:
            raise IndexError(index)
        return index, index * index


class Counting(data.IterableDataset):
    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self):
        return iter(range(self.count))

    def __len__(self) -> int:
        return self.count


def rows(count: int) -> data.TensorDataset:
    return data.TensorDataset(flambeau.arange(count), flambeau.arange(2.0 * count).view(count, 2))


def plain(value):
    """Nested lists of a batch."""
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value


# ---------------------------------------------------------------------------------------------- datasets


def test_datasets_made_of_others():
    both = Squares(3) + Squares(2)
    assert [both[i] for i in range(5)] == [(0, 0), (1, 1), (2, 4), (0, 0), (1, 1)]
    assert both[-1] == (1, 1)
    assert len(both) == 5
    assert list(Counting(2) + Counting(1)) == [0, 1, 0]
    assert len(Counting(2) + Counting(1)) == 3
    part = data.Subset(Squares(5), [4, 2])
    assert [part[0], part[1]] == [(4, 16), (2, 4)]
    stack = data.StackDataset(a=Squares(2), b=rows(2))
    assert plain(stack[1]) == {"a": [1, 1], "b": [1, [2.0, 3.0]]}
    assert plain(data.StackDataset(Squares(2), Squares(2))[1]) == [[1, 1], [1, 1]]


def test_random_split():
    flambeau.manual_seed(1)
    parts = data.random_split(range(10), [0.5, 0.25, 0.25])
    assert [len(part) for part in parts] == [6, 2, 2]
    assert sorted(index for part in parts for index in part.indices) == list(range(10))
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        data.random_split(range(2), [0.9, 0.1])


# ---------------------------------------------------------------------------------------------- samplers


def test_batch_sampler():
    assert list(data.BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(data.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert len(data.BatchSampler(range(5), 2, False)) == 3


def test_random_samplers():
    flambeau.manual_seed(0)
    order = list(data.RandomSampler(range(20)))
    assert sorted(order) == list(range(20))
    assert order != list(range(20))
    assert len(list(data.RandomSampler(range(3), replacement=True, num_samples=50))) == 50
    assert len(list(data.RandomSampler(range(3), num_samples=7))) == 7
    assert sorted(data.SubsetRandomSampler([4, 2, 9])) == [2, 4, 9]
    assert set(data.WeightedRandomSampler([0.0, 1.0, 0.0], 5)) == {1}


def test_distributed_sampler_deals_all_indices_out():
    shares = [list(data.DistributedSampler(range(10), 3, rank)) for rank in range(3)]
    assert {len(share) for share in shares} == {4}
    assert {index for share in shares for index in share} == set(range(10))
    sampler = data.DistributedSampler(range(10), 3, 0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first


# ---------------------------------------------------------------------------------------------- joining


JOINED = [
    ([1, 2], [1, 2], "int64"),
    ([1.5, 2.5], [1.5, 2.5], "float64"),
    ([True, False], [True, False], "bool"),
    ([numpy.float32(1), numpy.float32(2)], [1.0, 2.0], "float32"),
    ([numpy.ones(2, "int16")] * 2, [[1, 1], [1, 1]], "int16"),
    ([numpy.array(3.0)] * 2, [3.0, 3.0], "float64"),
]


@pytest.mark.parametrize(("batch", "expected", "dtype"), JOINED)
def test_values_become_tensors(batch, expected, dtype):
    joined = data.default_collate(batch)
    assert joined.tolist() == expected
    assert str(joined.dtype) == f"torch.{dtype}"


def test_containers_are_joined_element_by_element():
    assert data.default_collate(["a", "b"]) == ["a", "b"]
    assert plain(data.default_collate([{"a": 1, "b": (2, [3])}] * 2)) == {
        "a": [1, 1],
        "b": [[2, 2], [[3, 3]]],
    }
    joined = data.default_collate([Point(1, 2.0), Point(3, 4.0)])
    assert isinstance(joined, Point)
    assert plain(joined.y) == [2.0, 4.0]
    assert isinstance(data.default_collate([OrderedDict(a=1)]), OrderedDict)
    assert isinstance(data.default_collate([(1, 2)]), list)
    assert data.default_collate([flambeau.ones(2), flambeau.zeros(2)]).shape == (2, 2)


def test_what_cannot_be_joined():
    with pytest.raises(TypeError, match="default_collate: batch must contain tensors"):
        data.default_collate([object()])
    with pytest.raises(TypeError, match="default_collate: batch must contain tensors"):
        data.default_collate([numpy.array(["a"])])
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal size"):
        data.default_collate([[1], [1, 2]])


def test_default_convert():
    converted = data.default_convert({"a": numpy.ones(2), "b": ("text", 3)})
    assert converted["a"].tolist() == [1, 1]
    assert converted["b"] == ["text", 3]


# ---------------------------------------------------------------------------------------------- the loader


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("size", [1, 4, 7, 10, 11])
def test_gathering_rows_gives_what_stacking_samples_gives(size, shuffle, drop_last):
    """`TensorDataset` has a short way; a dataset of the same samples goes the long one."""

    class Same(data.TensorDataset):
        pass

    for subset in (None, [5, 1, 8, 3, 2, 9, 0]):
        found = []
        for kind in (data.TensorDataset, Same):
            dataset = kind(*rows(10).tensors)
            dataset = dataset if subset is None else data.Subset(dataset, subset)
            flambeau.manual_seed(4)
            loader = data.DataLoader(dataset, size, shuffle=shuffle, drop_last=drop_last)
            found.append(
                (plain([batch for _ in range(2) for batch in loader]), len(loader), flambeau.rand(1).item())
            )
        assert found[0] == found[1]


def test_batches_are_copies():
    dataset = rows(4)
    for shuffle in (False, True):
        for _, values in data.DataLoader(dataset, 2, shuffle=shuffle):
            values.zero_()
    assert dataset.tensors[1].sum().item() == 28


def test_gradients_flow_to_the_rows():
    values = flambeau.zeros(5, 2, requires_grad=True)
    for (batch,) in data.DataLoader(data.TensorDataset(values), 2):
        (batch * 3).sum().backward()
    assert values.grad.eq(3).all()


def test_a_users_sampler_with_negative_and_wrong_indices():
    assert plain(list(data.DataLoader(rows(4), 2, sampler=[-1, 0])))[0][0] == [3, 0]
    with pytest.raises(IndexError):
        list(data.DataLoader(rows(4), 2, sampler=[0, 4]))


def test_other_kinds_of_datasets():
    assert plain(list(data.DataLoader(Squares(3), 2))) == [[[0, 1], [0, 1]], [[2], [4]]]
    assert plain(list(data.DataLoader(Counting(5), 2))) == [[0, 1], [2, 3], [4]]
    assert plain(list(data.DataLoader(Counting(5), 2, drop_last=True))) == [[0, 1], [2, 3]]
    assert list(data.DataLoader(Counting(3), None)) == [0, 1, 2]
    assert list(data.DataLoader([1, 2, 3], batch_size=None)) == [1, 2, 3]
    assert plain(list(data.DataLoader([5, 6, 7], batch_sampler=[[0, 2], [1]]))) == [[5, 7], [6]]
    assert list(data.DataLoader([5, 6, 7], 2, collate_fn=sum)) == [11, 7]
    assert len(data.DataLoader(Counting(5), 2)) == 3


def test_batches_at_once_where_the_dataset_can():
    class Together(Squares):
        def __getitems__(self, indices):
            return [("many", index) for index in indices]

    assert next(iter(data.DataLoader(Together(4), 2)))[0] == ("many", "many")


def test_the_order_depends_on_the_seed_alone():
    def order(seed):
        flambeau.manual_seed(seed)
        return plain(list(data.DataLoader(rows(9), 3, shuffle=True)))

    assert order(1) == order(1)
    assert order(1) != order(2)
    generator = flambeau.Generator().manual_seed(3)
    loader = data.DataLoader(rows(9), 3, shuffle=True, generator=generator)
    assert plain(list(loader)) != plain(list(loader))


def test_an_iterable_dataset_that_is_longer_than_it_says():
    class Liar(Counting):
        def __len__(self):
            return 1

    loader = data.DataLoader(Liar(3), None)
    assert len(loader) == 1
    with pytest.warns(UserWarning, match="was reported to be 1"):
        list(loader)


REFUSED = [
    (lambda: data.DataLoader(Squares(2), num_workers=-1), ValueError, "should be non-negative"),
    (lambda: data.DataLoader(Squares(2), timeout=-1), ValueError, "timeout option should be non-negative"),
    (
        lambda: data.DataLoader(Squares(2), shuffle=True, sampler=[0]),
        ValueError,
        "mutually exclusive with shuffle",
    ),
    (
        lambda: data.DataLoader(Squares(2), 2, batch_sampler=[[0]]),
        ValueError,
        "batch_sampler option is mutually",
    ),
    (lambda: data.DataLoader(Squares(2), None, drop_last=True), ValueError, "disables auto-batching"),
    (lambda: data.DataLoader(Counting(2), shuffle=True), ValueError, "expected unspecified shuffle option"),
    (lambda: data.DataLoader(Counting(2), sampler=[0]), ValueError, "expected unspecified sampler option"),
    (
        lambda: data.DataLoader(Squares(2), batch_size=0),
        ValueError,
        "batch_size should be a positive integer",
    ),
    (
        lambda: data.DataLoader(Squares(0), shuffle=True),
        ValueError,
        "num_samples should be a positive integer",
    ),
    (
        lambda: data.DataLoader(Squares(2), prefetch_factor=2),
        ValueError,
        "prefetch_factor option could only be",
    ),
    (
        lambda: data.DataLoader(Squares(2), num_workers=1, prefetch_factor=-1),
        ValueError,
        "prefetch_factor option should be non-negative",
    ),
    (
        lambda: iter(data.DataLoader(Squares(2), num_workers=1, prefetch_factor=0)),
        AssertionError,
        "prefetch_factor must be greater than 0",
    ),
    (
        lambda: data.DataLoader(Squares(2), persistent_workers=True),
        ValueError,
        "persistent_workers option needs num_workers > 0",
    ),
    (
        lambda: data.DataLoader(Squares(2), multiprocessing_context="spawn"),
        ValueError,
        "multiprocessing_context can only be used with multi-process loading",
    ),
    (
        lambda: data.DataLoader(Squares(2), num_workers=1, multiprocessing_context="thread"),
        ValueError,
        "multiprocessing_context option should specify a valid start method in",
    ),
    (
        lambda: data.DataLoader(Squares(2), num_workers=1, multiprocessing_context=3),
        TypeError,
        "multiprocessing_context option should be a valid context object",
    ),
    (
        lambda: iter(data.DataLoader(Squares(2), timeout=2)),
        AssertionError,
        "_SingleProcessDataLoaderIter requires timeout == 0",
    ),
    (lambda: setattr(data.DataLoader(Squares(2)), "batch_size", 3), ValueError, "should not be set after"),
    (
        lambda: data.TensorDataset(flambeau.zeros(2), flambeau.zeros(3)),
        AssertionError,
        "Size mismatch between tensors",
    ),
    (lambda: data.ConcatDataset([]), AssertionError, "should not be an empty iterable"),
    (lambda: data.StackDataset(), ValueError, "At least one dataset"),
    (lambda: data.random_split(range(5), [2, 2]), ValueError, "does not equal the length"),
    (lambda: data.Dataset()[0], NotImplementedError, "should implement __getitem__"),
    (lambda: data.DistributedSampler(range(3), 2, 2), ValueError, "Invalid rank 2"),
    (lambda: data.WeightedRandomSampler([[1.0]], 1), ValueError, "weights should be a 1d sequence"),
    (lambda: data.BatchSampler([0], 1.5, False), ValueError, "positive integer value"),
]


@pytest.mark.parametrize(("action", "kind", "text"), REFUSED)
def test_refusals(action, kind, text):
    with pytest.raises(kind, match=text):
        action()


def test_advice_on_the_number_of_workers():
    with pytest.warns(UserWarning, match="This DataLoader will create 5000 worker processes in total"):
        data.DataLoader(Squares(2), num_workers=5000)
    with pytest.warns(UserWarning, match="'pin_memory' argument is set as true but no accelerator is found"):
        assert plain(list(data.DataLoader(Squares(2), 2, pin_memory=True))) == [[[0, 1], [0, 1]]]


def test_joining_by_type():
    class Own:
        def __init__(self, value):
            self.value = value

    def join(batch, *, collate_fn_map=None):
        return Own(sum(item.value for item in batch))

    from flambeau.utils.data._utils.collate import collate, default_collate_fn_map

    functions = {**default_collate_fn_map, Own: join}
    joined = collate([(Own(1), numpy.ones(2), numpy.float32(2))] * 3, collate_fn_map=functions)
    assert joined[0].value == 3
    assert plain(joined[1:]) == [[[1, 1]] * 3, [2, 2, 2]]
    default_collate_fn_map[Own] = join
    try:
        assert data.default_collate([Own(1), Own(5)]).value == 6
    finally:
        del default_collate_fn_map[Own]


def test_arrays_of_different_types_and_odd_memory():
    mixed = data.default_collate([numpy.ones(2, "float32"), numpy.ones(2, "float64")])
    assert str(mixed.dtype) == "torch.float64"
    turned = [numpy.arange(6.0).reshape(2, 3).T + i for i in range(3)]
    assert data.default_collate(turned).tolist() == [array.tolist() for array in turned]
    assert data.default_collate([numpy.ones((0, 3))] * 2).shape == (2, 0, 3)


def test_names_that_libraries_import():
    from flambeau.utils.data._utils import collate, fetch, pin_memory, worker
    from flambeau.utils.data.dataloader import default_collate
    from flambeau.utils.data.distributed import DistributedSampler

    assert collate.default_collate is default_collate is data.default_collate
    assert worker.get_worker_info() is None
    assert DistributedSampler is data.DistributedSampler
    fetched = fetch._MapDatasetFetcher(Squares(3), True, data.default_collate, False).fetch([1, 2])
    assert plain(fetched) == [[1, 2], [1, 4]]
    assert plain(pin_memory.pin_memory({"a": (flambeau.ones(1), "b")})) == {"a": [[1.0], "b"]}
