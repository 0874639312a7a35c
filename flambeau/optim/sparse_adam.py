"""SparseAdam, for gradients that name only some of the rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.tensor.tensor import Tensor

from .optimizer import GroupOptimizer, check_betas

__all__ = ["SparseAdam"]


class SparseAdam(GroupOptimizer):
    """`Adam` that touches only the entries that a sparse gradient names.

    Flambeau has no sparse tensors yet, so every gradient is dense, which this optimiser refuses; use `Adam`.

    Raises:
        RuntimeError: in ``step``, for dense gradients.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr > 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not eps > 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def _update_one(self, parameter: Tensor, gradient: Tensor, state: dict, group: dict[str, Any]) -> None:
        raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
