"""Workers give PyTorch's batches in its order, with its random numbers, and leave the stream where it leaves it."""

from __future__ import annotations

import itertools
import random
import warnings

import numpy
import pytest

import flambeau
from flambeau.utils import data
from flambeau.utils.data.worker import numpy_seed

pytestmark = pytest.mark.parity


def plain(value):
    """Nested lists of a batch."""
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value


class Noisy:
    """Samples that say which random numbers a worker sees."""

    def __init__(self, torch, count: int = 23) -> None:
        self.torch, self.count = torch, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        draw = self.torch.rand(2, dtype=self.torch.float64)
        return {"index": index, "torch": draw, "numpy": numpy.random.rand(), "python": random.random()}


def iterable(library, torch, count: int = 17):
    class Shards(library.IterableDataset):
        def __iter__(self):
            info = library.get_worker_info()
            first, step = (0, 1) if info is None else (info.id, info.num_workers)
            for index in range(first, count, step):
                yield index, torch.rand(1).item()

    return Shards()


def outcome(library, torch, make, passes: int = 2, between: bool = False):
    """All batches of some passes, and the next random numbers of this process."""
    torch.manual_seed(11)
    random.seed(3)
    numpy.random.seed(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader = make(library, torch)
        found = []
        for _ in range(passes):
            for batch in loader:
                found.append(plain(batch))
                if between:  # numbers drawn by the program between batches
                    found.append(torch.rand(1).item())
        return found, torch.rand(1).item(), random.random(), numpy.random.rand()


def same(oracle, make, **options):
    import torch.utils.data as reference

    assert outcome(data, flambeau, make, **options) == outcome(reference, oracle, make, **options)


ORDERS = {
    "in order": lambda d, t, n: {},
    "shuffled": lambda d, t, n: {"shuffle": True},
    "own generator": lambda d, t, n: {"shuffle": True, "generator": t.Generator().manual_seed(5)},
    "weighted": lambda d, t, n: {"sampler": d.WeightedRandomSampler([1.0 + i for i in range(n)], 30)},
    "with replacement": lambda d, t, n: {"sampler": d.RandomSampler(range(n), True, 40)},
    "subset": lambda d, t, n: {"sampler": d.SubsetRandomSampler([1, 4, 2, 8, 5, 7])},
    "batches": lambda d, t, n: {
        "batch_size": 1,
        "batch_sampler": d.BatchSampler(d.RandomSampler(range(n)), 6, True),
    },
}
WORKERS = (
    (0, {}),
    (2, {}),
    (2, {"persistent_workers": True}),
    (1, {"prefetch_factor": 3}),
    (2, {"in_order": True, "timeout": 20, "prefetch_factor": 1}),
)


@pytest.mark.parametrize(("workers", "options"), WORKERS)
@pytest.mark.parametrize("order", ORDERS)
def test_order_and_random_numbers(oracle, order, workers, options):
    def make(library, torch):
        chosen = {"batch_size": 5, **ORDERS[order](library, torch, 23)}
        return library.DataLoader(Noisy(torch), num_workers=workers, **chosen, **options)

    same(oracle, make, between=True)


@pytest.mark.parametrize(
    ("size", "drop_last", "workers"), list(itertools.product((None, 1, 4), (False, True), (0, 2)))
)
def test_sizes(oracle, size, drop_last, workers):
    if size is None and drop_last:
        return
    same(
        oracle,
        lambda d, t: d.DataLoader(Noisy(t, 9), size, True, drop_last=drop_last, num_workers=workers),
    )


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize(
    ("size", "drop_last", "workers"), [(4, False, 2), (4, True, 2), (None, False, 2), (3, False, 1)]
)
def test_iterable_datasets(oracle, size, drop_last, workers, persistent):
    def make(library, torch):
        return library.DataLoader(
            iterable(library, torch),
            size,
            drop_last=drop_last,
            num_workers=workers,
            persistent_workers=persistent,
        )

    same(oracle, make)


def test_rows_of_tensors(oracle):
    for options in ({}, {"shuffle": True}, {"shuffle": True, "drop_last": True}):
        same(
            oracle,
            lambda d, t, o=options: d.DataLoader(
                d.random_split(d.TensorDataset(t.arange(30), t.arange(60.0).view(30, 2)), [0.7, 0.3])[0],
                4,
                num_workers=2,
                **o,
            ),
        )


def test_worker_init_fn_and_info(oracle):
    def make(library, torch):
        class Asks(library.Dataset):
            def __len__(self):
                return 6

            def __getitem__(self, index):
                info = library.get_worker_info()
                assert info.dataset is self
                return index, info.id, info.num_workers, info.seed, self.offset, torch.get_num_threads()

        def begin(worker):
            library.get_worker_info().dataset.offset = worker * 100 + torch.randint(0, 50, (1,)).item()

        return library.DataLoader(Asks(), 2, num_workers=2, worker_init_fn=begin)

    same(oracle, make)


def test_samplers_that_draw_at_once(oracle):
    """PyTorch calls a sampler's __iter__ twice where there are workers."""

    def make(library, torch):
        class Eager(library.Sampler):
            def __init__(self):
                pass

            def __iter__(self):
                return iter(torch.randperm(8).tolist())

            def __len__(self):
                return 8

        return [
            batch
            for workers in (0, 2)
            for batch in library.DataLoader(list(range(8)), 3, sampler=Eager(), num_workers=workers)
        ]

    same(oracle, make)


def test_persistent_workers_after_a_pass_that_was_given_up(oracle):
    def make(library, torch):
        loader = library.DataLoader(Noisy(torch), 2, True, num_workers=2, persistent_workers=True)
        first = next(iter(loader))
        return [first, *loader]

    same(oracle, make, passes=1)


def test_nested_samples(oracle):
    samples = [
        {"a": (i, [float(i), numpy.float32(i)]), "b": numpy.full((2, 3), i, "int16"), "c": "x" * i, "d": b"y"}
        for i in range(7)
    ]
    for workers in (0, 2):
        same(oracle, lambda d, t, w=workers: d.DataLoader(samples, 3, num_workers=w), passes=1)


@pytest.mark.parametrize(("base_seed", "worker"), [(0, 0), (1, 3), (2**63 - 1, 7), (123456789012345, 1)])
def test_seed_of_numpy(oracle, base_seed, worker):
    from torch.utils.data._utils.worker import _generate_state

    assert numpy_seed(base_seed, worker) == _generate_state(base_seed, worker)


FAILING = [
    ("raise KeyError('missing')", {}),
    ("raise IndexError('past the end')", {}),
    ("raise ValueError('bad value')", {}),
    ("raise UnicodeDecodeError('utf8', b'a', 0, 1, 'odd')", {}),
]


@pytest.mark.parametrize(("statement", "options"), FAILING)
def test_errors_of_samples(oracle, statement, options):
    import torch.utils.data as reference

    scope: dict = {}
    exec(f"class Failing:\n def __len__(self): return 4\n def __getitem__(self, i):\n  {statement}", scope)
    found = []
    for library in (data, reference):
        with pytest.raises(Exception) as caught:
            list(library.DataLoader(scope["Failing"](), 2, num_workers=1, **options))
        lines = str(caught.value).splitlines()
        found.append((type(caught.value).__name__, lines[0], lines[-1]))
    assert found[0][:2] == found[1][:2]
