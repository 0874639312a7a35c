"""Fetching batches, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..fetch import _DatasetKind, fetcher_of

__all__ = ["_BaseDatasetFetcher", "_IterableDatasetFetcher", "_MapDatasetFetcher"]


class _BaseDatasetFetcher:
    """``fetch(indices)`` makes a batch."""

    kind = _DatasetKind.Map

    def __init__(self, dataset: Any, auto_collation: bool, collate_fn: Callable, drop_last: bool) -> None:
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self._fetch = fetcher_of(self.kind, dataset, auto_collation, collate_fn, drop_last)

    def fetch(self, possibly_batched_index: Any) -> Any:
        """The batch, or without batches the sample, at some indices."""
        return self._fetch(possibly_batched_index)


class _MapDatasetFetcher(_BaseDatasetFetcher):
    """Of a dataset by index."""


class _IterableDatasetFetcher(_BaseDatasetFetcher):
    """Of an iterable dataset."""

    kind = _DatasetKind.Iterable
