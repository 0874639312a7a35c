"""The loader gives PyTorch's batches, in its order, and leaves the random stream where PyTorch leaves it."""

from __future__ import annotations

import pytest

import flambeau
from flambeau.utils import data

pytestmark = pytest.mark.parity


class Plain:
    """A dataset that is no `TensorDataset`."""

    def __len__(self) -> int:
        return 23

    def __getitem__(self, index: int):
        return {"a": index, "b": float(index), "c": (index, [index * 2])}


def rows(library, tensors):
    return library.TensorDataset(tensors.arange(23), tensors.arange(46.0).view(23, 2))


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value


CASES = [
    *[lambda d, t, s=s, f=f, l=l: [b for _ in range(2) for b in d.DataLoader(rows(d, t), s, shuffle=f,
    drop_last=l)]
      for s in (1, 5, 23, 30) for f in (False, True) for l in (False, True)],
    *[lambda d, t, s=s: list(d.DataLoader(Plain(), s, shuffle=True)) for s in (1, 5, None)],
    lambda d, t: list(d.DataLoader(rows(d, t), None, shuffle=True)),
    lambda d, t: [list(part) for part in d.random_split(range(10), [3, 7])],
    lambda d, t: [list(part) for part in d.random_split(range(10), [0.5, 0.25, 0.25])],
    lambda d, t: list(d.DataLoader(d.random_split(rows(d, t), [10, 13])[0], 4, shuffle=True)),
    lambda d, t: list(d.DataLoader(rows(d, t), 4, sampler=d.RandomSampler(range(23), True, 70))),
    lambda d, t: list(d.DataLoader(rows(d, t), 4, sampler=d.RandomSampler(range(23), num_samples=30))),
    lambda d, t: list(d.DataLoader(rows(d, t), 4, sampler=d.WeightedRandomSampler([0.1] * 23, 7))),
    lambda d, t: list(d.DataLoader(rows(d, t), 4, sampler=d.SubsetRandomSampler([3, 5, 7, 9, -1]))),
    lambda d, t: list(d.DataLoader(rows(d, t), 4, shuffle=True, generator=t.Generator().manual_seed(5))),
    lambda d, t: list(d.DataLoader(d.ConcatDataset([rows(d, t), rows(d, t)]), 4, shuffle=True)),
    lambda d, t: list(d.DistributedSampler(range(11), 3, 1)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_batches(oracle, case):
    oracle.manual_seed(3)
    import torch.utils.data as reference

    expected, next_number = plain(case(reference, oracle)), oracle.rand(1).item()
    flambeau.manual_seed(3)
    assert plain(case(data, flambeau)) == expected
    assert flambeau.rand(1).item() == next_number


def test_names(oracle):
    import torch.utils.data as reference

    later = {"DFIterDataPipe", "DataChunk", "IterDataPipe", "MapDataPipe", "argument_validation",
    "functional_datapipe",
             "guaranteed_datapipes_determinism", "non_deterministic", "runtime_validation",
             "runtime_validation_disabled"}  # fmt: skip
    assert set(reference.__all__) - set(data.__all__) == later
