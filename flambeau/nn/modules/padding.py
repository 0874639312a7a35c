"""Padding: constant, reflected, replicated and circular."""

from __future__ import annotations

from flambeau.nn import functional as F
from flambeau.tensor.tensor import Tensor

from .module import Module
from .utils import _ntuple

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _PadNd(Module):
    """Adds elements on both sides of the last `_spatial` dimensions.

    `padding` is one size for all sides, or two sizes (before, after) a dimension, last dimension first.
    """

    __constants__ = ["padding"]
    _spatial: int
    _mode: str
    padding: tuple[int, ...]

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self._spatial)(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    __constants__ = ["padding", "value"]
    _mode = "constant"

    def __init__(self, padding, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """Pads the last dimension with `value`; `padding` is a size, or ``(left, right)``."""

    _spatial = 1


class ConstantPad2d(_ConstantPadNd):
    """Pads the last two dimensions with `value`; `padding` is ``(left, right, top, bottom)``."""

    _spatial = 2


class ConstantPad3d(_ConstantPadNd):
    """Pads the last three dimensions with `value`; `padding` ends with ``(front, back)``."""

    _spatial = 3


class ZeroPad1d(ConstantPad1d):
    """Pads the last dimension with zeros."""

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Pads the last two dimensions with zeros."""

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Pads the last three dimensions with zeros."""

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    _mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        low, high = self._spatial + 1, self._spatial + 2
        if input.dim() not in (low, high):
            raise ValueError(f"expected {low}D or {high}D input (got {input.dim()}D input)")
        return F.pad(input, self.padding, "circular")


class CircularPad1d(_CircularPadNd):
    """Continues the last dimension around: before the first element comes the last."""

    _spatial = 1


class CircularPad2d(_CircularPadNd):
    """Continues the last two dimensions around."""

    _spatial = 2


class CircularPad3d(_CircularPadNd):
    """Continues the last three dimensions around."""

    _spatial = 3


class _ReflectionPadNd(_PadNd):
    """What paddings by reflection share."""


class ReflectionPad1d(_ReflectionPadNd):
    """Mirrors the last dimension at its ends, which are not repeated."""

    _spatial, _mode = 1, "reflect"


class ReflectionPad2d(_ReflectionPadNd):
    """Mirrors the last two dimensions at their ends, which are not repeated."""

    _spatial, _mode = 2, "reflect"


class ReflectionPad3d(_ReflectionPadNd):
    """Mirrors the last three dimensions at their ends, which are not repeated."""

    _spatial, _mode = 3, "reflect"


class _ReplicationPadNd(_PadNd):
    """What paddings by replication share."""


class ReplicationPad1d(_ReplicationPadNd):
    """Repeats the first and last element of the last dimension."""

    _spatial, _mode = 1, "replicate"


class ReplicationPad2d(_ReplicationPadNd):
    """Repeats the first and last elements of the last two dimensions."""

    _spatial, _mode = 2, "replicate"


class ReplicationPad3d(_ReplicationPadNd):
    """Repeats the first and last elements of the last three dimensions."""

    _spatial, _mode = 3, "replicate"
