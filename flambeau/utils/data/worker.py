"""What a worker process does: waits for indices, makes batches, sends them."""

from __future__ import annotations

import os
import pickle
import random
import select
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from functools import partial
from typing import Any

import flambeau
from flambeau.backend.cpu.shared import AVAILABLE

from .fetch import _DatasetKind, fetcher_of
from .transport import Sender, set_current_sender

__all__ = ["BATCH", "END", "ERROR", "WorkerInfo", "get_worker_info", "numpy_seed", "reraise", "worker_main"]

BATCH, END, ERROR = 0, 1, 2  # kinds of messages from a worker
RESUME = -1  # in place of a task: start over, for a new pass
STOP = b""


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker knows about itself.

    id: its number, from 0. num_workers: how many there are. seed: of its random numbers. dataset: its copy.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """What a dataset may ask about the worker that it runs in; None in the process of the program itself."""
    return _worker_info


# -- random numbers ----------------------------------------------------------------------------------------------------


def numpy_seed(base_seed: int, worker_id: int) -> list[int]:
    """The seed of NumPy's own random numbers in a worker: 4 words that `numpy.random.SeedSequence` would give.

    Source: M. E. O'Neill, "Developing a seed_seq alternative", 2015.
    """
    mask = 0xFFFFFFFF
    multiplier = 0x43B0D7E5

    def mixed(value: int) -> int:
        nonlocal multiplier
        value = (value ^ multiplier) & mask
        multiplier = multiplier * 0x931E8875 & mask
        value = value * multiplier & mask
        return value ^ value >> 16

    pool = [mixed(word) for word in (worker_id, base_seed & mask, base_seed >> 32 & mask, 0)]
    for source in range(4):
        for target in range(4):
            if source != target:
                both = (0xCA01F9DD * pool[target] - 0x4973F715 * mixed(pool[source])) & mask
                pool[target] = both ^ both >> 16
    factor, words = 0x8B51F9DD, []
    for word in pool:
        word ^= factor
        factor = factor * 0x58F38DED & mask
        word = word * factor & mask
        words.append(word ^ word >> 16)
    return words


class _SeedsNumpy:
    """Seeds NumPy when the dataset first imports it: importing it just to seed it would delay every worker."""

    def __init__(self, seed: list[int]) -> None:
        self.seed = seed

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Nothing of its own: finds ``numpy.random`` as usual, and seeds it once it is loaded."""
        if name != "numpy.random" or self not in sys.meta_path:
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_seed(module: Any) -> None:
                execute(module)
                module.seed(self.seed)

            spec.loader.exec_module = execute_and_seed  # type: ignore[method-assign]
        return spec


def seed_everything(base_seed: int, worker_id: int) -> int:
    """Seed `random`, Flambeau and NumPy for a worker; the seed of the first two."""
    seed = base_seed + worker_id
    random.seed(seed)
    flambeau.manual_seed(seed)
    words = numpy_seed(base_seed, worker_id)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(words)
    else:
        sys.meta_path.insert(0, _SeedsNumpy(words))  # type: ignore[arg-type]
    return seed


# -- errors ------------------------------------------------------------------------------------------------------------


class _KeyText(str):
    """A text that KeyError, which shows the `repr` of what it is given, shows as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def described_error(error: BaseException, where: str) -> tuple[type, str]:
    """The type of an error, and its traceback as text."""
    trace = "".join(traceback.format_exception(error))
    return type(error), f"Caught {type(error).__name__} {where}.\nOriginal {trace}"


def reraise(described: tuple[type, str]) -> None:
    """Raise an error of a worker here: of its type where that can be made from a text, else RuntimeError."""
    kind, text = described
    if kind is KeyError:
        text = _KeyText(text)
    try:
        make: Any = kind
        error = make(message=text) if getattr(kind, "message", None) else make(text)
    except Exception:
        error = RuntimeError(text)
    raise error


# -- the process -------------------------------------------------------------------------------------------------------


@dataclass
class Assignment:
    """All that a worker must know at its start."""

    kind: int
    dataset: Any
    auto_collation: bool
    collate_fn: Any
    drop_last: bool
    base_seed: int
    worker_init_fn: Any
    worker_id: int
    num_workers: int

    def fetcher(self) -> Any:
        """The function from indices to a batch."""
        return fetcher_of(self.kind, self.dataset, self.auto_collation, self.collate_fn, self.drop_last)


def worker_main(assignment: Assignment, connection: Any, inherited: tuple[Any, ...]) -> None:
    """The life of a worker. `inherited`: connections that a fork has copied and that are not for this process."""
    for other in inherited:
        other.close()
    _watch_parent()
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        _Worker(assignment, connection).run()
    except (KeyboardInterrupt, EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the program was interrupted or is gone: nobody waits for what this process could say


def _watch_parent() -> None:
    """End this process within a second of the end of the one that it works for, whatever it is doing then."""
    from multiprocessing import parent_process

    parent, starter = parent_process(), os.getppid()
    if parent is None or not hasattr(select, "poll"):
        return
    waiting = select.poll()
    waiting.register(parent.sentinel, select.POLLIN)

    def watch() -> None:
        while not waiting.poll(1000) and os.getppid() == starter:
            pass
        os._exit(1)

    threading.Thread(target=watch, name="flambeau-watch", daemon=True).start()


class _Worker:
    """Makes batches for one connection."""

    def __init__(self, assignment: Assignment, connection: Any) -> None:
        global _worker_info
        self.assignment, self.connection = assignment, connection
        self.sender = Sender()
        set_current_sender(self.sender if AVAILABLE else None)
        flambeau.set_num_threads(1)
        seed = seed_everything(assignment.base_seed, assignment.worker_id)
        _worker_info = WorkerInfo(assignment.worker_id, assignment.num_workers, seed, assignment.dataset)
        self.where = f"in DataLoader worker process {assignment.worker_id}"
        self.first_error: tuple[type, str] | None = None
        self.fetch: Any = None
        self.ended = False
        self._prepare(assignment.worker_init_fn)

    def _prepare(self, worker_init_fn: Any = None) -> None:
        """Begin a pass; an error waits for the first request of a batch."""
        self.ended = False
        try:
            if worker_init_fn is not None:
                worker_init_fn(self.assignment.worker_id)
            self.fetch = self.assignment.fetcher()
        except Exception as error:
            self.first_error = described_error(error, self.where)

    def run(self) -> None:
        """Answer requests until told to stop."""
        while True:
            request = self.connection.recv_bytes()
            if request == STOP:
                return
            task, indices, returned = pickle.loads(request)
            self.sender.take_back(returned)
            if task == RESUME:
                self._prepare()
            elif not self.ended:
                self._answer(task, indices)

    def _answer(self, task: int, indices: Any) -> None:
        try:
            kind, value = self._batch(indices)
            pack = self._pack_error if kind == ERROR else partial(self.sender.pack, kind=kind)
            message, descriptors = pack(task, value=value)
        except Exception as error:
            self.sender.discard()
            message, descriptors = self._pack_error(task, value=described_error(error, self.where))
        self.connection.send_bytes(message)
        for descriptor in descriptors:
            from multiprocessing.reduction import send_handle

            send_handle(self.connection, descriptor, os.getppid())
            os.close(descriptor)

    def _batch(self, indices: Any) -> tuple[int, Any]:
        """Kind and value of the message that answers a request."""
        if self.first_error is not None:
            described, self.first_error = self.first_error, None
            return ERROR, described
        try:
            return BATCH, self.fetch(indices)
        except StopIteration as error:
            self.sender.discard()
            if self.assignment.kind != _DatasetKind.Iterable:
                return ERROR, described_error(error, self.where)
            self.ended = True
            return END, None

    def _pack_error(self, task: int, value: tuple[type, str]) -> tuple[bytes, list[int]]:
        try:
            return self.sender.pack(task, ERROR, value)
        except Exception:  # a type that only this process knows
            self.sender.discard()
            return self.sender.pack(task, ERROR, (RuntimeError, value[1]))
