"""Data loading: batches of rows in memory, samples made in Python, worker processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.measure import Row
from benchmarks.processes import ProcessRow, program

GROUP = "data loading"


class Arrays:
    """6,400 images of 28x28 as NumPy arrays, one `__getitem__` each."""

    def __init__(self, count: int = 6400) -> None:
        import numpy

        self.images = numpy.random.default_rng(0).random((count, 28, 28), dtype="float32")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        return self.images[index], index % 10


def one_pass(loader: Any) -> Callable[[], None]:
    """All batches of a loader, which are dropped at once."""

    def call() -> None:
        for _ in loader:
            pass

    return call


def rows(width: int, **options: Any) -> Callable:
    """`TensorDataset` of 6,400 rows and labels, in batches of 32."""

    def build(torch):
        dataset = torch.utils.data.TensorDataset(torch.randn(6400, width), torch.randint(0, 10, (6400,)))
        return one_pass(torch.utils.data.DataLoader(dataset, batch_size=32, **options))

    return build


def samples(**options: Any) -> Callable:
    """A dataset of Python code, in batches of 32; the workers stay from pass to pass."""

    def build(torch):
        if options.get("num_workers"):
            options["persistent_workers"] = True
        return one_pass(torch.utils.data.DataLoader(Arrays(), batch_size=32, **options))

    return build


ROWS = [
    Row("TensorDataset 6,400x32, batches of 32", GROUP, rows(32), 0.1),
    Row("TensorDataset 6,400x32, batches of 32, shuffled", GROUP, rows(32, shuffle=True), 0.1),
    Row("TensorDataset 6,400x784, batches of 32, shuffled", GROUP, rows(784, shuffle=True), 0.1),
    Row("28x28 arrays one by one, batches of 32, 0 workers", GROUP, samples(), 1 / 1.3),
    Row("28x28 arrays one by one, batches of 32, 2 workers", GROUP, samples(num_workers=2), 1 / 1.5),
]
PROCESS_ROWS = [
    ProcessRow(
        "first batch with 2 workers",
        "s",
        program("first_batch"),
        lambda times: times["torch"] / 2,
        group=GROUP,
    ),
]
