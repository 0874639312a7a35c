"""`torch.functional`: functions of the top name space that PyTorch writes in Python, and spectrograms."""

from __future__ import annotations

from typing import Any

_NAMES = [
    "align_tensors", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_shapes", "broadcast_tensors",
    "cartesian_prod", "cdist", "chain_matmul", "einsum", "istft", "lu", "meshgrid", "norm", "split", "stft", "tensordot",
    "unique", "unique_consecutive", "unravel_index",
]  # fmt: skip
__all__: list[str] = []


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        import flambeau

        return getattr(flambeau, name)
    raise AttributeError(f"module 'flambeau.functional' has no attribute '{name}'")


def __dir__() -> list[str]:
    return _NAMES
