"""The type of PyTorch's tensors while writes are turned into new values: nothing here is of it."""

from ..tensor.tensor import Tensor

__all__ = ["FunctionalTensor"]


class FunctionalTensor(Tensor):
    """A tensor whose writes are recorded; nothing is of this type."""
