"""From samples to batches."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

_NOT_NUMERIC = re.compile(r"[SaUO]")
_MESSAGE = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"


def _is_numpy(value: Any) -> bool:
    # By the type's name: numpy itself need not be loaded to tell.
    return type(value).__module__ == "numpy" and hasattr(value, "dtype")


def _convert_array(array: Any) -> Any:
    if _NOT_NUMERIC.search(array.dtype.str) is not None:
        return array
    return flambeau.as_tensor(array)


def default_convert(data: Any) -> Any:
    """`data` with NumPy arrays and numbers in it made tensors; all else is kept."""
    if isinstance(data, Tensor):
        return data
    if _is_numpy(data):
        return _convert_array(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(value) for value in data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(value) for value in data])
    return data


def _like_mapping(example: Mapping, entries: dict) -> Any:
    """A mapping of the type of `example`, with its further attributes, and these entries."""
    try:
        if isinstance(example, MutableMapping):
            result = copy.copy(example)
            result.update(entries)
            return result
        kind: Any = type(example)
        return kind(entries)
    except TypeError:
        return entries


def _like_sequence(example: Sequence, values: list) -> Any:
    """A sequence of the type of `example`, with its further attributes, and these values."""
    try:
        if isinstance(example, MutableSequence):
            result = copy.copy(example)
            for index, value in enumerate(values):
                result[index] = value
            return result
        kind: Any = type(example)
        return kind(values)
    except TypeError:
        return values


def collate(batch: list, *, collate_fn_map: dict[type | tuple[type, ...], Callable] | None = None) -> Any:
    """Joins samples to a batch: containers by element, the rest as `collate_fn_map` says.

    Args:
        collate_fn_map: functions ``f(batch, *, collate_fn_map)`` by type, or by tuple of types.
    """
    example = batch[0]
    kind = type(example)
    if collate_fn_map is not None:
        if kind in collate_fn_map:
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)
        for known, function in collate_fn_map.items():
            if isinstance(example, known):
                return function(batch, collate_fn_map=collate_fn_map)

    def join(values: Any) -> Any:
        return collate(values, collate_fn_map=collate_fn_map)

    if collate_fn_map is default_collate_fn_map and _is_numpy(example):
        return _join_arrays(batch, join)
    if isinstance(example, Mapping):
        return _like_mapping(example, {key: join([sample[key] for sample in batch]) for key in example})
    if isinstance(example, tuple) and hasattr(example, "_fields"):
        return kind(*(join(values) for values in zip(*batch)))
    if isinstance(example, Sequence):
        if any(len(sample) != len(example) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = list(zip(*batch))
        values = [join(column) for column in columns]
        return values if isinstance(example, tuple) else _like_sequence(example, values)
    raise TypeError(_MESSAGE.format(kind))


def _join_arrays(batch: list, join: Callable) -> Any:
    example = batch[0]
    if type(example).__name__ not in ("ndarray", "memmap"):  # a number
        import numpy

        return flambeau.as_tensor(numpy.asarray(batch))
    if _NOT_NUMERIC.search(example.dtype.str) is not None:
        raise TypeError(_MESSAGE.format(example.dtype))
    return join([flambeau.as_tensor(array) for array in batch])


def collate_tensor_fn(batch: list[Tensor], *, collate_fn_map: Any = None) -> Tensor:
    """Stacks tensors of one shape."""
    return flambeau.stack(list(batch), 0)


def collate_float_fn(batch: list[float], *, collate_fn_map: Any = None) -> Tensor:
    """Makes floats a float64 tensor."""
    return flambeau.tensor(batch, dtype=flambeau.float64)


def collate_int_fn(batch: list[int], *, collate_fn_map: Any = None) -> Tensor:
    """Makes whole numbers, or truth values, a tensor."""
    return flambeau.tensor(batch)


def collate_str_fn(batch: list, *, collate_fn_map: Any = None) -> list:
    """Leaves texts as they are."""
    return batch


#: what to do with values that are no containers, by type; programs may add to it
default_collate_fn_map: dict[type | tuple[type, ...], Callable] = {
    Tensor: collate_tensor_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: list) -> Any:
    """Joins samples to a batch: stacks tensors, makes tensors of numbers, goes into containers.

    Example::

        >>> flambeau.utils.data.default_collate([(0, 1.5), (2, 2.5)])
        [tensor([0, 2]), tensor([1.5000, 2.5000], dtype=torch.float64)]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
