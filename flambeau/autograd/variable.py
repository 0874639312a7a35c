"""`Variable`: what tensors with a gradient were called once."""

from __future__ import annotations

from ..tensor.interop import as_tensor
from ..tensor.tensor import Tensor

__all__ = ["Variable"]


class _VariableMeta(type):
    def __instancecheck__(cls, other) -> bool:
        return isinstance(other, Tensor)


class Variable(metaclass=_VariableMeta):
    """The old name of a tensor: `Variable(t)` gives a tensor over the same memory.

    >>> import flambeau as torch
    >>> torch.autograd.Variable(torch.ones(2), requires_grad=True).requires_grad
    True
    """

    def __new__(cls, data=None, requires_grad: bool = False, volatile: bool = False):  # type: ignore[misc]
        found = as_tensor(() if data is None else data).detach()
        return found.requires_grad_() if requires_grad else found
