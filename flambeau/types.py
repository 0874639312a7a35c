"""Names for type annotations, as in `torch.types`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Union

from .base.device import device
from .base.dtype import dtype
from .base.formats import layout
from .base.layout import Size
from .tensor.storage import TypedStorage, UntypedStorage
from .tensor.tensor import Tensor

_int, _float, _bool, _complex = int, float, bool, complex
_dtype, _device, _layout = dtype, device, layout
_size = Union[Size, list[int], tuple[int, ...]]
Number = Union[int, float, bool]
_Number = (int, float, bool)
FileLike = Union[str, "os.PathLike[str]", Any]
Device = Union[device, str, int, None]
DeviceLikeType = Union[str, device, int]
Storage = Union[UntypedStorage, TypedStorage]
_TensorOrTensors = Union[Tensor, Sequence[Tensor]]
_TensorOrTensorsOrGradEdge = Union[Tensor, Sequence[Tensor], Any]
_symsize = _size
_dispatchkey = str
PySymType: tuple = ()

__all__ = ["Device", "FileLike", "Number", "Storage"]
