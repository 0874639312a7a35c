"""Activations whose operator has no `inplace` argument of its own."""

from __future__ import annotations

import flambeau
from flambeau.tensor.tensor import Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(0, x)`` of each element; `inplace` overwrites the input.

    Shape: ``(*) -> (*)``.
    """
    return flambeau.relu_(input) if inplace else flambeau.relu(input)
