"""Loads damaged checkpoints, many of them: ``python -m tests.serialization.fuzz --count 100000``.

Every file must give an error or a correct result: no crash, no hang, nothing called or imported, and no memory
beyond ten times the file's size. Each run of cases is a process of its own, so that a crash is seen and named.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import io
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import tracemalloc
import types
import warnings
from pathlib import Path
from typing import Any

import flambeau as torch
from flambeau.serialization import loading
from tests.serialization import mutate

SECONDS_A_FILE = 5
MOST_MEMORY = 10  # times the size of the file
PYTHON_ITSELF = 1 << 20  # bytes of objects that a reader needs for the smallest file
TRACED, COMPARED = (
    64,
    4,
)  # every how many-th case is traced for memory, and read by Python's own unpickler too
A_PROCESS = 50_000
#: errors that say that the file is at fault
EXPECTED = (pickle.UnpicklingError, RuntimeError, ValueError, EOFError)


class Wrong(Exception):
    """A damaged file was not treated as it should be."""


class Guard:
    """Notes every call and import that a file may have caused."""

    def __init__(self) -> None:
        self.active, self.seen = False, []
        tripwire: Any = types.ModuleType(mutate.TRIPWIRE)
        tripwire.snap = lambda *arguments: self.seen.append("the tripwire was called")
        sys.modules[mutate.TRIPWIRE] = tripwire
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple) -> None:
        if self.active and event.split(".")[0] in _EVENTS and not event.startswith(_HARMLESS):
            self.seen.append(f"{event} {arguments!r}"[:200])


_EVENTS = {
    "import",
    "exec",
    "compile",
    "open",
    "os",
    "subprocess",
    "socket",
    "shutil",
    "ctypes",
    "marshal",
    "pty",
}
_HARMLESS = ("ctypes.addressof", "ctypes.string_at", "ctypes.cdata", "ctypes.from_address")


def case(seeds: list[mutate.Seed], seed: int, number: int) -> bytes:
    """The damaged file of a number; the same in every process."""
    chance = random.Random((seed << 40) + number)
    return mutate.mutated(chance.choice(seeds), chance)


def check(data: bytes, number: int, guard: Guard) -> str:
    """Load one file and give the outcome as a word; raise `Wrong` for a wrong one."""
    from flambeau.backend.cpu import runtime

    traced = number % TRACED == 0
    runtime.reset_peak()
    before = runtime.memory_stats()["in_use"]
    if traced:
        tracemalloc.start()
    guard.active = True
    try:
        value = torch.load(io.BytesIO(data))
    except EXPECTED as error:
        value, outcome = None, type(error).__name__
    except Exception as error:
        raise Wrong(f"{type(error).__name__}: {error}") from error
    else:
        outcome = "loaded"
    finally:
        guard.active = False
        peak = tracemalloc.get_traced_memory()[1] if traced else 0
        if traced:
            tracemalloc.stop()
    used = runtime.memory_stats()["peak"] - before
    if used > MOST_MEMORY * len(data) + 4096 or peak > MOST_MEMORY * len(data) + PYTHON_ITSELF:
        raise Wrong(f"a file of {len(data)} bytes took {used} bytes for tensors and {peak} for objects")
    if guard.seen:
        raise Wrong(f"the file caused {guard.seen[0]}")
    if outcome == "loaded":
        shown = described(value)
        if number % COMPARED == 0 and data[:2] in (b"PK", b"\x80\x02"):
            compare(data, shown)
    return outcome


def compare(data: bytes, shown: Any) -> None:
    """Python's own unpickler, with the same tensors, reads the same value, where it can read the file.

    Programs in frames are left out: where a frame does not fit, that one goes astray and ours goes on.
    """
    if b"\x95" in data:
        return
    try:
        theirs = loading.load(io.BytesIO(data), None, None, False, False, {})
    except Exception:
        return  # it is stricter about what is left on the stack
    if (again := described(theirs)) != shown:
        raise Wrong(f"read as\n{str(shown)[:1500]}\nand by Python's unpickler as\n{str(again)[:1500]}")


def described(value: Any) -> Any:
    """A value as plain data; every tensor is checked to lie in its storage, and both its ends are read."""
    seen: dict[int, int] = {}
    out: list[Any] = []
    work = [value]
    while work and len(out) < 20_000:
        x = work.pop()
        if isinstance(x, (list, tuple, dict, set, frozenset)) or hasattr(x, "__dict__"):
            if id(x) in seen:
                out.append(("again", seen[id(x)]))
                continue
            seen[id(x)] = len(seen)
        if isinstance(x, torch.Tensor):
            out.append(_tensor(x))
            work += [part for pair in x.__dict__.items() for part in pair]
        elif isinstance(x, dict):
            out.append((type(x).__name__, len(x)))
            pairs = [*x.items(), *getattr(x, "__dict__", {}).items()]
            work += [part for pair in pairs for part in pair]
        elif isinstance(x, (list, tuple)):
            out.append((type(x).__name__, len(x)))
            work += x
        elif isinstance(x, (set, frozenset)):
            out.append((type(x).__name__, len(x)))
        elif "Storage" in type(x).__name__:
            out.append((type(x).__name__, x.nbytes() if hasattr(x, "nbytes") else x.name))
        else:
            out.append(
                repr(x) if isinstance(x, (int, float, complex, str, bytes, type(None))) else type(x).__name__
            )
    return out


def _tensor(x: Any) -> tuple:
    where, ends = x._layout, None
    if x._memory is not None and where.extent:
        size, item = x.untyped_storage().nbytes(), where.dtype.itemsize
        if not 0 <= x._offset <= x._offset + where.extent * item <= size:
            raise Wrong(f"a tensor reaches beyond its storage: {where} at {x._offset} of {size}")
        first = x.untyped_storage().data_ptr() + x._offset
        ends = (ctypes.string_at(first, item), ctypes.string_at(first + (where.extent - 1) * item, item))
    return (type(x).__name__, str(where), x._offset, x.requires_grad, ends)


def run(count: int, seed: int, first: int = 0, progress: str | None = None) -> collections.Counter:
    """Check `count` files in this process; gives how often each outcome came.

    Raises: Wrong with the number of the first file that was not treated as it should be.
    """
    warnings.simplefilter("ignore")
    made, guard = mutate.seeds(), Guard()
    for one in made:  # everything that is imported on first use
        described(torch.load(io.BytesIO(one.data)))
        loading.load(io.BytesIO(one.data), None, None, False, False, {})
    outcomes: collections.Counter = collections.Counter()
    old = signal.signal(signal.SIGALRM, _hangs)
    place = os.open(progress, os.O_WRONLY | os.O_CREAT) if progress else None
    try:
        for number in range(first, first + count):
            data = case(made, seed, number)
            if place is not None:
                os.pwrite(place, number.to_bytes(8, "little"), 0)
            signal.setitimer(signal.ITIMER_REAL, SECONDS_A_FILE)
            try:
                outcomes[check(data, number, guard)] += 1
            except Wrong as error:
                raise Wrong(f"file {number} of seed {seed}: {error}") from error
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, old)
        if place is not None:
            os.close(place)
    return outcomes


def _hangs(number: int, frame: Any) -> None:
    raise Wrong(f"no end after {SECONDS_A_FILE} s")


def _limit_memory() -> None:
    """Half a gigabyte more than the process has: an allocation of any size that a file claims then fails."""
    import resource

    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (512 << 20), resource.RLIM_INFINITY))


def main(arguments: list[str] | None = None) -> int:
    """Run the cases in processes of their own and print the outcomes."""
    parser = argparse.ArgumentParser("python -m tests.serialization.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="files to load (default: 100000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first file, to repeat a failure")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--progress", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        if Path("/proc/self/statm").exists():
            _limit_memory()
        outcomes = run(options.count, options.seed, options.first, options.progress)
        print(repr(dict(outcomes)))
        return 0
    return _supervise(options)


def _supervise(options: argparse.Namespace) -> int:
    import ast
    import tempfile

    total: collections.Counter = collections.Counter()
    start, done = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        progress = str(Path(folder) / "number")
        while done < options.count:
            part = min(A_PROCESS, options.count - done)
            first = options.first + done
            command = [sys.executable, "-m", "tests.serialization.fuzz", "--worker", "--count", str(part)]
            command += ["--seed", str(options.seed), "--first", str(first), "--progress", progress]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                number = (
                    int.from_bytes(Path(progress).read_bytes(), "little")
                    if Path(progress).exists()
                    else first
                )
                print(result.stderr[-4000:])
                print(
                    f"ended with {result.returncode} at file {number}: --seed {options.seed} --first {number} --count 1"
                )
                return 1
            total.update(ast.literal_eval(result.stdout.strip().splitlines()[-1]))
            done += part
            rate = done / (time.monotonic() - start)
            print(f"{done} files, {rate:.0f} a second: {dict(total)}", flush=True)
    print(f"clean: {done} damaged files (seed {options.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
