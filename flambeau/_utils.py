"""Helpers of PyTorch's that libraries reach for."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from .tensor.tensor import Tensor

__all__ = ["ExceptionWrapper"]


class KeyErrorMessage(str):
    """A text that a KeyError shows as it is, line breaks included."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """An error of a worker with the text of its traceback, to be raised again elsewhere."""

    def __init__(self, exc_info: Any = None, where: str = "in background"):
        kind, error, trace = sys.exc_info() if exc_info is None else exc_info
        self.exc_type = kind
        self.exc_msg = "".join(traceback.format_exception(kind, error, trace))
        self.where = where

    def reraise(self) -> None:
        """Raise an error of the same type; its text is the worker's traceback."""
        text = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            text = KeyErrorMessage(text)
        elif getattr(self.exc_type, "message", None):
            raise self.exc_type(message=text)  # type: ignore[call-arg]
        try:
            error = self.exc_type(text)
        except Exception:  # a type whose constructor wants something else
            raise RuntimeError(text) from None
        raise error


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """All elements of some tensors in one vector."""
    import flambeau

    if len(tensors) == 1:
        return tensors[0].contiguous().view(-1)
    return flambeau.cat([t.contiguous().view(-1) for t in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Views of a vector in the shapes of some tensors, one after another."""
    found, start = [], 0
    for t in tensors:
        found.append(flat.narrow(0, start, t.numel()).view_as(t))
        start += t.numel()
    return tuple(found)


def _take_tensors(tensors: Iterator[Tensor], size_limit: int) -> Iterator[list[Tensor]]:
    """Groups of tensors of one type, each of at most `size_limit` bytes (or of one tensor)."""
    groups: dict[Any, tuple[list[Tensor], int]] = {}
    for t in tensors:
        group, size = groups.get(t.dtype, ([], 0))
        if group and size + t.nbytes > size_limit:
            yield group
            group, size = [], 0
        groups[t.dtype] = ([*group, t], size + t.nbytes)
    for group, _ in groups.values():
        yield group


def _reorder_tensors_as(tensors: Sequence[Tensor], ordered_tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Tensors in the order in which their types come in `ordered_tensors`."""
    by_type: dict[str, list[Tensor]] = {}
    for t in tensors:
        by_type.setdefault(t.type(), []).append(t)
    queues = {kind: iter(group) for kind, group in by_type.items()}
    return tuple(next(queues[t.type()]) for t in ordered_tensors)


def _get_available_device_type() -> str | None:
    return None


def _get_all_device_indices() -> list[int]:
    return []


def _get_device_index(device: Any, optional: bool = False, allow_cpu: bool = False) -> int:
    """The index of a device; -1 for the CPU where that is allowed."""
    from .base.device import device as Device

    if isinstance(device, int) and not isinstance(device, bool):
        return device
    if device is None and optional:
        return -1
    found = Device(device)
    if found.type == "cpu" and allow_cpu:
        return -1 if found.index is None else found.index
    raise ValueError(f"Expected a cuda device, but got: {device}")


def _rebuild_tensor_v2(storage: Any, storage_offset: int, size: Any, stride: Any, requires_grad: bool,
                       backward_hooks: Any, metadata: Any = None) -> Tensor:  # fmt: skip
    """A tensor that views a storage, as pickles describe it."""
    made = _rebuild_tensor(storage, storage_offset, size, stride)
    made.requires_grad = requires_grad
    return made


def _rebuild_tensor(storage: Any, storage_offset: int, size: Any, stride: Any) -> Tensor:
    import flambeau

    untyped = getattr(storage, "untyped", lambda: storage)()
    return flambeau.empty(0, dtype=storage.dtype).set_(untyped, storage_offset, size, stride)


def _rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks: Any) -> Tensor:
    from .nn import Parameter

    return Parameter(data, requires_grad)


def is_compiling() -> bool:
    """Whether the program is being compiled."""
    return False


class classproperty:
    """A property of a class itself."""

    def __init__(self, func: Any):
        self.func = func

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self.func(owner)


def _import_dotted_name(name: str) -> Any:
    """An object by its full name; the first part is a module."""
    parts = name.split(".")
    found = __import__(parts[0])
    for part in parts[1:]:
        found = getattr(found, part)
    return found
