"""Arithmetic as a module, so that PyTorch could quantize it: here it is arithmetic."""

from __future__ import annotations

from ...nn import Module
from ...tensor.tensor import Tensor

__all__ = ["FloatFunctional"]


class FloatFunctional(Module):
    """Sums, products and joins as methods."""

    def forward(self, x: Tensor) -> Tensor:
        """Not meant to be called."""
        raise RuntimeError(
            "FloatFunctional is not intended to use the 'forward'. Please use the underlying operation"
        )

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """x + y"""
        return x + y

    def add_scalar(self, x: Tensor, y: float) -> Tensor:
        """x + y"""
        return x + y

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        """x * y"""
        return x * y

    def mul_scalar(self, x: Tensor, y: float) -> Tensor:
        """x * y"""
        return x * y

    def cat(self, x: list[Tensor], dim: int = 0) -> Tensor:
        """The tensors one after another."""
        import flambeau

        return flambeau.cat(x, dim)

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """The positive part of x + y."""
        return (x + y).relu()

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """The product of matrices."""
        return x @ y
