"""What a compiler may know of steps that finish their result piece by piece: which task makes which part of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple


class Cut(NamedTuple):
    """What a task makes of an axis: task t the part (t // every) % parts, from bounds[part] up to bounds[part + 1]."""

    every: int
    bounds: Sequence[int]

    @property
    def parts(self) -> int:
        return len(self.bounds) - 1


class Cuts(NamedTuple):
    """How a step's tasks share a dense result: its places (pixels of all samples, one after another) and its channels."""

    places: Cut
    channels: Cut

    @property
    def tasks(self) -> int:
        return prod(cut.parts for cut in self)


class Pieces(NamedTuple):
    """What is kept of steps in a program that finish a dense result together.

    word: of the result. shape: samples, channels, then pixels. steps: (steps after the first of them, how its tasks share).
    """

    word: int
    code: str
    shape: tuple[int, ...]
    steps: tuple[tuple[int, Cuts], ...]
