"""Passes over the batches of a loader: made in this process, or by workers."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import flambeau

from .fetch import _DatasetKind, fetcher_of, row_batches
from .worker import END, ERROR, reraise

__all__ = ["_BaseDataLoaderIter", "_MultiProcessingDataLoaderIter", "_SingleProcessDataLoaderIter"]


class _BaseDataLoaderIter:
    """One pass over the batches of a loader."""

    _persistent_workers = False

    def __init__(self, loader: Any) -> None:
        self._dataset = loader.dataset
        self._dataset_kind = loader._dataset_kind
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._num_yielded = 0
        _warn_of_pinning(loader)
        self._sampler_iter = iter(self._index_sampler)
        # Drawn at the start of each pass, as PyTorch does for its workers: what follows depends on it.
        self._base_seed = flambeau.empty((), dtype=flambeau.int64).random_(generator=loader.generator).item()

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def __next__(self) -> Any:
        batch = self._next_data()
        self._num_yielded += 1
        if self._IterableDataset_len_called is not None and self._dataset_kind == _DatasetKind.Iterable:
            self._check_length()
        return batch

    def _next_data(self) -> Any:
        """The next batch."""
        raise NotImplementedError

    def _check_length(self) -> None:
        """Warn of more batches than an iterable dataset said that there are."""
        expected = self._IterableDataset_len_called
        if expected is None or self._num_yielded <= expected:
            return
        text = (
            f"Length of IterableDataset {self._dataset} was reported to be {expected}(when accessing "
            f"len(dataloader)), but {self._num_yielded} samples have been fetched. "
        )
        if self._num_workers:
            text += (
                "For multiprocessing data-loading, this could be caused by not properly configuring the "
                "IterableDataset replica at each worker. Please see "
                "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples."
            )
        warnings.warn(text, stacklevel=3)

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self):
        raise NotImplementedError("{} cannot be pickled", type(self).__name__)


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """Makes the batches in this process."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        if loader.timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        rows = row_batches(loader)
        if rows is not None:
            self._next_data = rows.__next__  # type: ignore[method-assign]
            return
        self._fetch = fetcher_of(
            loader._dataset_kind, loader.dataset, loader._auto_collation, loader.collate_fn, loader.drop_last
        )

    def _next_data(self) -> Any:
        return self._fetch(next(self._sampler_iter))


def _warn_of_pinning(loader: Any) -> None:
    if loader.pin_memory:
        warnings.warn(
            "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be used.",
            stacklevel=4,
        )


class _Task:
    """A batch that was asked for: by which worker, and its message once it is here."""

    __slots__ = ("answer", "number", "worker")

    def __init__(self, number: int, worker: int) -> None:
        self.number, self.worker = number, worker
        self.answer: tuple[int, Any] | None = None


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """One pass over the batches that workers make; with persistent workers, one pass after the other."""

    def __init__(self, loader: Any) -> None:
        super().__init__(
            loader
        )  # keeps no reference to the loader, which holds this iterator if it is to last
        self._prefetch_factor = loader.prefetch_factor
        self._in_order = loader.in_order
        self._timeout = loader.timeout
        self._persistent_workers = loader.persistent_workers
        self._error: str | None = None
        self._next_task = 0
        self._pool: Any = None
        if not self._prefetch_factor > 0:
            raise AssertionError("prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter")
        from .workers import WorkerPool

        self._pool = WorkerPool(loader, self._base_seed)
        self._begin(loader)

    def _begin(self, loader: Any) -> None:
        self._sampler_iter = iter(self._index_sampler)  # again: PyTorch asks a sampler twice, too
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._tasks: dict[int, _Task] = {}
        self._first_task = self._awaited = self._next_task
        self._active = [True] * self._num_workers
        self._load = [0] * self._num_workers
        self._turn = itertools.cycle(range(self._num_workers))
        for _ in range(self._prefetch_factor * self._num_workers):
            self._ask()

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        """Begin another pass with the workers that are there."""
        if self._pool is None:
            raise RuntimeError("the workers of this iterator have ended")
        for member in self._pool.members:
            member.resume()
        self._begin(loader)

    @property
    def _workers(self) -> list:
        return [] if self._pool is None else [member.process for member in self._pool.members]

    @property
    def _shutdown(self) -> bool:
        return self._pool is None

    def _shutdown_workers(self) -> None:
        """End the workers."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    # -- requests ----------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Ask the worker whose turn it is for the next batch, if there is one."""
        try:
            indices = next(self._sampler_iter)
        except StopIteration:
            return
        share = self._prefetch_factor * self._num_workers // max(sum(self._active), 1)
        for _ in range(self._num_workers):
            worker = next(self._turn)
            if self._active[worker] and (self._in_order or self._load[worker] < share):
                break
        else:
            return
        self._tasks[self._next_task] = _Task(self._next_task, worker)
        self._load[worker] += 1
        self._next_task += 1
        self._pool.members[worker].request(self._next_task - 1, indices)

    # -- answers -----------------------------------------------------------------------------------------------------

    def _next_data(self) -> Any:
        if self._pool is None:
            raise StopIteration if self._error is None else RuntimeError(self._error)
        try:
            task = self._next_answer()
        except StopIteration:
            if not self._persistent_workers:
                self._shutdown_workers()
            raise
        except (
            BaseException
        ) as error:  # a worker died, the time is up, Ctrl-C: what is in the pipes is of no use now
            self._error = str(error) if isinstance(error, Exception) else None
            self._shutdown_workers()
            raise
        self._load[task.worker] -= 1
        self._ask()
        assert task.answer is not None
        kind, content = task.answer
        value = self._pool.members[task.worker].receiver.open(content)
        if kind == ERROR:
            reraise(value)
        return value

    def _next_answer(self) -> _Task:
        """The batch that is to be yielded now."""
        while True:
            while self._awaited < self._next_task:
                task = self._tasks.get(self._awaited)
                if task is not None and (task.answer is not None or self._active[task.worker]):
                    break
                self._tasks.pop(self._awaited, None)  # its worker had nothing left
                self._awaited += 1
            else:
                self._pool.check()
                raise StopIteration
            if task.answer is not None:
                del self._tasks[self._awaited]
                self._awaited += 1
                return task
            found = self._receive()
            if found is not None and not self._in_order:
                del self._tasks[found.number]
                return found

    def _receive(self) -> _Task | None:
        """Wait for a message of a worker; the batch that it holds, or None."""
        worker, (number, kind, content) = self._pool.receive(self._timeout)
        if number < self._first_task:
            return None  # of a pass that was given up
        if kind == END:
            self._active[worker] = False
            if not self._persistent_workers:
                self._pool.members[worker].stop()
            self._ask()
            return None
        task = self._tasks[number]
        task.answer = kind, content
        return task

    def __del__(self) -> None:
        if getattr(self, "_pool", None) is not None:
            self._shutdown_workers()
