"""From indices to a batch: what the loader's process and its workers have in common."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sized
from ctypes import memmove
from typing import Any

import flambeau
from flambeau.base.dtype import int64
from flambeau.tensor.interop import address, empty_tensor
from flambeau.tensor.tensor import Tensor

from .collate import default_collate
from .dataset import Subset, TensorDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["fetcher_of", "row_batches"]

_TOGETHER = 64


class _DatasetKind:
    """How samples are taken: by index, or one after the other."""

    Map = 0
    Iterable = 1

    @staticmethod
    def create_fetcher(kind: int, dataset: Any, auto_collation: bool, collate_fn: Callable, drop_last: bool):
        """An object whose ``fetch(indices)`` makes a batch; StopIteration ends an iterable dataset."""
        return _Fetcher(fetcher_of(kind, dataset, auto_collation, collate_fn, drop_last))


class _Fetcher:
    def __init__(self, fetch: Callable[[Any], Any]) -> None:
        self.fetch = fetch


def fetcher_of(
    kind: int, dataset: Any, auto_collation: bool, collate_fn: Callable, drop_last: bool
) -> Callable:
    """The function from indices to a batch."""
    if kind == _DatasetKind.Iterable:
        return _from_iterable(dataset, auto_collation, collate_fn, drop_last)
    if not auto_collation:
        return lambda index: collate_fn(_samples_at(dataset, [index])[0])
    if collate_fn is default_collate:
        tensors, rows = rows_of(dataset)
        if tensors is not None:
            return _from_rows(dataset, tensors, rows)
    if getattr(dataset, "__getitems__", None):

        def fetch(indices: Any) -> Any:
            samples = dataset.__getitems__(indices)
            if isinstance(samples, Sized) and isinstance(indices, Sized) and len(samples) == 0 < len(indices):
                raise IndexError(
                    f"{type(dataset).__name__}.__getitems__ gave no sample for {len(indices)} indices\n"
                    "  need  one sample for every index"
                )
            return collate_fn(samples)

        return fetch
    return lambda indices: collate_fn(_samples_at(dataset, indices))


def _samples_at(dataset: Any, indices: Any) -> list:
    """The samples at some indices; an IndexError says what the dataset was asked for, and how long it says it is."""
    try:
        return [dataset[index] for index in indices]
    except IndexError as error:
        try:
            length = f"len() of the dataset is {len(dataset)}"
        except Exception:
            length = "the dataset has no len()"
        error.add_note(
            f"  in    {type(dataset).__name__}[index] for the indices {_shortened(indices)}; {length}"
        )
        raise


def _shortened(indices: Any) -> str:
    shown = [str(index) for index in indices]
    return f"[{', '.join(shown[:8])}{', ...' if len(shown) > 8 else ''}]"


def _from_iterable(dataset: Any, auto_collation: bool, collate_fn: Callable, drop_last: bool) -> Callable:
    samples = iter(dataset)
    if not auto_collation:
        return lambda _: collate_fn(next(samples))
    ended = False

    def fetch(places: Any) -> Any:
        nonlocal ended
        batch = []
        if not ended:
            for _ in places:
                try:
                    batch.append(next(samples))
                except StopIteration:
                    ended = True
                    break
        if not batch or (drop_last and len(batch) < len(places)):
            raise StopIteration
        return collate_fn(batch)

    return fetch


# -- rows of tensors ---------------------------------------------------------------------------------------------------


def rows_of(dataset: Any) -> tuple[tuple[Tensor, ...] | None, Any]:
    """The tensors of a dataset whose batches are rows of tensors, and which rows it has (all when None)."""
    if type(dataset) is TensorDataset:
        tensors, rows = dataset.tensors, None
    elif type(dataset) is Subset and type(dataset.dataset) is TensorDataset:
        tensors, rows = dataset.dataset.tensors, dataset.indices
    else:
        return None, None
    plain = all(type(tensor) is Tensor and tensor._layout.ndim > 0 for tensor in tensors)
    return (tensors, rows) if tensors and plain else (None, None)


def _from_rows(dataset: Any, tensors: tuple[Tensor, ...], rows: Any) -> Callable:
    """Gathers all rows of a batch with one operator a tensor; equal to stacking single rows."""
    count = len(dataset)

    def fetch(indices: Any) -> Any:
        at = index_tensor(indices, count) if rows is None or isinstance(rows, list) else None
        if at is None:  # indices of other kinds mean what they mean to a single tensor
            return default_collate([dataset[index] for index in indices])
        if rows is not None:
            at = index_tensor([rows[index] for index in indices], tensors[0].size(0))
            if at is None:
                return default_collate([dataset[index] for index in indices])
        return [tensor.index_select(0, at) for tensor in tensors]

    return fetch


def index_tensor(indices: Any, count: int) -> Tensor | None:
    """A list of whole numbers as a tensor, negative ones counted from the end; None for anything else."""
    if type(indices) is not list or not indices or set(map(type, indices)) != {int}:
        return None
    if min(indices) < 0 or max(indices) >= count:
        for index in indices:
            if not -count <= index < count:
                raise IndexError(f"index {index} is out of bounds for dimension 0 with size {count}")
        indices = [index % count for index in indices]
    words = array("q", indices)
    made = empty_tensor((len(indices),), int64)
    memmove(address(made), words.buffer_info()[0], 8 * len(indices))
    return made


def row_batches(loader: Any) -> Iterator[list[Tensor]] | None:
    """The batches of a loader over rows of tensors in one of the standard orders; None for any other loader."""
    if not loader._auto_collation or loader.collate_fn is not default_collate or loader._dataset_kind:
        return None
    sampler, batches = loader.sampler, loader.batch_sampler
    if type(batches) is not BatchSampler or batches.sampler is not sampler:
        return None
    tensors, rows = rows_of(loader.dataset)
    if rows is not None:
        rows = _usable_rows(rows, tensors)
        if rows is None:
            return None
    if tensors is None or getattr(sampler, "data_source", None) is not loader.dataset:
        return None
    if type(sampler) is SequentialSampler or (
        type(sampler) is RandomSampler
        and not sampler.replacement
        and sampler.num_samples == len(loader.dataset)
    ):
        return _gathered(tensors, rows, sampler, batches.batch_size, batches.drop_last)
    return None


def _usable_rows(rows: Any, tensors: Any) -> Tensor | None:
    """A subset's indices as a tensor; None where one is no row, which shows when its batch is made."""
    try:
        return index_tensor(list(rows) if type(rows) is range else rows, tensors[0].size(0))
    except IndexError:
        return None


def _gathered(tensors: tuple, rows: Any, sampler: Any, size: int, drop_last: bool) -> Iterator[list[Tensor]]:
    """Gathers the rows of every batch, for indices that need no check."""
    if type(sampler) is SequentialSampler:
        permutations: Iterator[Tensor] = iter(())
        order = flambeau.arange(len(sampler))
    else:
        permutations = sampler._index_tensors()
        order = next(permutations)
    count = order.size(0)
    if rows is not None:
        order = rows.index_select(0, order)
    selects = [tensor.index_select for tensor in tensors]
    whole = count - count % size
    for start in range(0, whole, _TOGETHER * size):  # views of the order are cheaper by the dozen
        for at in order[start : min(start + _TOGETHER * size, whole)].split(size):
            yield [select(0, at) for select in selects]
    # A whole pass draws one more permutation than it uses; what is drawn later depends on it.
    next(permutations, None)
    if whole < count and not drop_last:
        at = order[whole:]
        yield [select(0, at) for select in selects]
