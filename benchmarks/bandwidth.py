"""Kernels that are bound by memory, against the machine's copy bandwidth: ``python -m benchmarks.bandwidth``.

The copy bandwidth is the best rate (bytes read plus bytes written) of several ways to copy 4M float32. It is measured in
the same rounds as the kernels, because on a virtual machine it changes with the place of the processors: they may share a
cache at one moment and not at the next. Beside each kernel's time stands the time of its arithmetic alone, on data in the
nearest caches: where that is longer than the bytes need, no store or prefetch can reach the bandwidth. A kernel that reads
two arrays and writes one is to be compared with the sum of two arrays: reading is slower than writing past the caches.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.measure import IDLE_SECONDS

COLUMNS = 1024
ROWS = 4096  # 16 MiB
# both in the second cache; from 64 on the gradient of layer normalisation sums its rows in equally many pieces
CACHED_ROWS, FEWER_ROWS = 80, 64
ITEM = 4


@dataclass
class Kernel:
    """`build(torch, rows)` gives the call to time; `arrays` is how many arrays of (rows, COLUMNS) it must move."""

    name: str
    arrays: int
    build: Callable[[Any, int], Callable[[], Any]]
    times: dict[str, list[float]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return self.arrays * ROWS * COLUMNS * ITEM


def matrix(torch, rows: int):
    return torch.randn(rows, COLUMNS)


def forward(function: Callable) -> Callable:
    """A call of function(torch, x, y) without gradients."""

    def build(torch, rows: int):
        x, y = matrix(torch, rows), matrix(torch, rows)
        return lambda: function(torch, x, y)

    return build


def backward(function: Callable) -> Callable:
    """The backward pass alone of function(torch, x, weight, bias)."""

    def build(torch, rows: int):
        x, g = matrix(torch, rows).requires_grad_(), matrix(torch, rows)
        weight, bias = torch.ones(COLUMNS, requires_grad=True), torch.zeros(COLUMNS, requires_grad=True)
        y, parameters = function(torch, x, weight, bias)
        return lambda: torch.autograd.grad(y, (x, *parameters), g, retain_graph=True)

    return build


def chain(torch, rows: int):
    x, y = matrix(torch, rows), matrix(torch, rows)

    def call(a, b):
        return torch.tanh(a * b + 1) * b - a

    made = torch.compile(call) if torch.__name__ == "flambeau" else call
    return lambda: made(x, y)


def normalised(torch, x, weight, bias):
    return torch.nn.functional.layer_norm(x, (COLUMNS,), weight, bias)


def kernels() -> list[Kernel]:
    return [
        Kernel("clone", 2, forward(lambda torch, x, y: x.clone())),
        Kernel("add", 3, forward(lambda torch, x, y: x + y)),
        Kernel("exp", 2, forward(lambda torch, x, y: torch.exp(x))),
        Kernel("compiled tanh(a*b+1)*b-a", 3, chain),
        Kernel("gelu", 2, forward(lambda torch, x, y: torch.nn.functional.gelu(x))),
        Kernel("gelu, backward", 3, backward(lambda torch, x, w, b: (torch.nn.functional.gelu(x), ()))),
        Kernel("softmax", 2, forward(lambda torch, x, y: x.softmax(-1))),
        Kernel("softmax, backward", 3, backward(lambda torch, x, w, b: (x.softmax(-1), ()))),
        Kernel("layer norm", 2, forward(lambda torch, x, y: normalised(torch, x, y[0], y[0]))),
        Kernel("layer norm, backward", 3, backward(lambda torch, x, w, b: (normalised(torch, x, w, b), (w, b)))),
    ]  # fmt: skip


def copies() -> dict[str, Callable[[], Any]]:
    """Ways to copy an array of the kernels' size: NumPy's, and our kernel with either store, into fresh or old memory."""
    import numpy as np

    from flambeau.backend.cpu import host, pointwise, runtime
    from flambeau.backend.cpu.emit import ScalarFunction
    from flambeau.ir.expr import leaf

    count = ROWS * COLUMNS
    source, target = np.ones(count, np.float32), np.zeros(count, np.float32)
    ways: dict[str, Callable[[], Any]] = {"NumPy": lambda: np.copyto(target, source)}
    given, taken = runtime.allocate(count * ITEM), runtime.allocate(count * ITEM)
    np.copyto(host.array_over(runtime.address(given), ((count,), "<f4", (ITEM,))), source)
    function = ScalarFunction([leaf("input", 0, "f32")])
    for store, streamed in (("ordinary", False), ("streaming", True)):
        address = pointwise.kernel(function, ("f32", "f32"), 1, (1, 1), True, (), streamed)
        step = [(address, [runtime.FIRST, runtime.FIRST + 1], count, 32768)]
        fresh = runtime.program([count * ITEM], 1, step, release_gil=True)
        old = runtime.program([], 2, step, release_gil=True)
        ways[f"{store} stores, fresh memory"] = lambda fresh=fresh: fresh(given, 0)
        ways[f"{store} stores, old memory"] = lambda old=old: old(taken, 0, given, 0)
    return ways


def seconds(call: Callable[[], Any], number: int = 2) -> float:
    """Time of a call, after one that brings everything into its usual state."""
    call()
    start = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - start) / number


def arithmetic(torch, kernel: Kernel, threads: int) -> float:
    """Seconds that the kernel would take if memory cost nothing: measured in cache on one thread, per element."""
    torch.set_num_threads(1)
    more, fewer = kernel.build(torch, CACHED_ROWS), kernel.build(torch, FEWER_ROWS)
    rounds = [(seconds(more, 20), seconds(fewer, 20)) for _ in range(60)]  # in turn: the clock's rate changes
    torch.set_num_threads(threads)
    spent = min(a for a, _ in rounds) - min(b for _, b in rounds)
    return spent * ROWS / (CACHED_ROWS - FEWER_ROWS) / threads


def main(arguments: list[str] | None = None) -> int:
    """Print the copy bandwidth, then a line for each kernel."""
    parser = argparse.ArgumentParser("python -m benchmarks.bandwidth", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args(arguments)
    import flambeau

    sides: dict[str, Any] = {"flambeau": flambeau}
    try:
        import torch

        sides["torch"] = torch
    except ImportError:
        pass
    for module in sides.values():
        module.set_num_threads(options.threads)
    ways = copies()
    listed = kernels()
    calls = {(k.name, side): k.build(module, ROWS) for k in listed for side, module in sides.items()}
    copied: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            copied[name].append(seconds(way))
        for side in sides:
            time.sleep(IDLE_SECONDS)
            for kernel in listed:
                kernel.times.setdefault(side, []).append(seconds(calls[kernel.name, side]))
    report(
        options.threads, copied, listed, {k.name: arithmetic(flambeau, k, options.threads) for k in listed}
    )
    return 0


def report(
    threads: int, copied: dict[str, list[float]], listed: list[Kernel], alone: dict[str, float]
) -> None:
    size = 2 * ROWS * COLUMNS * ITEM
    print(f"Copying 4M float32 with {threads} threads (NumPy: 1), bytes read and written:")
    rates = {name: size / statistics.median(times) for name, times in copied.items()}
    for name, one in rates.items():
        print(f"  {name:32s} {one / 1e9:6.1f} GB/s")
    best = [size / min(times) for times in zip(*copied.values())]
    rate = statistics.median(best)
    print(
        f"\n| kernel | MB | ms | GB/s | of the copy's rate | arithmetic alone, ms | bound by | PyTorch, ms |\n{'|---' * 8}|"
    )
    for kernel in listed:
        own = statistics.median(kernel.times["flambeau"])
        other = statistics.median(kernel.times["torch"]) if "torch" in kernel.times else float("nan")
        # against the copies of the same round
        share = statistics.median(kernel.bytes / t / b for t, b in zip(kernel.times["flambeau"], best))
        bound = "memory" if kernel.bytes / rate >= alone[kernel.name] else "arithmetic"
        print(
            f"| {kernel.name} | {kernel.bytes / 1e6:.0f} | {own * 1e3:.2f} | {kernel.bytes / own / 1e9:.0f} "
            f"| {share:.0%} | {alone[kernel.name] * 1e3:.2f} | {bound} | {other * 1e3:.2f} |"
        )


if __name__ == "__main__":
    raise SystemExit(main())
