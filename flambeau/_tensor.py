"""Where PyTorch keeps the class of tensors."""

from .tensor.tensor import Tensor

__all__ = ["Tensor"]
