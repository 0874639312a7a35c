"""Copies of tensors: `copy`, `deepcopy` and pickling, in which tensors that share memory go on sharing it."""

from __future__ import annotations

import copy
import ctypes

from ..base.layout import layout
from . import dispatch, interop
from .autograd import AccumulateGrad
from .tensor import Tensor, make


def deepcopy(self, memo):
    """A leaf with a copy of the whole storage; views copied together stay views of one memory."""
    if id(self) in memo:
        return memo[id(self)]
    if self._node is not None and not isinstance(self._node, AccumulateGrad):
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If "
            "you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    made = copied_storage(self, memo)
    if self._node is not None:
        interop.set_requires_grad(made, True)
    if self._grad is not None:
        made._grad = self._grad.__deepcopy__(memo)
    made.__dict__.update(copy.deepcopy(self.__dict__, memo))
    memo[id(self)] = made
    return made


def copied_storage(self, memo) -> Tensor:
    """A tensor over a copy of the whole storage."""
    if self._memory is None:
        return make(None, self._layout.plain, self._offset, self.__class__)
    runtime = dispatch.runtime()
    key = ("storage", runtime.address(self._memory))
    memory = memo.get(key)
    if memory is None:
        size = runtime.nbytes(self._memory)
        memory = runtime.allocate(size)
        ctypes.memmove(runtime.address(memory), runtime.address(self._memory), size)
        memo[key] = memory
        memo.setdefault("kept storages", []).append(self._memory)
    return make(memory, self._layout.plain, self._offset, self.__class__)


def rebuild(cls, storage, offset: int, shape, strides, dtype, requires_grad: bool, attributes: dict):
    """A tensor over a storage: what pickling and `copy.copy` call."""
    where = layout(shape, strides, dtype, storage.device)
    made = make(storage._memory, where, offset * dtype.itemsize, cls)
    if requires_grad:
        interop.set_requires_grad(made, True)
    if attributes:
        made.__dict__.update(attributes)
    return made


def reduce(self, protocol):
    """How pickle takes a tensor apart: its storage, and how it looks at it."""
    where = self._layout
    view = (self.storage_offset(), tuple(where.shape), where.strides, where.dtype)
    return rebuild, (self.__class__, self.untyped_storage(), *view, self._node is not None, self.__dict__)
