"""`DataLoader`: batches of a dataset, in the order of a sampler."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset, Subset, TensorDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = ["DataLoader", "get_worker_info"]


class _DatasetKind:
    """How samples are taken: by index, or one after the other."""

    Map = 0
    Iterable = 1


class _InfiniteConstantSampler(Sampler):
    """What stands for a sampler where the dataset itself decides the order."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


def get_worker_info() -> None:
    """What a dataset may ask about its worker: None, since batches are made in this process."""


class DataLoader:
    """Iterates over the batches of a dataset.

    Args:
        dataset: a `Dataset` (or anything with ``__getitem__`` and ``__len__``), or an `IterableDataset`.
        batch_size: samples a batch; None gives single samples.
        shuffle: take them in a new random order each time.
        sampler: the order of the samples, in place of `shuffle`.
        batch_sampler: the lists of indices of the batches, in place of all of the above.
        num_workers: processes that make batches; only 0 (this process) for now.
        collate_fn: joins a list of samples to a batch (`default_collate` when None).
        pin_memory: accepted; there is no page-locked memory to copy to without a GPU.
        drop_last: leave the last batch out where it is shorter.
        generator: where the random numbers of the order come from.

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
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        if isinstance(dataset, IterableDataset):
            self._dataset_kind = _DatasetKind.Iterable
            _check_iterable(shuffle, sampler, batch_sampler)
        else:
            self._dataset_kind = _DatasetKind.Map
            shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and "
                    "drop_last"
                )
            batch_size = None
            drop_last = False
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
            )
        if sampler is None:
            sampler = self._make_sampler(dataset, shuffle, generator)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler: Any = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self.__initialized = True
        self._IterableDataset_len_called: int | None = None
        self._iterator = None

    def _make_sampler(self, dataset: Dataset, shuffle: bool | None, generator: Any) -> Sampler:
        if self._dataset_kind == _DatasetKind.Iterable:
            return _InfiniteConstantSampler()
        return RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)

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

    def __iter__(self) -> Iterator[Any]:
        return _BatchIterator(self)

    def __len__(self) -> int:
        """How many batches there are."""
        if self._dataset_kind == _DatasetKind.Iterable:
            length = self._IterableDataset_len_called = len(self.dataset)
            if self.batch_size is None:
                return length
            return length // self.batch_size if self.drop_last else -(-length // self.batch_size)
        return len(self._index_sampler)


def _check_workers(num_workers, timeout, prefetch_factor, persistent_workers, context) -> None:
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
    if context is not None and num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
            f"num_workers={num_workers}"
        )
    if num_workers > 0:
        raise NotImplementedError(
            f"DataLoader does not start worker processes yet, but got num_workers={num_workers}\n"
            "  fix   use num_workers=0: batches are then made in this process, in the same order"
        )


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


class _BatchIterator:
    """One pass over the batches of a loader."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._num_yielded = 0
        self._batches = _batches_of(loader)
        # Drawn at the start of each pass, as PyTorch does for its workers: what follows depends on it.
        self._base_seed = flambeau.empty((), dtype=flambeau.int64).random_(generator=loader.generator).item()

    def __iter__(self) -> _BatchIterator:
        return self

    def __next__(self) -> Any:
        batch = next(self._batches)
        self._num_yielded += 1
        loader = self._loader
        expected = loader._IterableDataset_len_called
        if (
            expected is not None
            and loader._dataset_kind == _DatasetKind.Iterable
            and self._num_yielded > expected
        ):
            warnings.warn(
                f"Length of IterableDataset {loader.dataset} was reported to be {expected} (when accessing "
                f"len(dataloader)), but {self._num_yielded} samples have been fetched. ",
                stacklevel=2,
            )
        return batch

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    def __getstate__(self):
        raise NotImplementedError("{} cannot be pickled", type(self).__name__)


def _batches_of(loader: DataLoader) -> Iterator[Any]:
    """The batches, made in the way that is quickest for this dataset."""
    if loader._dataset_kind == _DatasetKind.Iterable:
        return _from_iterable(loader)
    if loader._auto_collation and loader.collate_fn is default_collate:
        tensors, indices = _rows_of(loader.dataset)
        if tensors is not None:
            return _from_tensors(loader, tensors, indices)
    return _from_indices(loader)


def _from_iterable(loader: DataLoader) -> Iterator[Any]:
    samples = iter(loader.dataset)
    if not loader._auto_collation:
        yield from map(loader.collate_fn, samples)
        return
    size = loader.batch_size
    while batch := list(itertools.islice(samples, size)):
        if len(batch) == size or not loader.drop_last:
            yield loader.collate_fn(batch)


def _from_indices(loader: DataLoader) -> Iterator[Any]:
    dataset, join = loader.dataset, loader.collate_fn
    if not loader._auto_collation:
        for index in loader.sampler:
            yield join(dataset[index])
        return
    together = getattr(dataset, "__getitems__", None)
    for indices in loader.batch_sampler:
        yield join(together(indices) if together else [dataset[index] for index in indices])


def _rows_of(dataset: Any) -> tuple[tuple[Tensor, ...] | None, Any]:
    """The tensors of a dataset whose batches are rows of tensors, and which rows it has (all when None)."""
    if type(dataset) is TensorDataset:
        return dataset.tensors, None
    if type(dataset) is Subset and type(dataset.dataset) is TensorDataset:
        return dataset.dataset.tensors, dataset.indices
    return None, None


def _from_tensors(loader: DataLoader, tensors: tuple[Tensor, ...], rows: Any) -> Iterator[list[Tensor]]:
    """Gathers whole batches of rows at once; what comes out is what stacking single rows would give."""
    rows = None if rows is None else flambeau.as_tensor(rows, dtype=flambeau.int64)
    count = tensors[0].size(0) if rows is None else rows.size(0)
    for at in _index_batches(loader):
        if isinstance(at, slice):
            if rows is None:
                yield [tensor[at].clone() for tensor in tensors]
                continue
            at = rows[at]
        else:
            if not isinstance(at, Tensor):
                at = _checked(at, count)
            if rows is not None:
                at = rows.index_select(0, at)
        yield [tensor.index_select(0, at) for tensor in tensors]


def _checked(indices: list[int], count: int) -> Tensor:
    """A user's indices as a tensor, negative ones counted from the end."""
    for index in indices:
        if not -count <= index < count:
            raise IndexError(f"index {index} is out of bounds for dimension 0 with size {count}")
    return flambeau.tensor([index % count for index in indices], dtype=flambeau.int64)


def _index_batches(loader: DataLoader) -> Iterator[Any]:
    """The indices of each batch: slices and tensors for standard orders, else what the sampler gives."""
    sampler, batches = loader.sampler, loader.batch_sampler
    standard = type(batches) is BatchSampler and batches.sampler is sampler
    if not standard:
        yield from batches
        return
    size, drop_last = batches.batch_size, batches.drop_last
    if type(sampler) is SequentialSampler:
        count = len(sampler)
        for start in range(0, count - size + 1 if drop_last else count, size):
            yield slice(start, start + size)
    elif (
        type(sampler) is RandomSampler
        and not sampler.replacement
        and sampler.num_samples == len(loader.dataset)
    ):
        permutations = sampler._index_tensors()
        order = next(permutations)
        count = len(order)
        for start in range(0, count - size + 1 if drop_last else count, size):
            if start + size > count:
                next(permutations, None)
            yield order[start : start + size]
        # A whole pass draws one more permutation than it uses; a later pass depends on it.
        next(permutations, None)
    else:
        yield from batches
