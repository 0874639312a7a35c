"""The example programs: what they reach, and that they are PyTorch programs, number by number."""

from __future__ import annotations

import pytest

import flambeau
from benchmarks.programs import example
from flambeau.data import load_digits


def test_the_digits_are_the_ones_of_the_source():
    images, labels = load_digits()
    assert images.shape == (1797, 8, 8)
    assert images.dtype is flambeau.uint8
    assert labels.dtype is flambeau.int64
    assert [int(images.min()), int(images.max())] == [0, 16]
    # Counts by class and the first row, from the description in the repository that the file comes from.
    assert flambeau.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert images[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]


def test_train_and_test_digits_do_not_overlap():
    (train, train_labels), (test, test_labels) = example("flambeau")["split_digits"]()
    assert len(train) == len(train_labels) == 1437
    assert len(test) == len(test_labels) == 360
    seen = {row.numpy().tobytes() for row in train}
    assert not any(row.numpy().tobytes() in seen for row in test)


def test_the_same_seed_gives_the_same_network():
    first, again, other = (example("flambeau")["train"](epochs=1, seed=seed) for seed in (3, 3, 4))
    assert first[1] == again[1]
    assert first[1] != other[1]
    assert all(flambeau.equal(a, b) for a, b in zip(first[0].parameters(), again[0].parameters()))


@pytest.mark.parity
def test_the_digits_example_follows_pytorch_loss_by_loss(oracle):
    ours, theirs = (example(module)["train"](epochs=1)[1] for module in ("flambeau", "torch"))
    # Sums round in another order, and training multiplies what differs by about 1.5 a step.
    assert ours[:4] == pytest.approx(theirs[:4], rel=1e-6)
    assert ours == pytest.approx(theirs, rel=1e-3)
