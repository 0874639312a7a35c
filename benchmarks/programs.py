"""Programs for a process of their own: ``python -m benchmarks.programs NAME MODULE`` prints one number."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def example(module: str) -> dict:
    """The names that examples/digits.py defines, the same program word for word on either side."""
    source = (ROOT / "examples" / "digits.py").read_text("utf-8")
    if module == "torch":
        source = source.replace("import flambeau as torch", "import torch")
        source = source.replace("from flambeau.data import", "from benchmarks.programs import")
        source = source.replace("from flambeau", "from torch")
    names: dict = {"__name__": "digits"}
    exec(compile(source, "digits.py", "exec"), names)
    return names


def peak(module: str) -> float:
    """Peak memory of the example's training in MB (Linux)."""
    example(module)["train"]()
    # Not getrusage: its peak counts the parent's memory at the time of the fork too.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


def load_digits():
    """The digits as PyTorch tensors."""
    import numpy
    import torch

    with numpy.load(ROOT / "flambeau" / "data" / "digits.npz") as archive:
        return torch.from_numpy(archive["images"]), torch.from_numpy(archive["labels"].astype(numpy.int64))


def growth(module: str) -> float:
    """MB of memory that 2,000 training steps add after the first 300."""
    from benchmarks.training import perceptron

    torch = importlib.import_module(module)
    torch.set_num_threads(2)
    call = perceptron(32, "Adam", lr=1e-3)(torch)
    for _ in range(300):
        call()
    before = resident()
    for _ in range(2000):
        call()
    return resident() - before


def first_batch(module: str) -> float:
    """Seconds from a new loader with 2 workers to its first batch; the library itself is warm."""
    import statistics
    import time

    from benchmarks.data import Arrays

    torch = importlib.import_module(module)
    dataset = Arrays()
    next(iter(torch.utils.data.DataLoader(dataset, batch_size=32)))
    times = []
    for _ in range(7):
        started = time.perf_counter()
        iterator = iter(torch.utils.data.DataLoader(dataset, batch_size=32, num_workers=2))
        next(iterator)
        times.append(time.perf_counter() - started)
        del iterator
    return statistics.median(times[1:])


def resident() -> float:
    """MB of memory that this process holds now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    print({"peak": peak, "growth": growth, "first_batch": first_batch}[sys.argv[1]](sys.argv[2]))
