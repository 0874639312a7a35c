"""From samples to batches."""

from __future__ import annotations

import copy
import ctypes
import re
from array import array
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import flambeau
from flambeau.base.device import cpu
from flambeau.base.dtype import DTYPES, float64, int64
from flambeau.base.layout import contiguous_layout
from flambeau.tensor.interop import address, empty_tensor, to_numpy
from flambeau.tensor.tensor import Tensor

from .ragged import explain_ragged
from .transport import current_sender

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

_NOT_NUMERIC = re.compile(r"[SaUO]")
_WORTH_ONE_COPY = 8 << 10  # bytes of a sample from which copying each by itself costs nothing to speak of
default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


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

    if isinstance(example, Mapping):
        return _like_mapping(example, {key: join([sample[key] for sample in batch]) for key in example})
    if isinstance(example, tuple) and hasattr(example, "_fields"):
        return kind(*(join(values) for values in zip(*batch)))
    if isinstance(example, Sequence):
        size = len(example)
        if any(len(sample) != size for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = list(zip(*batch))
        values = [join(column) for column in columns]
        return values if isinstance(example, tuple) else _like_sequence(example, values)
    raise TypeError(default_collate_err_msg_format.format(kind))


# -- tensors and arrays ------------------------------------------------------------------------------------------------


def _empty(where: Any) -> Tensor:
    """Memory for a joined tensor: in a worker, where the batch is sent from."""
    sender = current_sender()
    return empty_tensor(where.shape, where.dtype) if sender is None else sender.empty(where)


def collate_tensor_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Stacks tensors of one shape; in a worker, large ones straight into the memory that the batch is sent in."""
    where = batch[0]._layout
    if (
        current_sender() is not None
        and where.nbytes >= _WORTH_ONE_COPY
        and where.contiguous
        and all(tensor._layout is where and tensor._node is None for tensor in batch)
    ):
        made = _empty(contiguous_layout((len(batch), *where.shape), where.dtype, where.device))
        place = address(made)
        for tensor in batch:
            ctypes.memmove(place, address(tensor), where.nbytes)
            place += where.nbytes
        return made
    return flambeau.stack(list(batch), 0)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Makes arrays of one shape one tensor."""
    example = batch[0]
    if _NOT_NUMERIC.search(example.dtype.str) is not None:
        raise TypeError(default_collate_err_msg_format.format(example.dtype))
    shape, kind = example.shape, DTYPES.get(example.dtype.name)
    if (
        kind is not None
        and len(shape) > 0
        and example.size > 0
        and example.dtype.isnative
        and collate_fn_map is not None
        and collate_fn_map.get(Tensor) is collate_tensor_fn
        and all(array.shape == shape and array.dtype == example.dtype for array in batch)
    ):
        import numpy

        made = _empty(contiguous_layout((len(batch), *shape), kind, cpu))
        numpy.concatenate(batch, out=to_numpy(made, kept=False).reshape(len(batch) * shape[0], *shape[1:]))
        return made
    return collate([flambeau.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Makes NumPy's numbers a tensor of their type."""
    import numpy

    return flambeau.as_tensor(numpy.asarray(batch))


def collate_float_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Makes floats a float64 tensor."""
    made = _numbers(batch, float, "d", float64)
    return flambeau.tensor(batch, dtype=float64) if made is None else made


def collate_int_fn(batch: Any, *, collate_fn_map: Any = None) -> Tensor:
    """Makes whole numbers, or truth values, a tensor."""
    made = _numbers(batch, int, "q", int64)
    return flambeau.tensor(batch) if made is None else made


def _numbers(batch: Any, kind: type, code: str, dtype: Any) -> Tensor | None:
    """Numbers that are all of exactly one type as a tensor; None for any others."""
    if set(map(type, batch)) != {kind}:
        return None
    try:
        words = array(code, batch)
    except OverflowError:
        return None
    made = empty_tensor((len(words),), dtype)
    ctypes.memmove(address(made), words.buffer_info()[0], 8 * len(words))
    return made


def collate_str_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Leaves texts as they are."""
    return batch


class _KnowsArrays(type):
    def __instancecheck__(cls, value: Any) -> bool:
        # By names, so that nothing imports NumPy to tell that a value is none of its own.
        if not _is_numpy(value) and not any(base.__module__ == "numpy" for base in type(value).__mro__):
            return False
        import numpy

        return isinstance(
            value, numpy.ndarray if cls is _Array else (numpy.bool_, numpy.number, numpy.object_)
        )


class _Array(metaclass=_KnowsArrays):
    """Stands for ``numpy.ndarray`` until a program has one."""


class _ArrayNumber(metaclass=_KnowsArrays):
    """Stands for the numbers of NumPy until a program has one."""


#: what to do with values that are no containers, by type; programs may add to it
default_collate_fn_map: dict[type | tuple[type, ...], Callable] = {
    Tensor: collate_tensor_fn,
    _Array: collate_numpy_array_fn,
    _ArrayNumber: collate_numpy_scalar_fn,
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
    try:
        return collate(batch, collate_fn_map=default_collate_fn_map)
    except (RuntimeError, ValueError, KeyError) as error:
        explain_ragged(batch, error)
        raise
