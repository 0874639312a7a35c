"""Questions about tensors inside `vmap` and its kin: tensors here are never wrapped."""

from __future__ import annotations

from typing import Any

__all__ = [
    "get_unwrapped",
    "is_batchedtensor",
    "is_functorch_wrapped_tensor",
    "is_gradtrackingtensor",
    "maybe_get_bdim",
]


def is_batchedtensor(tensor: Any) -> bool:
    """Whether a tensor stands for one item of a batch."""
    return False


def is_gradtrackingtensor(tensor: Any) -> bool:
    """Whether a tensor is inside `torch.func.grad`."""
    return False


def is_functorch_wrapped_tensor(tensor: Any) -> bool:
    """Whether a tensor wraps another."""
    return False


def get_unwrapped(tensor: Any) -> Any:
    """The tensor itself."""
    return tensor


def maybe_get_bdim(tensor: Any) -> int:
    """The dimension of the batch, -1 without one."""
    return -1


def maybe_get_level(tensor: Any) -> int:
    """How deep a tensor is wrapped, -1 when it is not."""
    return -1


def _add_batch_dim(tensor: Any, dim: int, level: int) -> Any:
    raise NotImplementedError("Flambeau has no batched tensors: index or stack the batch instead")


def _remove_batch_dim(tensor: Any, level: int, size: int, dim: int) -> Any:
    raise NotImplementedError("Flambeau has no batched tensors: index or stack the batch instead")
