"""Times one program on several name spaces, alternately, so that all of them see the same machine."""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

BLOCK_SECONDS = 0.004  # long enough for the clock, short enough that a disturbance spoils one block only
IDLE_SECONDS = 0.012  # a thread pool that has just worked may spin for some milliseconds; let it fall asleep
SECONDS_A_SIDE = 2.5
ROUNDS = (7, 25)


@dataclass
class Statement:
    """Source text to time, for operators so short that a function call around them would count."""

    source: str
    names: dict[str, Any]


@dataclass
class Row:
    """One line of the table: `build(torch)` prepares a name space and returns what to call repeatedly."""

    name: str
    group: str
    build: Callable[[Any], Callable[[], Any] | Statement]
    limit: float
    times: dict[str, float] = field(default_factory=dict)
    missing: str = ""

    @property
    def ratio(self) -> float | None:
        """Flambeau's time over PyTorch's; None where one of them is missing."""
        if "flambeau" in self.times and "torch" in self.times:
            return self.times["flambeau"] / self.times["torch"]
        return None


def timer(built: Callable[[], Any] | Statement) -> timeit.Timer:
    """A timer over what a row built."""
    if isinstance(built, Statement):
        return timeit.Timer(built.source, globals=built.names)
    return timeit.Timer("call()", globals={"call": built})


def calls_a_block(clock: timeit.Timer) -> int:
    """How many calls fill a block; the first calls, which may compile, are not counted."""
    clock.timeit(2)
    number = 1
    while (spent := clock.timeit(number)) < BLOCK_SECONDS / 2:
        number = max(number * 2, int(number * BLOCK_SECONDS / max(spent, 1e-7) / 2))
    return max(1, round(number * BLOCK_SECONDS / spent))


def measure(row: Row, sides: dict[str, Any]) -> None:
    """Fill in the row's median time per call for every side that can run it."""
    clocks: dict[str, tuple[timeit.Timer, int]] = {}
    for side, module in sides.items():
        try:
            clock = timer(row.build(module))
            clocks[side] = (clock, calls_a_block(clock))
        except Exception as error:
            if side != "flambeau":
                raise
            row.missing = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if not clocks:
        return
    samples: dict[str, list[float]] = {side: [] for side in clocks}
    for turn in range(_rounds(clocks)):
        for side in sorted(clocks, reverse=bool(turn % 2)):
            clock, number = clocks[side]
            time.sleep(IDLE_SECONDS)
            clock.timeit(max(1, number // 10))
            samples[side].append(clock.timeit(number) / number)
    row.times = {side: statistics.median(times) for side, times in samples.items()}


def _rounds(clocks: dict[str, tuple[timeit.Timer, int]]) -> int:
    """As many rounds as fit the time, within bounds."""
    slowest = max(clock.timeit(number) for clock, number in clocks.values())
    low, high = ROUNDS
    return min(max(int(SECONDS_A_SIDE / (slowest + IDLE_SECONDS)), low), high)
