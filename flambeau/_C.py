"""The few names of PyTorch's compiled core that programs in Python reach for."""

from __future__ import annotations

from .base.device import device
from .base.dtype import dtype
from .base.errors import OutOfMemoryError
from .base.layout import Size
from .tensor.generator import Generator
from .tensor.overrides import DisableTorchFunction, DisableTorchFunctionSubclass
from .tensor.tensor import Tensor as TensorBase
from .tensor.tensor import _disabled_torch_function as _disabled_torch_function_impl

_TensorBase = TensorBase

__all__ = [
    "DisableTorchFunction", "DisableTorchFunctionSubclass", "Generator", "OutOfMemoryError", "Size", "TensorBase", "device",
    "dtype",
]  # fmt: skip
_ = _disabled_torch_function_impl
