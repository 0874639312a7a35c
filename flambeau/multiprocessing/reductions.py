"""How tensors travel between processes: as descriptors of shared memory, never as copies of their elements."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

import flambeau
from flambeau.backend.cpu import shared
from flambeau.base.layout import layout
from flambeau.tensor.autograd import AccumulateGrad
from flambeau.tensor.interop import set_requires_grad
from flambeau.tensor.storage import UntypedStorage
from flambeau.tensor.tensor import Tensor, make

__all__ = ["init_reductions", "reduce_storage", "reduce_tensor"]

_NON_LEAF = (
    "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support crossing "
    "process boundaries.  If you just want to transfer the data, call detach() on the tensor before serializing (e.g., "
    "putting it on the queue)."
)
#: blocks that came from other processes, by the file they lie in: a tensor sent twice arrives in one memory
_received: weakref.WeakValueDictionary[tuple[int, int], Any] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def reduce_tensor(tensor: Tensor) -> Any:
    """How a tensor is taken apart: the descriptor of its memory, and how it looks at it.

    Raises: RuntimeError for a tensor that is the result of differentiable operators.
    """
    if tensor._node is not None and type(tensor._node) is not AccumulateGrad:
        raise RuntimeError(_NON_LEAF)
    where = tensor._layout
    if (
        type(tensor) is not Tensor
        or tensor._memory is None
        or where.device.type != "cpu"
        or not shared.AVAILABLE
    ):
        return tensor.__reduce_ex__(2)
    view = (tensor._offset, tuple(where.shape), where.strides, where.dtype)
    return _tensor_from, (*_handle(tensor._memory), *view, tensor._node is not None, dict(tensor.__dict__))


def reduce_storage(storage: UntypedStorage) -> Any:
    """How a storage is taken apart: the descriptor of its memory."""
    if storage._memory is None or not shared.AVAILABLE:
        return storage.__reduce__()
    return _storage_from, _handle(storage._memory)


def _handle(memory: Any) -> tuple[Any, int]:
    from multiprocessing.reduction import DupFd

    block = shared.move(memory)
    return DupFd(block.descriptor), block.nbytes


def _memory_from(handle: Any, nbytes: int) -> Any:
    """The memory behind a descriptor, mapped here once."""
    descriptor = handle.detach()
    status = os.fstat(descriptor)
    key = status.st_dev, status.st_ino
    with _lock:
        block = _received.get(key)
        if block is None:
            block = _received[key] = shared.SharedBlock(nbytes, descriptor)
        else:
            os.close(descriptor)
    return shared.memory_of(block)


def _tensor_from(handle, nbytes, offset, shape, strides, dtype, requires_grad, attributes) -> Tensor:
    where = layout(shape, strides, dtype, flambeau.device("cpu"))
    made = make(_memory_from(handle, nbytes), where, offset)
    if requires_grad:
        set_requires_grad(made, True)
    if attributes:
        made.__dict__.update(attributes)
    return made


def _storage_from(handle, nbytes: int) -> UntypedStorage:
    return UntypedStorage.over(_memory_from(handle, nbytes), flambeau.device("cpu"))


def init_reductions() -> None:
    """Let `multiprocessing` share the memory of tensors and storages that it sends."""
    from multiprocessing.reduction import ForkingPickler

    ForkingPickler.register(Tensor, reduce_tensor)
    ForkingPickler.register(UntypedStorage, reduce_storage)
