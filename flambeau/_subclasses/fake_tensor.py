"""The types of PyTorch's tensors without data; ``device="meta"`` makes such tensors here."""

from __future__ import annotations

from typing import Any

from ..tensor.tensor import Tensor

__all__ = ["FakeTensor", "FakeTensorMode", "UnsupportedFakeTensorException", "is_fake"]


class UnsupportedFakeTensorException(RuntimeError):
    """A type that cannot be without data."""


class FakeTensor(Tensor):
    """A tensor without data; nothing is of this type."""


class FakeTensorMode:
    """Makes tensors without data: not supported under this name."""

    def __init__(self, *arguments: Any, **keywords: Any):
        raise NotImplementedError('Flambeau has no FakeTensorMode\n  fix     with torch.device("meta"): ...')


def is_fake(x: Any) -> bool:
    """Whether a tensor is without data in PyTorch's tracer: never."""
    return False
