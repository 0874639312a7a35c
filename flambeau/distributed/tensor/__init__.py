"""Tensors over several machines: there are none; the types are for programs that ask."""

from __future__ import annotations

from typing import Any

from ...tensor.tensor import Tensor

__all__ = ["DTensor", "Partial", "Placement", "Replicate", "Shard", "distribute_tensor"]


class DTensor(Tensor):
    """A tensor over several machines; nothing is of this type."""


class Placement:
    """How a tensor lies on machines."""


class Replicate(Placement):
    """Whole on each."""


class Partial(Placement):
    """A part of a sum on each."""


class Shard(Placement):
    """A slice along a dimension on each."""

    def __init__(self, dim: int):
        self.dim = dim


def distribute_tensor(tensor: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
    """Not in this version: there is one machine."""
    raise ValueError(
        "Default process group has not been initialized, please make sure to call init_process_group."
    )
