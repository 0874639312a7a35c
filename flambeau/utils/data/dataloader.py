"""`DataLoader`: batches of a dataset, in the order of a sampler."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset
from .fetch import _DatasetKind
from .iterators import _BaseDataLoaderIter, _MultiProcessingDataLoaderIter, _SingleProcessDataLoaderIter
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from .worker import get_worker_info

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]


class _InfiniteConstantSampler(Sampler):
    """What stands for a sampler where the dataset itself decides the order."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader:
    """Iterates over the batches of a dataset.

    Args:
        dataset: a `Dataset` (or anything with ``__getitem__`` and ``__len__``), or an `IterableDataset`.
        batch_size: samples a batch; None gives single samples.
        shuffle: take them in a new random order each time.
        sampler: the order of the samples, in place of `shuffle`.
        batch_sampler: the lists of indices of the batches, in place of all of the above.
        num_workers: processes that make batches; 0 makes them in this process.
        collate_fn: joins a list of samples to a batch (`default_collate` when None).
        pin_memory: accepted; there is no page-locked memory to copy to without a GPU.
        drop_last: leave the last batch out where it is shorter.
        timeout: seconds to wait for a batch from the workers at most (0: as long as it takes).
        worker_init_fn: called with the number of each worker, in it, after seeding and before any sample is taken.
        multiprocessing_context: how workers start: "fork", "spawn", "forkserver", or a context of `multiprocessing`.
        generator: where the random numbers of the order, and the seeds of the workers, come from.
        prefetch_factor: batches that each worker prepares ahead (2 when None).
        persistent_workers: keep the workers, and their copies of the dataset, for the next pass.
        in_order: give the batches in the sampler's order; else whichever is ready first.

    With the same seeds, order and batches are those of PyTorch.

    Example::

        >>> data = flambeau.utils.data.TensorDataset(flambeau.arange(5))
        >>> [batch.tolist() for (batch,) in flambeau.utils.data.DataLoader(data, batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    __initialized = False
    _FIXED = frozenset(
        ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")
    )

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler | Iterable | None = None,
        batch_sampler: Sampler[list] | Iterable[list] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        streams = isinstance(dataset, IterableDataset)
        self.dataset, self.generator, self.in_order = dataset, generator, in_order
        self._dataset_kind = _DatasetKind.Iterable if streams else _DatasetKind.Map
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        # the number of workers decides which contexts are fit
        self.multiprocessing_context, self.persistent_workers = multiprocessing_context, persistent_workers
        if streams:
            _check_iterable(shuffle, sampler, batch_sampler)
        self._choose_samplers(batch_size, bool(shuffle), sampler, batch_sampler, drop_last)
        batches = self.batch_sampler is not None
        convert = default_collate if batches else default_convert
        self.collate_fn = convert if collate_fn is None else collate_fn
        self.__initialized = True
        self._IterableDataset_len_called: int | None = None
        self._iterator: Any = None
        self.check_worker_number_rationality()

    @property
    def multiprocessing_context(self) -> Any:
        """How worker processes are started; None for the system's way."""
        return self.__context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        self.__context = _checked_context(context, self.num_workers)

    def check_worker_number_rationality(self) -> None:
        """Warn of more workers than processors."""
        if not self.num_workers:
            return
        known = hasattr(os, "sched_getaffinity")
        most = len(os.sched_getaffinity(0)) if known else os.cpu_count()
        if most is not None and self.num_workers <= most:
            return
        advice = "DataLoader is not able to compute a suggested max number of worker in current system."
        if most is not None:
            advice = (
                f"Our suggested max number of worker in current system is {most}"
                f"{'' if known else ' (`cpuset` is not taken into account)'}, which is smaller than what this DataLoader "
                "is going to create."
            )
        warnings.warn(
            f"This DataLoader will create {self.num_workers} worker processes in total. {advice} Please be aware that "
            "excessive worker creation might get DataLoader running slow or even freeze, lower the worker number to avoid "
            "potential slowness/freeze if necessary.",
            stacklevel=3,
        )

    def _choose_samplers(self, batch_size, shuffle: bool, sampler, batch_sampler, drop_last: bool) -> None:
        """Check the options on order and batches against each other, and set what they come to."""
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            _check_batch_sampler(batch_size, shuffle, sampler, drop_last)
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
            )
        self.sampler: Any = self._order(shuffle) if sampler is None else sampler
        self.batch_size, self.drop_last = batch_size, drop_last
        self.batch_sampler: Any = (
            batch_sampler if batch_size is None else BatchSampler(self.sampler, batch_size, drop_last)
        )

    def _order(self, shuffle: bool) -> Sampler:
        """The sampler where none was given."""
        if self._streams:
            return _InfiniteConstantSampler()
        if shuffle:
            return RandomSampler(self.dataset, generator=self.generator)
        return SequentialSampler(self.dataset)

    @property
    def _streams(self) -> bool:
        return self._dataset_kind == _DatasetKind.Iterable

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__initialized and name in self._FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    def _get_iterator(self) -> _BaseDataLoaderIter:
        self.check_worker_number_rationality()
        kind = _MultiProcessingDataLoaderIter if self.num_workers else _SingleProcessDataLoaderIter
        return kind(self)

    def __iter__(self) -> Iterator[Any]:
        if not self.persistent_workers or self.num_workers == 0:
            return self._get_iterator()
        if self._iterator is None or self._iterator._shutdown:
            self._iterator = self._get_iterator()
        else:
            self._iterator._reset(self)
        return self._iterator

    def __len__(self) -> int:
        """How many batches there are."""
        if self._streams:
            length = self._IterableDataset_len_called = len(self.dataset)
            if self.batch_size is None:
                return length
            return length // self.batch_size if self.drop_last else -(-length // self.batch_size)
        return len(self._index_sampler)


def _check_workers(num_workers, timeout, prefetch_factor, persistent_workers) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_batch_sampler(batch_size, shuffle, sampler, drop_last) -> None:
    if batch_size != 1 or shuffle or sampler is not None or drop_last:
        raise ValueError(
            "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
        )


def _checked_context(context: Any, num_workers: int) -> Any:
    """A context of `multiprocessing`, from one or from the name of a start method."""
    if context is None:
        return None
    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
            f"num_workers={num_workers}"
        )
    import multiprocessing

    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {methods!r}, but got "
                f"multiprocessing_context={context!r}"
            )
        context = multiprocessing.get_context(context)
    if not isinstance(context, multiprocessing.context.BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string specifying the start method, "
            f"but got multiprocessing_context={context}"
        )
    return context


def _check_iterable(shuffle, sampler, batch_sampler) -> None:
    if shuffle not in (False, None):
        raise ValueError(
            f"DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle={shuffle}"
        )
    if sampler is not None:
        raise ValueError(
            f"DataLoader with IterableDataset: expected unspecified sampler option, but got sampler={sampler}"
        )
    if batch_sampler is not None:
        raise ValueError(
            "DataLoader with IterableDataset: expected unspecified batch_sampler option, but got "
            f"batch_sampler={batch_sampler}"
        )
