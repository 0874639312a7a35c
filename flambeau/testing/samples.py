"""Sample arguments for every operator of the registry, for the tests that run over all of them.

An operator may say its own: ``samples = lambda make: [(args, keywords), ...]``, where `make(*shape, low=, high=, dtype=)`
gives a random tensor. The others get arguments by the types of their signature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..base import dtype as types
from ..ops.define import Operator
from ..tensor.generator import Generator

Sample = tuple[tuple, dict]


class Make:
    """Makes tensors of one float type from one stream."""

    def __init__(self, dtype: types.dtype, seed: int = 0):
        self.dtype = dtype
        self.generator = Generator().manual_seed(seed)

    def __call__(self, *shape: int, low: float = -1.5, high: float = 1.5, dtype: types.dtype | None = None):
        """Uniform samples of [low, high), away from whole numbers, where many functions have kinks."""
        from .. import empty, randint

        kind = dtype or self.dtype
        if kind.kind < 2:
            return randint(int(low), int(high), shape, generator=self.generator, dtype=kind)
        made = empty(shape, dtype=types.float64).uniform_(low, high, generator=self.generator)
        near = made - made.round()
        made = made + (near.abs() < 0.05).to(types.float64) * 0.1
        return made.to(kind)

    def index(self, *shape: int, size: int):
        """Valid indices into a dimension of `size`."""
        from .. import randint

        return randint(0, size, shape, generator=self.generator)


def samples_of(op: Operator, make: Make) -> list[Sample]:
    """Arguments to call the operator with; empty when its signature does not tell and it names none."""
    own: Callable[[Any], list[Sample]] | None = op.rules.__dict__.get("samples")
    if own is not None:
        return own(make)
    required = [p for p in op.arguments if p.required]
    internal = not op.function and not op.method  # reached through other operators, which check the arguments
    if (
        not op.tensors
        or internal
        or any(p.type not in ("Tensor", "Operand", "Scalar", "float") for p in required)
    ):
        return []
    found: list[Sample] = []
    tensors = [p for p in required if p.is_tensor]
    shapes = [[(2, 3)] * len(tensors), [()] * len(tensors), [(0, 3)] * len(tensors)]
    if op.kind == "Pointwise" and len(tensors) > 1:
        shapes.append([(2, 3)] + [(3,)] * (len(tensors) - 1))
        shapes.append([(2, 1)] + [(1, 3)] * (len(tensors) - 1))
    for choice in shapes:
        places = iter(choice)
        found.append((tuple(make(*next(places)) if p.is_tensor else 0.7 for p in required), {}))
    return found
