"""Joining dimensions and splitting them again."""

from __future__ import annotations

from flambeau.tensor.tensor import Tensor

from .module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Joins the dimensions from `start_dim` to `end_dim` into one.

    Shape: ``(*, s_start, ..., s_end, *) -> (*, s_start * ... * s_end, *)``.

    Example::

        >>> flambeau.nn.Flatten()(flambeau.zeros(32, 1, 5, 5)).shape
        torch.Size([32, 25])
    """

    __constants__ = ["start_dim", "end_dim"]

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension `dim` into the sizes `unflattened_size`, of which one may be -1.

    Example::

        >>> flambeau.nn.Unflatten(1, (2, 5))(flambeau.zeros(3, 10)).shape
        torch.Size([3, 2, 5])
    """

    __constants__ = ["dim", "unflattened_size"]

    def __init__(self, dim: int | str, unflattened_size) -> None:
        super().__init__()
        if not isinstance(dim, (int, str)):
            raise TypeError("invalid argument type for dim parameter")
        self.dim, self.unflattened_size = dim, _sizes(unflattened_size, named=isinstance(dim, str))

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


def _sizes(given, named: bool):
    """Sizes that fit how the dimension is given: pairs for a name, numbers for a number."""
    whole, part, what = ((tuple,), tuple, "tuples") if named else ((tuple, list), int, "ints")
    if not isinstance(given, whole):
        raise TypeError(f"unflattened_size must be a tuple of {what}, but found type {type(given).__name__}")
    for place, element in enumerate(given):
        if not isinstance(element, part):
            raise TypeError(
                f"unflattened_size must be tuple of {what}, but found element of type "
                f"{type(element).__name__} at pos {place}"
            )
    return given
