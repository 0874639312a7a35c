"""Checkpoints: reading, mapping and writing a state dict of 500 MB, and one of many small tensors."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from functools import cache

from benchmarks.measure import Row

GROUP = "checkpoints"
LAYERS, ROWS_A_LAYER, COLUMNS = 98, 1024, 1250  # 502 MB of float32
SMALL = 2000


def large(torch) -> dict:
    """A state dict of 500 MB."""
    return {f"layer{k}.weight": torch.ones(ROWS_A_LAYER, COLUMNS) for k in range(LAYERS)}


def small(torch) -> dict:
    """A state dict of many small tensors, whose time goes into describing them."""
    return {f"layer{k}.weight": torch.ones(10, 10) for k in range(SMALL)}


@cache
def folder() -> tempfile.TemporaryDirectory:
    """Holds the files until the process ends."""
    return tempfile.TemporaryDirectory(prefix="flambeau-checkpoints-")


def file_of(torch, make: Callable) -> str:
    """The path of a file that both libraries read; the first one that asks writes it."""
    path = os.path.join(folder().name, f"{make.__name__}.pt")
    if not os.path.exists(path):
        torch.save(make(torch), path)
    return path


def load(make: Callable, **options) -> Callable:
    """A build function for reading a file; the pages are in the system's cache."""

    def build(torch):
        path = file_of(torch, make)
        return lambda: torch.load(path, **options)

    return build


class Sink:
    """Takes bytes and forgets them: what is left is the library's own work."""

    def write(self, data) -> int:
        return memoryview(data).nbytes

    def flush(self) -> None:
        pass


def save_to_nowhere(torch):
    state = large(torch)
    return lambda: torch.save(state, Sink())


def save_small(torch):
    state = small(torch)
    return lambda: torch.save(state, io.BytesIO())


ROWS = [
    Row("load 500 MB", GROUP, load(large), 1.0),
    Row("load 500 MB, mapped", GROUP, load(large, mmap=True), 1.0),
    Row("load 2000 small tensors", GROUP, load(small), 1.0),
    Row("save 500 MB, without the disk", GROUP, save_to_nowhere, 1.2),
    Row("save 2000 small tensors", GROUP, save_small, 1.2),
]
